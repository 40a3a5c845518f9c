"""`python -m bench validity` from end to end, on very small networks and images."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from running import QUICK_SEARCH, artifact, assert_refused, command, is_drawing, runs, with_store

from bench.commands.validity import baseline_scores, leaderboard, losses_of, validity_report
from bench.pruning.designs import UNetDesign, scaled
from bench.pruning.designs.costs import Pricing
from bench.pruning.judging.results import Retrained
from bench.pruning.search.asker import READINGS
from bench.pruning.search.predictor import FEATURES

SMALL = (
    *QUICK_SEARCH,
    "estimator.probe.steps=10",
    "ask.samples=128",
    "retrain.seeds=2",
    "dataset.size=16",
    "dataset.n=[16,16,8]",
    "model.widths=[2,3]",
    "model.convs_per_level=1",
)


@pytest.mark.processes
def test_diagnostics_are_ranked_by_their_agreement_with_retraining(tmp_path):
    with_store(tmp_path)
    ended = command(tmp_path, "validity", *SMALL)
    assert ended.code == 0, ended.err
    parent = next(run for run in runs(tmp_path, "validity") if run.data.tags.get("sweep") == "parent")
    board = pd.read_csv(artifact(tmp_path, parent, "tables/validity.csv"))
    asked = {f"probe.{view}.{reading}" for view in ("pixel", "patch") for reading in READINGS}
    assert set(board["diagnostic"]) == asked | {"baseline.params", "baseline.flops", "baseline.narrowest"}
    assert (board["spearman"].abs().dropna() <= 1).all()
    assert board["spearman"].is_monotonic_decreasing or board["spearman"].isna().any()
    for row in board.dropna().itertuples():
        assert parent.data.metrics[f"summary/validity.{row.diagnostic}"] == pytest.approx(row.spearman)
        assert row.diagnostic in ended.out
    losses = pd.read_csv(artifact(tmp_path, parent, "tables/losses.csv")).set_index("design")
    assert (losses.loc["base"] == 0).all()
    assert list(losses.columns) == ["0", "1"]
    assert len(losses) >= 10
    assert (board["designs"] <= len(losses)).all()
    assert (board[board["estimator"] == "baseline"]["designs"] == len(losses)).all()
    features = pd.read_csv(artifact(tmp_path, parent, "tables/features.csv"))
    assert len(features) == 2 * len(losses)  # both views
    assert features[list(FEATURES)].notna().any(axis=None)
    base = features[features["design"] == "base"]
    assert (base[["structure", "channels", "loss"]] == 0).all(axis=None)
    assert (base[["params", "flops"]] == 1).all(axis=None)
    of = features.drop_duplicates("design").set_index("design")
    assert of.loc[losses.index, "loss"].to_numpy() == pytest.approx(losses.mean(axis=1).to_numpy())
    assert (of["seeds"] == 2).all()
    assert of["collapsed"].between(0, 1).all()
    assert is_drawing(artifact(tmp_path, parent, "figures/validity.png"))
    judged = "no diagnostic can be judged" if board["ceiling"].isna().all() else "a perfect diagnostic would reach"
    assert judged in ended.out


def test_baseline_diagnostics_are_cost_and_the_narrowest_layer():
    base = UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"))
    model = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1})
    designs = {"base": base, "half": scaled(base, 0.5), "thin": base.with_widths([1, 8, 16, 8, 4])}
    rows = pd.DataFrame(baseline_scores(Pricing(model, (1, 16, 16)), designs))
    scores = rows.pivot(columns="design", index="reading")["bits"]
    assert scores.loc["narrowest"].to_dict() == {"base": -2, "half": -1, "thin": 0}
    assert scores.loc["params"].idxmax() == scores.loc["flops"].idxmax() == "half"
    assert (scores["base"] == scores.min(axis=1)).all()


def test_a_correct_diagnostic_is_ranked_first():
    rng = np.random.default_rng(0)
    designs = [f"design {i}" for i in range(24)]
    truth = rng.gamma(1, 0.02, 24)
    losses = pd.DataFrame(truth[:, None] + rng.normal(0, 0.002, (24, 3)), index=designs)
    scores = [("useless", rng.normal(size=24)), ("true", truth + rng.normal(0, 0.004, 24)), ("reversed", -truth)]
    rows = [
        {"diagnostic": name, "estimator": name, "view": "", "reading": "", "design": design, "bits": bits}
        for name, values in scores
        for design, bits in zip(designs, values, strict=True)
    ]
    board = leaderboard(pd.DataFrame(rows).assign(reliable=True), losses, seed=0).set_index("diagnostic")
    assert list(board.index) == ["true", "useless", "reversed"]
    assert board.loc["true", "low"] > 0.5 > board.loc["useless", "high"]
    assert board["ceiling"].iloc[0] > 0.9

    refused = pd.DataFrame(rows).assign(reliable=True)
    refused.loc[(refused["diagnostic"] == "true") & (refused["design"] == designs[truth.argmax()]), "bits"] = np.nan
    answered = leaderboard(refused, losses, seed=0).set_index("diagnostic")
    assert dict(answered["designs"]) == {"true": 23, "useless": 24, "reversed": 24}
    assert answered.index[0] == "true"


def test_losses_of_pure_noise_cannot_judge_a_diagnostic():
    means, noise = np.linspace(0, 0.01, 6)[:, None], np.array([-1.0, 0, 1])
    losses = pd.DataFrame(means + noise, index=[f"design {i}" for i in range(6)])
    scores = pd.DataFrame({"design": losses.index, "bits": np.arange(6.0)})
    scores = scores.assign(diagnostic="any", estimator="", view="", reading="", reliable=True)
    board = leaderboard(scores, losses, seed=0)
    assert board["ceiling"].isna().all()
    assert "no diagnostic can be judged" in validity_report(board, "val", "phantoms")


def test_losses_are_paired_by_seed():
    runs = pd.DataFrame(
        {"design": ["base", "lean", "base", "lean"], "seed": [0, 0, 1, 1], "val_score": [0.9, 0.8, 0.7, 0.65]}
    )
    losses = losses_of(Retrained(runs, pd.DataFrame()), "val")
    assert losses.loc["lean"].to_numpy() == pytest.approx([0.1, 0.05])
    in_order_of_finishing = Retrained(runs[::-1], pd.DataFrame())
    pd.testing.assert_frame_equal(losses_of(in_order_of_finishing, "val"), losses)


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["judged_on=train"], "judged_on: got 'train', wanted test or val"),
        (["retrain.seeds=1"], "retrain.seeds: got 1, wanted 2 or more"),
        (["ask.samples=3"], "ask.samples: got 3, wanted 64 or more"),
    ],
)
def test_bad_input_is_one_line(tmp_path, overrides, part):
    assert_refused(command(with_store(tmp_path), "validity", *SMALL, *overrides), part)
