"""`python -m bench propose` of bases of their own: a chain, a budget, networks that can't be chosen from."""

import re

import pandas as pd
import pytest
from proposing import CLASSES, MASKS, SMALL, assert_verdicts, parent_of, propose
from running import QUIET, artifact, assert_refused, command, runs, with_store


def test_filters_of_a_chain(tmp_path):
    ended = propose(tmp_path, *CLASSES, "target.flops=0.6", "retrain.seeds=2", "retrain.randoms=0", "ask.samples=64")
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    compared = pd.read_csv(artifact(tmp_path, parent, "tables/comparisons.csv"))
    assert_verdicts(compared)
    assert "balanced accuracy on test data" in ended.out
    assert "model.filters='[" in ended.out
    assert set(pd.read_csv(artifact(tmp_path, parent, "layers/base.csv"))["n"].dropna()) == {64}  # of 72 images


def test_a_budget_of_runs_leaves_whole_seeds(tmp_path):
    ended = propose(tmp_path, *MASKS, "target.params=0.75", "retrain.seeds=3", "retrain.randoms=0", "retrain.runs=13")
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    table = pd.read_csv(artifact(tmp_path, parent, "tables/runs.csv"))
    assert set(table.groupby("design")["seed"].count()) <= {1, 3}
    assert 12 <= len(table) <= 13
    missing = artifact(tmp_path, parent, "not_run.txt").read_text().split("\n")
    assert any("seed 2" in line for line in missing)
    compared = pd.read_csv(artifact(tmp_path, parent, "tables/comparisons.csv"))
    assert "not run" in set(compared["verdict"])


def test_without_verifying_nothing_but_the_base_is_trained(tmp_path):
    in_colour = ("dataset.channels=3", "dataset.classes=3")
    ended = propose(tmp_path, *MASKS, *in_colour, "target.params=0.5", "verify=false")
    assert ended.code == 0, ended.err
    trained = [run.data.tags["design"] for run in runs(tmp_path, "propose") if "design" in run.data.tags]
    assert trained == ["base"]


def test_a_network_whose_parts_cannot_be_switched(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "linear.yaml").write_text(
        "_target_: torch.nn.Conv2d\nin_channels: 1\nout_channels: 1\nkernel_size: 1\n"
    )
    ended = command(with_store(tmp_path), "propose", "--config-dir", str(tmp_path), *SMALL, *MASKS[:2], "model=linear")
    assert_refused(ended, "Conv2d, whose parts can't be switched; wanted one of models.UNet, models.CNN")


@pytest.mark.parametrize("refused", ["ask.by=kde.pixel", "ask.views=[image]", "dataset.n=[8,8,8]"])
def test_what_cannot_be_asked_is_refused_before_a_base_is_trained(tmp_path, refused):
    ended = propose(with_store(tmp_path), *MASKS, "target.params=0.5", refused)
    assert_refused(ended, refused.split("=")[0] if refused.startswith("ask") else "wanted at least 32 to ask by")
    assert runs(tmp_path, "propose") == []


SMP = ("model=smp", "model.encoder_name=resnet18", "dataset.size=32")
LIBRARIES = {
    "smp's unet": (*SMP, "model.encoder_depth=3", "model.decoder_channels=[16,8,8]", "target.params=0.5"),
    "smp's manet": (*SMP, "model.architecture=manet", "model.encoder_depth=3", "target.params=0.6"),
    "UNet": ("model=monai", "+model.arguments.channels=[4,6,8,8]", "+model.arguments.strides=[2,2,2]"),
    "AttentionUnet": (
        "model=monai",
        "model.network=AttentionUnet",
        "+model.arguments.channels=[4,6,8]",
        "+model.arguments.strides=[2,2]",
    ),
    "BasicUNet": (
        "model=monai",
        "model.network=BasicUNet",
        "+model.arguments.features=[4,4,6,8,8,4]",
        "dataset.size=32",
    ),
}
QUICK = ("smp's unet", "UNet")


@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in LIBRARIES]
)
def test_networks_of_others_are_asked_and_their_leaner_designs_can_be_trained(tmp_path, name):
    data = ("dataset.n=[24,16,8]", "dataset.size=16")
    ended = propose(tmp_path, *data, "target.params=0.5", *LIBRARIES[name], "verify=false")
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    asked = pd.read_csv(artifact(tmp_path, parent, "asked.csv"))
    assert asked["bits"].notna().all()
    of_a_level = asked["what"].str.startswith("level") & asked["given"].notna()
    assert of_a_level.any() == (name != "BasicUNet")  # whose five levels are fixed
    proposals = pd.read_csv(artifact(tmp_path, parent, "tables/proposals.csv"))
    assert len(proposals) >= 1
    line = re.search(r"python -m bench (--config-dir \S+ \+experiment=retrain model=lean_1)", ended.out)[1]
    trained = command(tmp_path, *line.split(), *QUIET, "train.epochs=1", "tracking.experiment=again")
    assert trained.code == 0, trained.err
    (run,) = runs(tmp_path, "again")
    assert run.data.metrics["cost/params"] == proposals.set_index("design").loc["lean_1", "params"]
