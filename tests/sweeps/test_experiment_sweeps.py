"""Sweeps that are defined in the config of an experiment."""

import re

import pytest
from running import runs, tiny

from bench import tracking

pytestmark = pytest.mark.processes

SMALL = ("dataset=phantoms", "dataset.task=classification", "dataset.size=28", "dataset.n=[32,16,8]", "probe.n=16")
REST = ("model=lenet5", "model.filters.1=2", "seed=0", "diagnostic=[]", "train.epochs=0", "tracking.experiment=bench",
        "probe.views=null")  # fmt: skip


def designs(folder, *overrides):
    ended = tiny(folder, "-m", "+experiment=yu2020_filters", *SMALL, *REST, *overrides)
    assert ended.code == 0, ended.err
    (parent,) = [run for run in runs(folder) if run.data.tags.get(tracking.SWEEP) == "parent"]
    jobs = [run for run in runs(folder) if tracking.DESIGN in run.data.tags]
    assert all(run.info.run_name.startswith("filters.0=") for run in jobs)
    return parent.info.run_name, {run.data.tags.get(tracking.DESIGN) for run in runs(folder)} - {None}


def test_an_experiment_runs_its_sweep_and_names_its_designs(tmp_path):
    name, found = designs(tmp_path)
    assert found == {"model.filters.0=2", "model.filters.0=6", "model.filters.0=24"}
    assert re.fullmatch("lenet5-filters-[0-9a-f]{4}", name)


def test_the_command_line_replaces_the_sweep_of_an_experiment(tmp_path):
    name, found = designs(tmp_path, "model.filters.0=3,4")
    assert found == {"model.filters.0=3", "model.filters.0=4"}
    assert name.startswith("lenet5-filters-")
