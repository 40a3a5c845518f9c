"""Signals that stop a process. The process logs the final status of its runs before it ends."""

from __future__ import annotations

import os
import signal
import time

# sent by Ctrl-C, by a cluster or a container that stops a job, and by a terminal that closes
STOPS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
STOPPED = 130  # exit code
QUIET_SECONDS = 10  # after the first signal; further signals in this time are ignored, so that writes can finish

_first: list[float] = []  # time of the first signal


def handle_stop_signals() -> None:
    """Install handlers so that a signal that stops a process raises KeyboardInterrupt once.

    A signal that the process ignores stays ignored, such as SIGHUP under nohup or Ctrl-C for a background job of a
    shell. SIGTERM is an exception, because clusters stop jobs by it. A second signal within 10 s is ignored, because
    the process is ending its runs. A later signal ends the process at once with exit code 130. The next command then
    marks its runs as killed.
    """
    for sent in STOPS:
        if sent == signal.SIGTERM or signal.getsignal(sent) != signal.SIG_IGN:
            signal.signal(sent, _stop)


def is_stopped() -> bool:
    """Return whether this process has received a signal that stops it."""
    return bool(_first)


def _stop(*_) -> None:
    """Handle a signal: raise KeyboardInterrupt at the first, end the process at one after the quiet time."""
    if not _first:
        _first.append(time.monotonic())
        raise KeyboardInterrupt
    if time.monotonic() - _first[0] > QUIET_SECONDS:
        os._exit(STOPPED)
