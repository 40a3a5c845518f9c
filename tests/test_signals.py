"""Signals: the first one stops a process; further ones do not interrupt its last writes."""

import os
import signal

import pytest

from bench import signals


@pytest.fixture
def default_handlers(monkeypatch):
    before = {sent: signal.signal(sent, signal.SIG_DFL) for sent in signals.STOPS}  # nohup ignores some signals
    monkeypatch.setattr(signals, "_first", [])
    yield
    for sent, handler in before.items():
        signal.signal(sent, handler)


@pytest.mark.parametrize("sent", signals.STOPS)
def test_the_first_signal_interrupts_and_the_next_ones_are_ignored(default_handlers, sent):
    signals.handle_stop_signals()
    assert not signals.is_stopped()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), sent)
    assert signals.is_stopped()
    for again in signals.STOPS:
        os.kill(os.getpid(), again)


def test_a_later_signal_ends_the_process_immediately(default_handlers, monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(signals, "QUIET_SECONDS", -1)
    signals.handle_stop_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    assert ended == [130]


def test_ignored_signals_stay_ignored_except_sigterm(default_handlers):
    for sent in signals.STOPS:
        signal.signal(sent, signal.SIG_IGN)
    signals.handle_stop_signals()
    ignored = {sent for sent in signals.STOPS if signal.getsignal(sent) == signal.SIG_IGN}
    assert ignored == {signal.SIGINT, signal.SIGHUP}
    os.kill(os.getpid(), signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
