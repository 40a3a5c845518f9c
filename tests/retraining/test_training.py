"""Retraining's child process: it ends when it is told to, with the jobs that it started."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bench.retraining import training

DEAF = """
import signal, subprocess, sys, time
for number in sys.argv[1:]:
    signal.signal(int(number), signal.SIG_IGN)
job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(job.pid, flush=True)
time.sleep(600)
"""


def deaf(*numbers):
    child = subprocess.Popen(
        [sys.executable, "-c", DEAF, *(str(int(number)) for number in numbers)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return child, int(child.stdout.readline())


def is_running(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("unheeded", "ended_by"), [((signal.SIGINT,), signal.SIGTERM), ((signal.SIGINT, signal.SIGTERM), signal.SIGKILL)]
)
def test_a_child_ends_whatever_it_ignores(unheeded, ended_by, monkeypatch):
    """Processes that a shell starts in the background ignore SIGINT."""
    monkeypatch.setattr(training, "GRACE", 0.5)
    child, job = deaf(*unheeded)
    training._stop(child)
    assert child.returncode == -ended_by
    patience = time.monotonic() + 30
    while is_running(job) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not is_running(job)
