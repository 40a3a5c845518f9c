"""`python -m bench propose` from end to end, on networks and images as small as they can be."""

import re
import shutil

import onnx
import pandas as pd
import pytest
import torch
from running import ASKING, artifact, artifacts, assert_refused, command, is_drawing, runs, store, uri, with_store

import bench

SMALL = (
    *ASKING,
    "estimator.probe.steps=20",
    "ask.samples=160",
    "ask.margin=100",
)
MASKS = ("dataset.size=16", "dataset.n=[24,16,8]", "model.widths=[3,4]")
CLASSES = ("dataset.task=classification", "dataset.size=16", "dataset.n=[56,16,16]", "model=cnn", "model.filters=[3,4]")


def propose(folder, *overrides):
    with_store(folder)
    return command(folder, "propose", *SMALL, *overrides)


def parent_of(folder):
    return next(run for run in runs(folder, "propose") if run.data.tags.get("sweep") == "parent")


def assert_verdicts(compared):
    same = compared["verdict"] == "same design"
    assert set(compared[~same]["verdict"]) <= {"better", "no worse", "worse", "undecided"}
    assert (compared[same][["gain", "low", "high"]] == 0).all(axis=None)
    assert (compared[same][["params_of_control", "flops_of_control"]] == 1).all(axis=None)


@pytest.fixture(scope="module")
def verified(tmp_path_factory):
    folder = tmp_path_factory.mktemp("verified")
    ended = propose(folder, *MASKS, "target.params=0.5", "retrain.seeds=2", "retrain.randoms=1")
    assert ended.code == 0, ended.err
    return folder, ended, parent_of(folder)


def test_designs_costs_and_reasons_are_told(verified):
    folder, ended, parent = verified
    table = pd.read_csv(artifact(folder, parent, "tables/proposals.csv"))
    assert (table["params"].diff().dropna() < 0).all()
    assert (table["params_fewer"] >= 2).any()
    for row in table.itertuples():
        assert f"{row.design}: {row.params:,} parameters" in ended.out
        assert row.overrides in ended.out
        assert row.why.splitlines()[0] in ended.out


def test_every_question_is_kept(verified):
    folder, _, parent = verified
    asked = pd.read_csv(artifact(folder, parent, "asked.csv"))
    assert {"pixel", "patch"} == set(asked["view"])
    assert asked["bits"].notna().all()
    assert (asked["low"] <= asked["high"]).all()
    answers = pd.read_csv(artifact(folder, parent, "tables/answers.csv"))
    assert {"skip 1", "level 2", "encoder 1", "encoder 2", "decoder 1"} == set(answers["part"])


def test_controls_cost_as_much_and_every_verdict_is_a_word(verified):
    folder, ended, parent = verified
    compared = pd.read_csv(artifact(folder, parent, "tables/comparisons.csv")).set_index("control")
    kinds = ("uniform", "flat", "magnitude", "random1")
    assert set(compared.index) == {"base", *(f"{kind}_at_{cost}" for kind in kinds for cost in ("params", "flops"))}
    assert_verdicts(compared)
    assert ((compared["low"] <= compared["gain"]) & (compared["gain"] <= compared["high"])).all()
    assert "chosen by validation" in ended.out


def test_retraining_is_one_sweep_of_equal_runs(verified):
    folder, _, parent = verified
    children = [run for run in runs(folder, "propose") if run.data.tags.get("sweep") == parent.info.run_id]
    table = pd.read_csv(artifact(folder, parent, "tables/runs.csv"))
    assert set(table["run"]) == {run.info.run_id for run in children}
    assert {run.data.params["train.epochs"] for run in children} == {"1"}
    assert set(table.groupby("design")["seed"].apply(frozenset)) == {frozenset({0, 1})}


def test_figures_protocol_and_tables_are_logged(verified):
    folder, _, parent = verified
    for name in ("pareto", "training", "what_is_kept"):
        assert is_drawing(artifact(folder, parent, f"figures/{name}.png"))
    assert "No worse: above -0.01" in artifact(folder, parent, "protocol.txt").read_text()
    assert {"asked.csv", "proposals", "tables", "layers", "proposal.onnx"} <= artifacts(folder, parent)


