"""Signals: the first stops a process, the next ones do not cut off what it writes then."""

import os
import signal

import pytest

from bench import signals


@pytest.fixture
def heeding(monkeypatch):
    before = {sent: signal.signal(sent, signal.SIG_DFL) for sent in signals.STOPS}  # nohup leaves them ignored
    monkeypatch.setattr(signals, "_first", [])
    yield
    for sent, handler in before.items():
        signal.signal(sent, handler)


@pytest.mark.parametrize("sent", signals.STOPS)
def test_the_first_interrupts_and_the_next_ones_are_passed_over(heeding, sent):
    signals.handle_stop_signals()
    assert not signals.is_stopped()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), sent)
    assert signals.is_stopped()
    for again in signals.STOPS:
        os.kill(os.getpid(), again)


def test_a_later_one_ends_the_process_at_once(heeding, monkeypatch):
    ended = []
    monkeypatch.setattr(os, "_exit", ended.append)
    monkeypatch.setattr(signals, "QUIET_SECONDS", -1)
    signals.handle_stop_signals()
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)
    os.kill(os.getpid(), signal.SIGINT)
    assert ended == [130]


def test_what_is_ignored_stays_so_except_the_stop_of_a_cluster(heeding):
    for sent in signals.STOPS:
        signal.signal(sent, signal.SIG_IGN)
    signals.handle_stop_signals()
    ignored = {sent for sent in signals.STOPS if signal.getsignal(sent) == signal.SIG_IGN}
    assert ignored == {signal.SIGINT, signal.SIGHUP}
    os.kill(os.getpid(), signal.SIGHUP)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGTERM)
