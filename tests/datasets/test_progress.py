"""Progress: lines outside a terminal, a bar on a terminal, the remaining time, and no output of child processes."""

import io
import re
import time

import pytest

from bench.datasets import progress as module
from bench.datasets.progress import OWNER, Progress, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test sets, in place of the time since the start of the machine."""
    now = [100.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])
    return now


def test_the_time_that_is_left_is_the_expected_one_and_then_that_of_the_units_after_the_first(clock):
    step = Progress("retrain", "trainings", total=5, seconds=20)
    assert step.left() == 100
    clock[0] += 50  # longer than a training
    assert step.left() == 80
    step.update()
    assert step.left() == 80
    clock[0] += 10
    step.update()
    assert step.left() == 30
    clock[0] += 4
    assert str(step) == "retrain 2/5 trainings in 64 s, about 26 s left"


def test_without_a_total_or_a_duration_nothing_is_said_about_the_time_that_is_left(clock):
    assert str(Progress("measure", "questions")) == "measure 0 questions in 0 s"
    assert str(Progress("measure", "questions", total=3)) == "measure 0/3 questions in 0 s"


def test_a_line_outside_a_terminal_has_all_open_steps(monkeypatch, capsys):
    monkeypatch.setattr(module, "SECONDS", 0.2)
    monkeypatch.setattr(module, "lines", module._Lines())
    with Progress("sweep", "jobs", total=2):
        for _ in progress(range(2), "train", "epochs", 2):
            time.sleep(0.5)
    written = capsys.readouterr().err.splitlines()
    assert 1 <= len(written) <= 5
    assert written[0].startswith("progress: sweep 0/2 jobs in 0 s; train 0/2 epochs in 0 s")


def test_a_short_step_writes_no_line(monkeypatch, capsys):
    monkeypatch.setattr(module, "lines", module._Lines())
    assert list(progress(range(3), "train", "epochs", 3)) == [0, 1, 2]
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(("owner", "shown"), [(None, True), ("1", False)])
def test_a_terminal_has_a_bar_unless_a_parent_process_shows_the_progress(monkeypatch, owner, shown):
    terminal = Terminal()
    monkeypatch.setattr("sys.stderr", terminal)
    monkeypatch.delenv(OWNER, raising=False)
    if owner:
        monkeypatch.setenv(OWNER, owner)
    with Progress("retrain", "trainings", total=4, done=1, seconds=60) as step:
        step.refresh()
    bar = r"retrain  25%\|.{20}\| 1/4 trainings, 00:00, about 3 min left"
    assert bool(re.search(bar, terminal.getvalue())) == shown, terminal.getvalue()