def test_the_chosen_network_is_handed_over(verified):
    folder, _, parent = verified
    network = bench.load(parent.data.tags["proposal"], uri(folder))
    images = torch.randn(3, 1, 16, 16)
    session = onnx.reference.ReferenceEvaluator(onnx.load(artifact(folder, parent, "proposal.onnx")))
    assert torch.allclose(torch.tensor(session.run(None, {"images": images.numpy()})[0]), network(images), atol=1e-5)


def test_a_proposal_is_a_choice_of_model(verified):
    folder, ended, _ = verified
    line = re.search(r"python -m bench (--config-dir \S+ \+experiment=retrain model=lean_1)", ended.out)[1]
    composed = command(folder, *line.split(), "--cfg", "job")
    assert composed.code == 0, composed.err
    assert "_target_: models.UNet" in composed.out


def test_the_same_again_trains_nothing_again(verified):
    folder = verified[0]
    again = shutil.copytree(folder, folder.parent / "again")
    before = len(runs(again, "propose"))
    ended = propose(again, *MASKS, "target.params=0.5", "retrain.seeds=2", "retrain.randoms=1")
    assert ended.code == 0, ended.err
    assert len(runs(again, "propose")) == before + 1  # the parent alone


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


def test_a_tracked_run_as_the_base(verified, tmp_path):
    folder, _, parent = verified
    ended = command(folder, "propose", *SMALL, f"run={parent.data.tags['base']}", "target.params=0.5", "verify=false")
    assert ended.code == 0, ended.err
    newest = runs(folder, "propose")[-1]
    assert newest.data.tags["base"] == parent.data.tags["base"]


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["run=0123"], ["run: got 0123, wanted a run of sqlite"]),
        (["target.params=2"], ["target.params: got 2.0, wanted a share"]),
        (["target.flops=0"], ["target.flops: got 0.0, wanted a share"]),
        (["target.loss=null"], ["target: got none, wanted at least one"]),
        (["retrain.seeds=1"], ["retrain.seeds: got 1, wanted 2 or more", "no verdict", "verify=false"]),
        (["ask.by=kde.pixel"], ["ask.by: got 'kde.pixel', wanted one of probe.pixel, probe.patch"]),
        (["ask.views=[image]", "target.params=0.5"], ["ask.views"]),
        (["dataset.n=[8,8,8]"], ["got 16 images to train and validate on, wanted at least 32"]),
        (["retrain.runs=3", "target.params=0.5"], ["retrain: got 1 seeds for which", "wanted 2 or more"]),
        (["target.params=0.0001", "verify=false"], ["target.params: got 0.0001, wanted at least", "gives up"]),
    ],
)
def test_bad_input_is_one_line(verified, overrides, parts, tmp_path):
    folder = shutil.copytree(verified[0], tmp_path / "copy")
    assert_refused(propose(folder, *MASKS, *overrides)._replace(out=""), *parts)


def test_a_base_that_did_not_finish_or_lost_its_data(verified, tmp_path):
    folder = shutil.copytree(verified[0], tmp_path / "copy")
    parent = parent_of(folder)
    client, base = store(folder), parent.data.tags["base"]
    assert_refused(
        command(folder, "propose", *SMALL, f"run={parent.info.run_id}"), "wanted a run that trained a network"
    )
    client.set_terminated(base, "KILLED")
    assert_refused(command(folder, "propose", *SMALL, f"run={base}"), f"run: got {base}, which is KILLED")


def test_a_network_whose_parts_cannot_be_switched(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "linear.yaml").write_text(
        "_target_: torch.nn.Conv2d\nin_channels: 1\nout_channels: 1\nkernel_size: 1\n"
    )
    ended = command(with_store(tmp_path), "propose", "--config-dir", str(tmp_path), *SMALL, *MASKS[:2], "model=linear")
    assert_refused(ended, "Conv2d, whose parts can't be switched; wanted one of models.UNet, models.CNN")
