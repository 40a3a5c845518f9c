"""Retraining by nnU-Net: what its program is called with, and what is read of its results.

A replacement for nnU-Net's program writes results in the same layout, so that nnU-Net need not be installed.
"""

import json
import os
import stat
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from nnunet_files import plans_content, write_plans, write_raw
from omegaconf import OmegaConf
from running import QUICK_SEARCH, artifact, children, command, runs, with_store

from bench.errors import InputError
from bench.pruning.retraining.nnunet import check_nnunet, read_summary
from models import NnUnet, UNet

pytest.importorskip("dynamic_network_architectures", reason="needs the extra nnunet")

DATASET = "Dataset901_Test"
PROGRAM = f"""#!{sys.executable}
import argparse, json, os, sys
from pathlib import Path
sys.path[:0] = {sys.path!r}
import torch
from models import NnUnet
from nnunet_files import write_checkpoint
parser = argparse.ArgumentParser()
for name in ("dataset", "configuration", "fold"):
    parser.add_argument(name)
for flag in ("-p", "-tr", "-device"):
    parser.add_argument(flag)
given = parser.parse_args()
if given.tr == "Broken":
    sys.exit("no such trainer")
folder = Path(os.environ["nnUNet_preprocessed"]) / given.dataset
assert (Path(os.environ["nnUNet_raw"]) / given.dataset / "dataset.json").exists()
plans = folder / (given.p + ".json")
content = json.loads(plans.read_text())
assert content["plans_name"] == given.p
data = folder / content["configurations"][given.configuration]["data_identifier"]
assert (data / "case00.b2nd").exists()
network = NnUnet(plans, given.configuration, out_channels=3)
trained = Path(os.environ["nnUNet_results"]) / given.dataset / f"{{given.tr}}__{{given.p}}__{{given.configuration}}"
fold = trained / f"fold_{{given.fold}}"
write_checkpoint(fold / "checkpoint_final.pth", network, content, given.configuration)
width = sum(network.plans.features_per_stage)
cases = [
    {{"metrics": {{"1": {{"Dice": 1 - 1 / (width + case)}}, "2": {{"Dice": float("nan")}}}},
      "reference_file": f"gt/case{{case:02d}}.nii.gz", "prediction_file": ""}}
    for case in range(3)
]
(fold / "validation").mkdir()
(fold / "validation" / "summary.json").write_text(json.dumps({{"metric_per_case": cases}}))
"""


def summary(folder, cases):
    rows = [{"reference_file": f"/a/{name}.nii.gz", "metrics": metrics} for name, metrics in cases.items()]
    (folder / "summary.json").write_text(json.dumps({"metric_per_case": rows}))
    return read_summary(folder / "summary.json")


def test_the_score_of_a_case_is_the_mean_over_its_labels(tmp_path):
    nan = float("nan")
    cases = {
        "a_1": {"1": {"Dice": 0.5}, "2": {"Dice": 1.0}},
        "b.2": {"1": {"Dice": nan}, "2": {"Dice": 0.25}},
        "none": {"1": {"Dice": nan}, "2": {"Dice": nan}},
        "regions": {"(1, 2)": {"Dice": 0.75}},
    }
    table = summary(tmp_path, cases)
    assert table.to_dict("list") == {
        "name": ["a_1", "b", "regions"], "group": ["a_1", "b", "regions"], "dice": [0.75, 0.25, 0.75]
    }  # fmt: skip


def base(network, plans):
    config = {"model": {"plans": str(plans), "configuration": "2d"}, "dataset": {"fold": 0}}
    data = SimpleNamespace(name="Test", source=str(plans.parent / "raw"))
    return SimpleNamespace(network=network, config=OmegaConf.create(config), data=data)


@pytest.mark.parametrize(
    ("settings", "missing", "message"),
    [
        ({"epochs": 3}, (), "retrain.epochs: got 3 with retrain.by=nnunet, .*retrain.trainer"),
        ({}, ("nnUNetPlans_2d",), "model.plans: got a file in .* has no nnUNetPlans_2d, wanted .*nnUNet_preprocessed"),
        ({}, ("gt_segmentations",), "model.plans: got a file in .* has no gt_segmentations"),
        ({}, (), "retrain.by: got nnunet, and there is no program nnUNetv2_train; install nnunetv2"),
    ],
)
def test_what_is_missing_is_said_before_any_training(tmp_path, monkeypatch, settings, missing, message):
    monkeypatch.setenv("PATH", str(tmp_path))
    plans = preprocessed(tmp_path)
    for name in missing:
        (plans.parent / name).rename(tmp_path / name)
    with pytest.raises(InputError, match=message):
        check_nnunet(OmegaConf.create({"epochs": None} | settings), base(NnUnet(plans, "2d", out_channels=3), plans))


