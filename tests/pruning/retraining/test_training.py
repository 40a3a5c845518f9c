"""Retraining: whole seeds within a budget of runs; a child process is stopped together with its jobs."""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.pruning.retraining import training
from bench.pruning.retraining.results import Retrained

IGNORES_SIGNALS = """
import signal, subprocess, sys, time
for number in sys.argv[1:]:
    signal.signal(int(number), signal.SIG_IGN)
job = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(job.pid, flush=True)
time.sleep(600)
"""


def start_process_that_ignores(*numbers):
    child = subprocess.Popen(
        [sys.executable, "-c", IGNORES_SIGNALS, *(str(int(number)) for number in numbers)],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return child, int(child.stdout.readline())


def is_running(pid):
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.fixture
def sweeps(monkeypatch):
    """Record the (design, seed) pairs that child processes would train, in order."""
    swept = []
    monkeypatch.setattr(
        training,
        "retrain",
        lambda folder, names, seeds, *_: swept.append([(name, seed) for seed in seeds for name in names]),
    )
    monkeypatch.setattr(training.Retraining, "write", lambda self, designs: None)
    monkeypatch.setattr(
        training.Retraining,
        "read",
        lambda self, names, test: Retrained(
            pd.DataFrame({pair for sweep in swept for pair in sweep if pair[0] in names}, columns=["design", "seed"]),
            pd.DataFrame(),
        ),
    )
    return swept


@pytest.mark.parametrize(
    ("budget", "counts", "missing"),
    [
        (None, {"base": 3, "lean_1": 3, "lean_2": 2, "flat": 3}, 0),
        (8, {"base": 2, "lean_1": 2, "lean_2": 2, "flat": 2}, 3),  # six for screening, then two of the baseline
        (10, {"base": 2, "lean_1": 2, "lean_2": 2, "flat": 2}, 3),  # a third seed would need 11
        (11, {"base": 3, "lean_1": 3, "lean_2": 2, "flat": 3}, 0),
        (7, {"base": 2, "lean_1": 2, "lean_2": 2, "flat": 1}, 4),
        (
            5,
            {"base": 1, "lean_1": 1, "lean_2": 1, "flat": 1},
            6,
        ),  # four with the first seed; a second seed would need seven
    ],
)
def test_a_budget_of_runs_drops_whole_seeds_and_counts_each_run_once(sweeps, budget, counts, missing):
    config = OmegaConf.create({"seeds": 3, "epochs": 1, "minutes": None, "runs": budget, "overrides": []})
    retraining = training.Retraining(config, SimpleNamespace(trust=()), None, Path(), seed=5)
    screened = dict.fromkeys(("base", "lean_1", "lean_2"))
    retraining(screened, retraining.seeds[:2])
    not_run = retraining(dict.fromkeys(("base", "lean_1", "flat")))
    trained = {name: sorted({seed for sweep in sweeps for key, seed in sweep if key == name}) for name in counts}
    assert {name: len(seeds) for name, seeds in trained.items()} == counts
    assert all(seeds == retraining.seeds[: len(seeds)] for seeds in trained.values())
    assert len(not_run) == missing


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("ignored", "ended_by"), [((signal.SIGINT,), signal.SIGTERM), ((signal.SIGINT, signal.SIGTERM), signal.SIGKILL)]
)
def test_a_child_process_that_ignores_signals_is_stopped(ignored, ended_by, monkeypatch):
    """Processes that a shell starts in the background ignore SIGINT."""
    monkeypatch.setattr(training, "GRACE", 0.5)
    child, job = start_process_that_ignores(*ignored)
    training._stop(child)
    assert child.returncode == -ended_by
    deadline = time.monotonic() + 30
    while is_running(job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(job)
