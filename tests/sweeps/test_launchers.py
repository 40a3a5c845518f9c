"""Sweeps by other launchers than Hydra's: joblib, submitit on this machine, and the script for a Slurm cluster."""

import json
import os
import re
import signal
import stat
import sys
import time
from importlib.util import find_spec

import pytest
from hydra.errors import MissingConfigException
from running import TINY, assert_refused, children, parents, process, runs, tiny, with_store

from bench import tracking
from bench.config.composing import EXTRAS, explain_hydra
from bench.tracking.offline.heartbeat import OWNER

JOBS = ("model.skips=all,none", "seed=0")
SLURM_SETTINGS = (
    "hydra.launcher.partition=gpu",
    "hydra.launcher.gres=gpu:1",
    "hydra.launcher.cpus_per_task=4",
    "hydra.launcher.mem_gb=16",
    "hydra.launcher.timeout_min=90",
    "hydra.launcher.array_parallelism=8",
)

# Replacement for Slurm: sbatch saves the script and runs it on this machine once for each task of the array.
SBATCH = f"""#!{sys.executable}
import os, re, subprocess, sys
script = open(sys.argv[-1]).read()
open("submitted.sh", "w").write(script)
first, last = re.search(r"#SBATCH --array=(\\d+)-(\\d+)", script).groups()
for task in range(int(first), int(last) + 1):
    slurm = dict(JOB_ID=7, ARRAY_JOB_ID=7, ARRAY_TASK_ID=task, JOB_NODELIST="here")
    slurm |= dict(NTASKS=1, NNODES=1, PROCID=0, LOCALID=0, NODEID=0)
    env = os.environ | {{f"SLURM_{{key}}": str(value) for key, value in slurm.items()}}
    subprocess.Popen(["bash", "-c", script], env=env, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
print("Submitted batch job 7")
"""
SRUN = '#!/bin/bash\nwhile [[ "$1" == --* ]]; do case "$1" in --output|--error) shift;; esac; shift; done\nexec "$@"\n'
SACCT = "#!/bin/bash\necho 'JobID|State|NodeList'\nfor task in 0 1; do echo \"7_$task|RUNNING|here\"; done\n"


def assert_two_jobs_are_done(folder):
    parent, *found = runs(folder)
    assert parent.data.tags[tracking.SWEEP] == "parent"
    assert [run.info.status for run in (parent, *found)] == ["FINISHED"] * 3
    assert {run.data.params["model.skips"] for run in found} == {"all", "none"}
    assert {run.data.tags["mlflow.parentRunId"] for run in found} == {parent.info.run_id}


def sweep(folder, *launcher, **environment):
    started = process(with_store(folder), "-m", *launcher, *JOBS, *TINY, **environment)
    _, err = started.communicate(timeout=300)
    assert started.returncode == 0, err


@pytest.mark.processes
@pytest.mark.parametrize("kill_last", [False, True])
def test_a_killed_worker_of_joblib_ends_only_its_own_job(tmp_path, kill_last):
    folder, endless = with_store(tmp_path), "1000000"
    rest = [small for small in TINY if not small.startswith("train.epochs")]
    many = ("hydra/launcher=joblib", "hydra.launcher.n_jobs=2")
    with process(folder, "-m", *many, f"train.epochs={endless},1,2", *rest) as sweep:
        try:
            wait_until(sweep, lambda: any(trains_for(run, endless) for run in runs(folder)))
            if kill_last:
                wait_until(sweep, lambda: len([run for run in runs(folder) if run.info.status == "FINISHED"]) == 2)
            (trains,) = (run for run in runs(folder) if trains_for(run, endless))
            os.kill(json.loads(trains.data.tags[OWNER])["pid"], signal.SIGKILL)
            _, err = sweep.communicate(timeout=200)
        finally:
            sweep.kill()
    assert sweep.returncode == 1, err
    assert f"  epochs={endless} seed=0  its process was killed" in err
    assert "\nbench: 1 of 3 jobs failed" in err
    (parent,) = parents(folder)
    statuses = {run.data.params["train.epochs"]: run.info.status for run in children(folder, parent)}
    assert statuses == {endless: "KILLED", "1": "FINISHED", "2": "FINISHED"}


def wait_until(sweep, condition):
    by = time.monotonic() + 200
    while not condition():
        assert sweep.poll() is None, sweep.communicate()
        assert time.monotonic() < by
        time.sleep(0.5)


def trains_for(run, epochs):
    return run.data.params.get("train.epochs") == epochs and "train/loss" in run.data.metrics


@pytest.mark.slow
def test_submitit_runs_jobs_locally(tmp_path):
    sweep(tmp_path, "hydra/launcher=submitit_local")
    assert_two_jobs_are_done(tmp_path)


@pytest.mark.processes
def test_submitit_runs_jobs_on_slurm(tmp_path):
    """The script requests the resources of the settings and runs the jobs as one array."""
    tools = tmp_path / "slurm"
    tools.mkdir()
    for name, script in {"sbatch": SBATCH, "srun": SRUN, "sacct": SACCT}.items():
        (tools / name).write_text(script)
        (tools / name).chmod(stat.S_IRWXU)
    sweep(tmp_path, "hydra/launcher=submitit_slurm", *SLURM_SETTINGS, PATH=f"{tools}{os.pathsep}{os.environ['PATH']}")
    assert_two_jobs_are_done(tmp_path)
    script = (tmp_path / "submitted.sh").read_text()
    requested = dict(re.findall(r"^#SBATCH --([\w-]+)=(.+)$", script, re.MULTILINE))
    wanted = {"partition": "gpu", "gres": "gpu:1", "cpus-per-task": "4", "mem": "16GB", "time": "90", "array": "0-1%2"}
    assert {key: requested[key] for key in wanted} == wanted
    assert f"{sys.executable} -u -m submitit.core._submit" in script


def test_a_missing_cluster_gives_a_one_line_error(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    ended = tiny(tmp_path, "-m", "hydra/launcher=submitit_slurm", "seed=0,1")
    assert ended.code == 2
    assert ended.err == (
        "bench: hydra/launcher: got submitit_slurm, but srun is missing; start it on a login node of the cluster\n"
    )
    (parent,) = runs(tmp_path)
    assert parent.info.status == "FAILED"


@pytest.mark.parametrize(("choice", "extra"), EXTRAS.items())
def test_a_plugin_that_is_not_installed_is_named_with_its_extra(choice, extra):
    error = explain_hydra(MissingConfigException("", missing_cfg_file=choice))
    assert f"which is not installed; pip install 'infoflow-bench[{extra}]'" in str(error)


@pytest.mark.skipif(find_spec("hydra_plugins.hydra_ray_launcher") is not None, reason="Ray's launcher is installed")
def test_ray_without_its_package_gives_a_one_line_error(tmp_path):
    ended = tiny(tmp_path, "-m", "hydra/launcher=ray", "seed=0,1")
    assert_refused(ended, "hydra/launcher: got 'ray'", "pip install 'infoflow-bench[ray]'")