def test_information_about_the_cases_that_nnunet_predicts_is_refused(tmp_path):
    plans = preprocessed(tmp_path)
    labels = plans.parent / "raw" / "labelsTs"
    labels.mkdir(parents=True)
    (labels / "case.nii.gz").touch()
    message = r"retrain\.by: got nnunet for a dataset with labelsTs, .* set retrain\.by=bench"
    with pytest.raises(InputError, match=message):
        check_nnunet(OmegaConf.create({"epochs": None}), base(NnUnet(plans, "2d", out_channels=3), plans))


def test_only_networks_of_nnunet_on_its_data_can_be_retrained_by_it(tmp_path):
    settings, plans = OmegaConf.create({"epochs": None}), preprocessed(tmp_path)
    with pytest.raises(InputError, match=r"retrain\.by: got nnunet for a base of UNet on Test, wanted .*model=nnunet"):
        check_nnunet(settings, base(UNet(1, 2, widths=[4, 8]), plans))
    elsewhere = base(NnUnet(plans, "2d", out_channels=3), plans)
    del elsewhere.config.dataset.fold
    with pytest.raises(InputError, match=r"got nnunet for a base of NnUnet on Test, wanted .* on dataset=nnunet"):
        check_nnunet(settings, elsewhere)


def preprocessed(folder: Path) -> Path:
    """Write plans beside what nnU-Net writes when it preprocesses a dataset; return the plans."""
    there = folder / "pre" / DATASET
    plans = write_plans(there, plans_content(features=(4, 6, 8)))
    (there / "dataset.json").write_text("{}")
    for name in ("gt_segmentations", "nnUNetPlans_2d"):
        (there / name).mkdir()
    (there / "nnUNetPlans_2d" / "case00.b2nd").touch()
    return plans


@pytest.mark.processes
def test_propose_writes_plans_trains_them_by_nnunet_and_judges_its_summaries(tmp_path, monkeypatch):
    folder, plans = with_store(tmp_path), preprocessed(tmp_path)
    raw = write_raw(folder / "raw" / DATASET)
    program = folder / "bin" / "nnUNetv2_train"
    program.parent.mkdir()
    program.write_text(PROGRAM)
    program.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    network = (f"dataset.root={raw}", "dataset.slices=4", "model=nnunet", f"model.plans={plans}")
    trained = command(
        folder, "dataset=nnunet", *network, "model.configuration=2d", "train.epochs=1", "estimator=[]", "diagnostic=[]"
    )
    assert trained.code == 0, trained.err
    (run,) = runs(folder)
    propose = ("propose", f"run={run.info.run_id}", *QUICK_SEARCH[:2], *QUICK_SEARCH[3:])
    propose += (
        "target.params=0.5",
        "ask.samples=256",
        "retrain.by=nnunet",
        "retrain.seeds=2",
        "retrain.baselines=[flat]",
    )
    ended = command(folder, *propose)
    assert ended.code == 0, ended.err
    assert f"nnUNetv2_train {DATASET} 2d 0 -p nnUNetLeanPlans_1" in ended.out
    (parent,) = runs(folder, "propose")[:1]
    found = children(folder, parent, "propose")
    designs = {each.data.tags["design"] for each in found}
    assert {each.data.params["seed"] for each in found} == {"0", "1"}
    assert len(found) == 2 * len(designs) >= 8
    for each in found:
        widths = json.loads(each.data.params["model.features_per_stage"])
        scores = [1 - 1 / (sum(widths) + case) for case in range(3)]
        assert each.data.metrics["test/dice"] == pytest.approx(np.mean(scores), abs=1e-6)
    (written,) = (folder / "proposals" / parent.info.run_id / "plans").glob("nnUNetLeanPlans_1.json")
    assert artifact(folder, parent, "proposals/plans/nnUNetLeanPlans_1.json").read_text() == written.read_text()
    assert (
        "No score of a retrained design takes part in the choice"
        in artifact(folder, parent, "protocol.txt").read_text()
    )
    assert sorted(path.name for path in plans.parent.iterdir()) == [
        "dataset.json", "gt_segmentations", "nnUNetPlans.json", "nnUNetPlans_2d"
    ]  # fmt: skip
    broken = command(folder, *propose, "retrain.trainer=Broken")
    said = broken.err.splitlines()[-1]
    assert (broken.code, said.startswith("bench: retrain.by: nnUNetv2_train ")) == (2, True)
    assert "failed (no such trainer); its output is in" in said
