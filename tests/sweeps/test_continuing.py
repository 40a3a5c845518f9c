"""A run that is killed at any moment is continued by the same command, and ends with the same bits."""

import os
import signal
from unittest.mock import patch

import pytest
import torch
from pandas.testing import assert_frame_equal
from running import artifact, layers, runs, store, tiny
from test_resume import exit_code_of

from bench.commands.measurement import Measurement
from bench.information.tables import Weights
from bench.layers.probe import Probe
from bench.training.batches import _Samples
from bench.training.state import State

pytestmark = pytest.mark.processes

TRAINING = (
    "train.epochs=3", "probe.epochs=[0,2]", "checkpoint_minutes=0", "dataset.augment=[flips,intensity]",
    "train.batch_size=8", "calibration=false", "probe.views=[pixel]",
)  # fmt: skip


def kill_on_call(owner, name, when):
    """Replace a method so that it kills the process in the call for which `when(number, arguments)` holds."""
    method, calls = getattr(owner, name), iter(range(10**6))

    def call(*arguments, **options):
        if when(next(calls), arguments):
            os.kill(os.getpid(), signal.SIGKILL)
        return method(*arguments, **options)

    setattr(owner, name, call)


MOMENTS = {
    "in the measurement before training": (Probe, "_estimate_all", lambda number, _: number == 5),
    "in the third epoch": (_Samples, "_read", lambda number, _: number == 5),
    "after the second epoch": (State, "complete", lambda number, _: number == 2),
    "after the last epoch": (Measurement, "measure", lambda _, arguments: arguments[2].weights == Weights.BEST),
}


def kill(folder, moment, *overrides):
    def child():
        kill_on_call(*MOMENTS[moment])
        tiny(folder, *TRAINING, *overrides)

    assert exit_code_of(child) == -signal.SIGKILL


def results(folder, run):
    """Return the layer table without times, the weights, and all points of the metrics that are not times."""
    weights = torch.load(artifact(folder, run, "weights.pt"), weights_only=True)
    history = {
        key: [(point.step, point.value) for point in store(folder).get_metric_history(run.info.run_id, key)]
        for key in run.data.metrics
        if key != "cost/latency_ms"
    }
    return layers(folder, run).drop(columns="seconds"), weights, history


def assert_equal(found, wanted):
    assert_frame_equal(found[0], wanted[0], check_exact=True)
    assert all(torch.equal(tensor, found[1][name]) for name, tensor in wanted[1].items())
    assert {key: sorted(points) for key, points in found[2].items()} == {
        key: sorted(points) for key, points in wanted[2].items()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    ended = tiny(folder, *TRAINING)
    assert ended.code == 0, ended.err
    (run,) = runs(folder)
    assert not (folder / "checkpoints").exists()
    return results(folder, run)


@pytest.mark.parametrize("moment", [moment for moment in MOMENTS if "second" not in moment])
def test_the_same_command_continues_a_killed_run_with_the_same_bits(tmp_path, whole, moment):
    kill(tmp_path, moment)
    (killed,) = runs(tmp_path)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == [killed.info.run_id]
    ended = tiny(tmp_path, *TRAINING)
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path)
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    assert_equal(results(tmp_path, run), whole)
    assert not (tmp_path / "checkpoints").exists()


def test_a_run_is_continued_with_another_number_of_workers(tmp_path, whole):
    kill(tmp_path, "after the second epoch", "train.workers=2")
    (killed,) = runs(tmp_path)
    ended = tiny(tmp_path, *TRAINING, "train.workers=1")
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path)
    assert (run.info.run_id, run.info.status) == (killed.info.run_id, "FINISHED")
    assert_equal(results(tmp_path, run), whole)


def test_a_job_of_a_sweep_is_continued_in_its_run(tmp_path, whole):
    kill(tmp_path, "in the third epoch", "-m", "seed=0,1")
    killed = {run.info.run_id for run in runs(tmp_path)}
    ended = tiny(tmp_path, *TRAINING, "-m", "seed=0,1")
    assert ended.code == 0, ended.err
    found = runs(tmp_path)
    assert {run.info.status for run in found} == {"FINISHED"}
    assert len(found) == 3  # the parent and two jobs
    assert killed < {run.info.run_id for run in found}
    (first,) = [run for run in found if run.data.params.get("seed") == "0"]
    assert_equal(results(tmp_path, first), whole)


def test_a_checkpoint_of_another_job_is_not_used(tmp_path):
    kill(tmp_path, "in the measurement before training")
    messages = []
    with patch("bench.sweeps.continuing.log.warning", lambda words, *values: messages.append(words % values)):
        other = tiny(tmp_path, *(each.replace("epochs=3", "epochs=1") for each in TRAINING))
        again = tiny(tmp_path, *TRAINING, "resume=false")
    assert (other.code, again.code) == (0, 0)
    killed, *others = runs(tmp_path)
    assert [run.info.status for run in (killed, *others)] == ["KILLED", "FINISHED", "FINISHED"]
    folder = tmp_path / "checkpoints" / killed.info.run_id
    assert messages == [
        f"the checkpoint of run {killed.info.run_id} is not used, because its config, data or version differs; delete "
        f"{folder} if it is not needed any more"
    ]
    assert folder.exists()  # it is still there for its own command
