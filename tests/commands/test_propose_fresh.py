"""`python -m bench propose` with a new base: a chain, a budget of runs, and networks without designs."""

import pandas as pd
import pytest
from proposing import CLASSES, MASKS, SMALL, assert_verdicts, parent_of, propose
from running import QUIET, artifact, assert_refused, command, runs, with_store


@pytest.mark.processes
def test_a_chain_loses_filters_and_a_repeated_command_trains_no_run_again(tmp_path):
    asked = (*CLASSES, "target.flops=0.6", "retrain.seeds=2", "retrain.baselines=[flat]", "ask.samples=64")
    ended = propose(tmp_path, *asked)
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    compared = pd.read_csv(artifact(tmp_path, parent, "tables/comparisons.csv"))
    assert_verdicts(compared)
    assert "balanced accuracy on test data" in ended.out
    assert "model.filters='[" in ended.out
    assert set(pd.read_csv(artifact(tmp_path, parent, "layers/base.csv"))["n"].dropna()) == {64}  # of 72 images
    before = len(runs(tmp_path, "propose"))
    again = propose(tmp_path, *asked)
    assert again.code == 0, again.err
    assert len(runs(tmp_path, "propose")) == before + 1  # only the parent is new


@pytest.mark.slow
def test_with_folds_every_image_is_test_data_once_for_each_design_and_seed(tmp_path):
    asked = ("target.flops=0.6", "retrain.folds=2", "retrain.seeds=2", "retrain.baselines=[flat]", "ask.samples=64")
    ended = propose(tmp_path, *CLASSES, *asked)
    assert ended.code == 0, ended.err
    assert "a margin of 0.01" in ended.out
    parent = parent_of(tmp_path)
    assert_verdicts(pd.read_csv(artifact(tmp_path, parent, "tables/comparisons.csv")))
    table = pd.read_csv(artifact(tmp_path, parent, "tables/runs.csv"))
    of_base = table[table["design"] == "base"]
    assert sorted(zip(of_base["seed"], of_base["fold"], strict=True)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    of_runs = [run for run in runs(tmp_path, "propose") if run.info.run_id in set(of_base["run"])]
    tested = [pd.read_csv(artifact(tmp_path, run, "test.csv"))["name"] for run in of_runs]
    assert pd.concat(tested).value_counts().tolist() == [2] * 88  # all images, from two seeds


@pytest.mark.parametrize(
    ("budget", "parts"),
    [
        (["retrain.runs=3"], ["retrain.runs: got 3, wanted at least 4: base and one proposal from 2 seeds each"]),
        (["retrain.runs=11", "retrain.folds=3"], ["retrain.runs: got 11, wanted at least 12", "each on 3 folds"]),
    ],
)
def test_a_budget_too_small_for_one_comparison_is_refused_before_a_base_is_trained(tmp_path, budget, parts):
    assert_refused(propose(tmp_path, *MASKS, "target.params=0.5", *budget), *parts)
    assert [run for run in runs(tmp_path, "propose") if "design" in run.data.tags] == []


def test_a_base_that_did_not_learn_is_refused_before_measuring(tmp_path):
    ended = propose(tmp_path, *MASKS, "target.params=0.5", "verify=false", "train.epochs=3")
    base = parent_of(tmp_path).data.tags["base"]
    assert_refused(ended._replace(out=""), f"run: got the base {base}, whose training taught the network nothing")
    again = command(tmp_path, "propose", *SMALL, "target.params=0.5", f"run={base}")
    assert_refused(again, f"run: got the base {base}, whose", "wanted a base that learns: lower train.optimizer.lr")


@pytest.mark.slow
@pytest.mark.parametrize(("most", "dropped"), [(15, [0, 1, 2]), (17, [2])])
def test_a_budget_of_runs_drops_whole_seeds(tmp_path, most, dropped):
    ended = propose(
        tmp_path,
        *MASKS,
        "target.params=0.75",
        "retrain.seeds=3",
        "retrain.baselines=[uniform,flat,magnitude]",
        f"retrain.runs={most}",
    )
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    trained = pd.read_csv(artifact(tmp_path, parent, "tables/runs.csv"))
    assert most - 2 <= len(trained) <= most
    seeds = trained.groupby("design")["seed"].agg(sorted)
    assert all(each == [0, 1, 2][: len(each)] for each in seeds)
    assert seeds["base"] == [0, 1, 2]
    missing = artifact(tmp_path, parent, "not_run.txt").read_text().split("\n")
    assert missing == [f"uniform_at_params seed {seed}" for seed in dropped]
    verdicts = pd.read_csv(artifact(tmp_path, parent, "tables/comparisons.csv")).set_index("baseline")["verdict"]
    assert (verdicts["uniform_at_params"] == "not run") == (dropped == [0, 1, 2])


@pytest.mark.processes
def test_without_verification_only_the_base_is_trained(tmp_path):
    in_colour = ("dataset.channels=3", "dataset.classes=3")
    ended = propose(tmp_path, *MASKS, *in_colour, "target.params=0.5", "verify=false")
    assert ended.code == 0, ended.err
    trained = [run.data.tags["design"] for run in runs(tmp_path, "propose") if "design" in run.data.tags]
    assert trained == ["base"]
    (parent,) = (run for run in runs(tmp_path, "propose") if run.data.tags.get("sweep") == "parent")
    assert "lean_1 has not been retrained" in artifact(tmp_path, parent, "pages/lean_1.html").read_text()
    assert "They were not retrained" in parent.data.tags["mlflow.note.content"]


def test_a_network_whose_parts_cannot_be_switched_off_is_refused(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "linear.yaml").write_text(
        "_target_: models.Custom\nin_channels: 1\ninput_size: null\n"
        "network: {_target_: torch.nn.Sequential, _args_: [{_target_: torch.nn.Conv2d, in_channels: 1, "
        "out_channels: 1, kernel_size: 1}]}\n"
        "taps: null\n"
    )
    ended = command(with_store(tmp_path), "propose", "--config-dir", str(tmp_path), *SMALL, *MASKS[:2], "model=linear")
    assert_refused(ended, "Custom, whose parts can't be switched; wanted one of models.UNet, models.CNN")


@pytest.mark.parametrize("refused", ["ask.by=kde.pixel", "ask.views=[image]", "dataset.n=[8,8,8]"])
def test_bad_settings_are_refused_before_a_base_is_trained(tmp_path, refused):
    ended = propose(with_store(tmp_path), *MASKS, "target.params=0.5", refused)
    assert_refused(ended, refused.split("=")[0] if refused.startswith("ask") else "wanted at least 32; add")
    assert runs(tmp_path, "propose") == []


def test_an_estimator_that_takes_no_third_variable_is_refused(tmp_path):
    overrides = (*QUIET, *MASKS, "device=cpu", "estimator=[kde]", "target.params=0.5")
    ended = command(with_store(tmp_path), "propose", *overrides)
    assert_refused(ended, "ask.by: got kde, which takes no third variable, wanted probe, renyi_2 or ksg")
    assert runs(tmp_path, "propose") == []
