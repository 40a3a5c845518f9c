"""A sweep that is killed at any point and started again finishes every job exactly once."""

import multiprocessing
import os
import signal

import pytest
from mlflow import MlflowClient
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from running import TINY, artifacts, command, layers, points, runs, tiny

from bench import tracking
from bench.tracking.store import connect
from bench.training.batches import Batches

pytestmark = pytest.mark.processes

SWEEP = ("-m", "model.skips=all,none", "seed=0,1")
JOBS = {("all", "0"), ("all", "1"), ("none", "0"), ("none", "1")}
WRITES = (
    "create_run",
    "log_batch",
    "log_artifact",
    "set_tag",
    "set_terminated",
    "update_run",
)
FEW, MORE = (20, 71), (1, 2, 4, 9, 33, 50, 76)


def kill_in_write(folder, calls, sweep=SWEEP):
    """Run a sweep in a new process and kill it in its `calls`-th write to the store; return the exit code."""

    def child():
        remaining = iter(range(calls - 1, -1, -1))
        for name in WRITES:
            method = getattr(MlflowClient, name)

            def write(*arguments, method=method, **options):
                if not next(remaining):
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(*arguments, **options)

            setattr(MlflowClient, name, write)
        os._exit(tiny(folder, *sweep).code)

    return exit_code_of(child)


def exit_code_of(child):
    process = multiprocessing.get_context("fork").Process(target=child)
    process.start()
    process.join(300)
    return process.exitcode


def assert_every_job_was_finished_once(folder):
    found = runs(folder)
    parents = [run for run in found if run.data.tags.get(tracking.SWEEP) == "parent"]
    assert [run.info.status for run in parents] == ["FINISHED"]
    done = [run for run in found if run.info.status == "FINISHED" and run not in parents]
    assert sorted((run.data.params["model.skips"], run.data.params["seed"]) for run in done) == sorted(JOBS)
    for run in done:
        assert {"config.yaml", "dataset.json", "weights.pt", "test.csv"} <= artifacts(folder, run)
        assert len(layers(folder, run)) == 2 * 27  # before training, and the best checkpoint
        assert "test/dice" in run.data.metrics
        assert run.data.tags["mlflow.parentRunId"] == parents[0].info.run_id
    others = {run.info.status for run in found if run not in parents and run not in done}
    assert others <= {"KILLED"}
    mean = sum(points(folder, run, "profile/I_XT.kde")[50] for run in done) / len(done)
    assert points(folder, parents[0], "profile/I_XT.kde")[50] == pytest.approx(mean)


@pytest.mark.parametrize("calls", [*FEW, *(pytest.param(calls, marks=pytest.mark.slow) for calls in MORE)])
def test_a_sweep_killed_in_a_write_is_finished_by_the_same_command(tmp_path, calls):
    assert kill_in_write(tmp_path, calls) == -signal.SIGKILL
    again = tiny(tmp_path, *SWEEP)
    assert again.code == 0, again.err
    assert_every_job_was_finished_once(tmp_path)


@pytest.mark.slow
def test_a_sweep_killed_twice_is_finished_by_the_same_command(tmp_path):
    for calls in (40, 40):
        assert kill_in_write(tmp_path, calls) == -signal.SIGKILL
    assert tiny(tmp_path, *SWEEP).code == 0
    assert_every_job_was_finished_once(tmp_path)


def test_a_killed_search_of_optuna_is_continued(tmp_path):
    """The seeded sampler proposes the same designs again, because finished runs have the same results."""
    widths = "model.widths=choice('[4,8]','[4,4]','[8,8]','[4,12]')"
    search = ("-m", "+experiment=pareto", widths, "hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.population_size=2")
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    assert tiny(whole, *search).code == 0
    assert kill_in_write(cut, 40, search) == -signal.SIGKILL
    before = {run.info.run_id for run in runs(cut, "pareto") if run.info.status == "FINISHED"}
    assert before
    again = tiny(cut, *search)
    assert again.code == 0, again.err

    def designs(folder):
        done = [
            run for run in runs(folder, "pareto") if run.info.status == "FINISHED" and tracking.DESIGN in run.data.tags
        ]
        return sorted(run.data.tags[tracking.DESIGN] for run in done)

    assert designs(cut) == designs(whole)
    assert len(set(designs(cut))) == len(designs(cut))
    assert before < {run.info.run_id for run in runs(cut, "pareto")}
    (found,) = cut.glob("multirun/*/*/optimization_results.yaml")
    (wanted,) = whole.glob("multirun/*/*/optimization_results.yaml")
    assert found.read_text() == wanted.read_text()


def test_a_sweep_killed_in_training_is_finished_by_the_same_command(tmp_path):
    def child():
        Batches.__iter__ = lambda _: os.kill(os.getpid(), signal.SIGKILL)
        tiny(tmp_path, *SWEEP)

    assert exit_code_of(child) == -signal.SIGKILL
    # a killed process cannot mark its runs
    assert [run.info.status for run in runs(tmp_path)] == ["RUNNING", "RUNNING"]
    assert tiny(tmp_path, *SWEEP).code == 0
    assert_every_job_was_finished_once(tmp_path)


def test_a_store_whose_creation_was_killed_is_created_again(tmp_path):
    def child():
        class KilledStore(SqlAlchemyStore):
            def __init__(self, uri, _):
                os.kill(os.getpid(), signal.SIGKILL)

        from bench.tracking import sqlite

        sqlite.SqlAlchemyStore = KilledStore
        command(tmp_path, *SWEEP, *TINY)

    assert exit_code_of(child) == -signal.SIGKILL
    assert not (tmp_path / "mlflow.db").exists()
    (tmp_path / "mlflow.db.new").write_bytes(b"SQLite format 3\0 and half of a migration")
    assert connect(f"sqlite:///{tmp_path}/mlflow.db", "tests").client.search_experiments()
