"""Sweeps on Ray, whose processes run on this machine: failed jobs are reported, and a stopped sweep is continued."""

import os
import signal
import time
from importlib.util import find_spec

import pytest
from running import TINY, children, layers, parents, process, runs, with_store

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        find_spec("hydra_plugins.hydra_ray_launcher") is None, reason="needs Ray: pip install 'infoflow-bench[ray]'"
    ),
]
LAUNCHER = (
    "hydra/launcher=ray",
    "+hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init.include_dashboard=false",
)


def start(folder, *overrides):
    keys = {override.partition("=")[0] for override in overrides}
    small = [override for override in TINY if override.partition("=")[0] not in keys]
    return process(with_store(folder), "-m", *LAUNCHER, *small, *overrides)


def done(folder):
    """Return (seed, skips) of the finished jobs."""
    found = [run for run in children(folder, *parents(folder)) if run.info.status == "FINISHED"]
    return sorted((run.data.params["seed"], run.data.params["model.skips"]) for run in found)


def test_workers_run_jobs_and_a_failed_job_is_reported_at_the_end(tmp_path):
    sweep = start(tmp_path, "model.widths=[4,8],[0,8],[4,4]")
    _, err = sweep.communicate(timeout=300)
    assert sweep.returncode == 1, err
    title, failed, last = err.strip().splitlines()[-3:]
    assert title == "jobs that failed"
    assert failed.startswith("  widths=[0,8] seed=0  model: widths: got [0, 8], wanted at least 2 positive")
    assert last == "bench: 1 of 3 jobs failed, for the reasons above; the same command tries them again"
    (parent,) = parents(tmp_path)
    found = children(tmp_path, parent)
    assert parent.info.status == "FAILED"
    assert [run.info.status for run in found] == ["FINISHED"] * 2
    assert {run.data.params["model.widths"] for run in found} == {"[4, 8]", "[4, 4]"}
    for run in found:
        assert f'"pid": {sweep.pid},' not in run.data.tags["owner"]
        assert len(layers(tmp_path, run)) == 2 * 27


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_sweep_is_continued(tmp_path, sent):
    overrides_of_sweep = ("model.skips=all,none", "seed=0,1", "train.epochs=50")
    first = start(tmp_path, *overrides_of_sweep)
    try:
        stops_by = time.monotonic() + 300
        while not (parents(tmp_path) and done(tmp_path)):
            assert first.poll() is None
            assert time.monotonic() < stops_by
            time.sleep(0.2)
    finally:
        os.kill(first.pid, sent)
        _, err = first.communicate(timeout=60)
    assert len(done(tmp_path)) < 4, err
    again = start(tmp_path, *overrides_of_sweep)
    _, err = again.communicate(timeout=300)
    assert again.returncode == 0, err
    (parent,) = parents(tmp_path)
    assert parent.info.status == "FINISHED"
    assert done(tmp_path) == [("0", "all"), ("0", "none"), ("1", "all"), ("1", "none")]
    assert {run.info.status for run in runs(tmp_path)} <= {"FINISHED", "KILLED"}
