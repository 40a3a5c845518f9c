"""Signals: what stops a process, which then writes how its runs ended."""

from __future__ import annotations

import os
import signal
import time

# Ctrl-C, the stop of a cluster or a container, and a terminal that is closed
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPED = 130  # exit code
QUIET_SECONDS = 10  # after the first signal, in which further ones do not cut off what is written

_first: list[float] = []  # when the first signal came


def heed_stops() -> None:
    """Have each of the signals that stop a process raise KeyboardInterrupt once.

    A signal that is ignored stays so, such as SIGHUP under nohup and Ctrl-C in the background of a shell; SIGTERM, by
    which clusters stop jobs, is heeded always. A second signal within 10 s is passed over, because the runs are being
    ended. A later one ends the process at once, with exit code 130: the next command marks its runs as killed.
    """
    for sent in STOPS:
        if sent == signal.SIGTERM or signal.getsignal(sent) != signal.SIG_IGN:
            signal.signal(sent, _stop)


def is_stopped() -> bool:
    """Whether a signal has come that stops this process."""
    return bool(_first)


def _stop(*_) -> None:
    if not _first:
        _first.append(time.monotonic())
        raise KeyboardInterrupt
    if time.monotonic() - _first[0] > QUIET_SECONDS:
        os._exit(STOPPED)
