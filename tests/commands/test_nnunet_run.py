"""Runs with a dataset and a network of nnU-Net, and their refusals."""

import json

import pytest
from nnunet_files import plans_content, write_plans, write_raw
from running import artifact, assert_refused, layers, runs, tiny

SMALL = ("dataset=nnunet", "dataset.slices=3", "model=nnunet", "train.batch_size=8", "probe.n=null", "dataset.n=null")


@pytest.fixture
def folder(tmp_path):
    write_raw(tmp_path / "Dataset901_Test")
    write_plans(tmp_path)
    return tmp_path


def overrides(*more: str) -> list[str]:
    named = ("dataset.root=Dataset901_Test", "model.plans=nnUNetPlans.json", "model.configuration=2d")
    return [*SMALL, *named, "probe.pixels=64", "dataset.val_share=0.7", *more]


@pytest.mark.processes
def test_a_run_measures_the_stages_of_the_plans_on_preprocessed_slices(folder):
    ended = tiny(folder, *overrides())
    assert ended.code == 0, ended.err
    (run,) = runs(folder)
    taps = layers(folder, run)["tap"].unique().tolist()
    assert taps[:4] == ["input", "encoder.stages.0", "encoder.stages.1", "encoder.stages.2"]
    assert run.data.params["dataset.plans"] == "nnUNetPlans.json"  # the dataset follows the network
    assert run.data.params["dataset.configuration"] == "2d"
    assert json.loads(artifact(folder, run, "dataset.json").read_text())["shape"] == [1, 16, 16]


@pytest.mark.processes
def test_a_run_on_regions_scores_each_region(folder):
    path = folder / "Dataset901_Test" / "dataset.json"
    regions = {"background": 0, "whole": [1, 2], "shell": [2]}
    path.write_text(json.dumps(json.loads(path.read_text()) | {"labels": regions}))
    ended = tiny(folder, *overrides("model.convs=true"))
    assert ended.code == 0, ended.err
    (run,) = runs(folder)
    assert {"test/dice.whole", "test/dice.shell"} <= set(run.data.metrics)
    assert "encoder.stages.0.convs.1" in set(layers(folder, run)["tap"])


def test_bad_input_is_one_line(folder):
    assert_refused(tiny(folder, *overrides("model.configuration=3d")), "configuration: got '3d', wanted one of 2d, 3d")
    assert_refused(
        tiny(folder, *overrides("dataset.root=Dataset9")), "which is not a folder, and nnUNet_raw is not set"
    )
    assert_refused(tiny(folder, *overrides("dataset.fold=5")), "dataset.fold: got 5, wanted a number from 0 to 4")
    two = plans_content(schemes=("ZScoreNormalization",) * 2, use_mask=(False,) * 2)
    write_plans(folder, two, "two.json")
    assert_refused(tiny(folder, *overrides("model.plans=two.json")), "two.json is for 2 channels, and Dataset901_Test")
