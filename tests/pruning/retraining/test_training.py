"""Retraining: whole seeds within a budget of runs; a child process is stopped together with its jobs."""

import signal
import subprocess
import sys
import time
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining import budget, processes, training

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
    monkeypatch.setattr(training.Retraining, "_shown", lambda self, step: nullcontext())
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
    retraining(screened, "screen", retraining.seeds[:2])
    not_run = retraining(dict.fromkeys(("base", "lean_1", "flat")), "retrain")
    trained = {name: sorted({seed for sweep in sweeps for key, seed in sweep if key == name}) for name in counts}
    assert {name: len(seeds) for name, seeds in trained.items()} == counts
    assert all(seeds == retraining.seeds[: len(seeds)] for seeds in trained.values())
    assert len(not_run) == missing


def test_a_budget_of_minutes_holds_over_all_sweeps_together(sweeps, monkeypatch):
    """Each sweep takes 4 minutes, or less if its limit is lower. Time between the sweeps is not counted."""
    now, limits = [0.0], []
    monkeypatch.setattr(budget.time, "monotonic", lambda: now[0])

    def sweep(folder, names, seeds, parent, launcher, seconds):
        limits.append(seconds)
        now[0] += min(240, seconds)

    monkeypatch.setattr(training, "retrain", sweep)
    config = OmegaConf.create({"seeds": 2, "epochs": 1, "minutes": 10, "runs": None, "overrides": []})
    retraining = training.Retraining(config, SimpleNamespace(trust=()), None, Path(), seed=0)
    for step in ("screen", "finalists", "baselines", "more"):
        now[0] += 3600
        retraining({step: None}, step)
    assert limits == [600, 360, 120]  # no time remains for a further sweep
    assert retraining.budget.report(["finished"] * 6) == "retraining took 10.0 of 10 minutes and 6 runs (6 finished)"


def test_with_a_teacher_all_designs_but_the_base_learn_from_the_base(sweeps, monkeypatch):
    taught = {}

    def sweep(folder, names, seeds, parent, launcher, seconds):
        settings = [each for each in launcher if each.startswith("train.")]
        taught.update({name: settings for name in names})

    monkeypatch.setattr(training, "retrain", sweep)
    config = {"seeds": 2, "epochs": 9, "minutes": None, "runs": None, "overrides": [], "teacher": True, "folds": None}
    base = SimpleNamespace(trust=(), run="0123", config={})
    retraining = training.Retraining(OmegaConf.create(config), base, None, Path(), seed=0)
    retraining(dict.fromkeys(("base", "lean_1", "flat")), "retrain", overrides=["train.epochs=3"])
    assert taught == {
        "lean_1": ["train.epochs=3", "train.teacher=0123"],
        "flat": ["train.epochs=3", "train.teacher=0123"],
        "base": ["train.epochs=3"],
    }


@pytest.mark.parametrize(
    ("given", "of_base", "found"),
    [({"folds": 3}, {}, "folds"), ({}, {"folds": 3}, "folds"), ({"by": "nnunet"}, {}, "nnunet")],
)
def test_a_teacher_is_refused_where_it_would_know_test_images_or_can_not_teach(given, of_base, found):
    base = SimpleNamespace(config=OmegaConf.create(of_base))
    with pytest.raises(InputError, match=f"retrain.teacher: got true with .*{found}"):
        training.check_teacher(OmegaConf.create({"teacher": True, "folds": None} | given), base)


def test_the_expected_duration_of_a_training_has_the_epochs_that_are_asked_for():
    """Epoch 0 comes 5 s after the start, and the others take 2 s each, but one of them with a measurement 60 s."""
    times = [1005, 1007, 1067, 1069, 1071]
    points = [SimpleNamespace(timestamp=1000 * second) for second in times]
    info = SimpleNamespace(start_time=1000_000, end_time=1090_000)
    client = SimpleNamespace(get_metric_history=lambda run, key: points, get_run=lambda run: SimpleNamespace(info=info))
    assert budget.seconds_of_training(SimpleNamespace(client=client), "run", epochs=10) == 25
    points.clear()
    assert budget.seconds_of_training(SimpleNamespace(client=client), "run", epochs=10) == 90


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
@pytest.mark.parametrize(
    ("ignored", "ended_by"), [((signal.SIGINT,), signal.SIGTERM), ((signal.SIGINT, signal.SIGTERM), signal.SIGKILL)]
)
def test_a_child_process_that_ignores_signals_is_stopped(ignored, ended_by, monkeypatch):
    """Processes that a shell starts in the background ignore SIGINT."""
    monkeypatch.setattr(processes, "GRACE", 0.5)
    child, job = start_process_that_ignores(*ignored)
    processes._stop(child)
    assert child.returncode == -ended_by
    deadline = time.monotonic() + 30
    while is_running(job) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(job)
