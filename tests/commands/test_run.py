import json
import re

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from running import TINY, artifact, artifacts, composed, is_drawing, layers, points, process, runs, tiny, uri

import bench
from bench.config.build import build_network, fill_in
from bench.datasets import phantoms

DATA = {"n": (32, 16, 16), "size": 16, "difficulty": 0.0}
TAPS = ["enc1.conv1", "enc1.conv2", "bottleneck.conv1", "bottleneck.conv2", "up1", "dec1.conv1", "dec1.conv2", "out"]
DEPTHS = [0, 17, 33, 50, 62, 75, 88, 100]  # steps of 50/3 to the last bottleneck tap, then of 50/4


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run a small version of the default run, which measures epoch 0, epoch 3 and the best epoch."""
    folder = tmp_path_factory.mktemp("run")
    ended = tiny(
        folder,
        "dataset.n=[32,16,16]",
        "dataset.difficulty=0",
        "estimator=[renyi,kde]",
        "diagnostic=[u_plot,information_plane,bottleneck]",
        "train.epochs=6",
        "train.batch_size=4",
        "train.loss=dice",
        "train.optimizer.lr=0.03",
        # a high learning rate damages the last two epochs, so that the best epoch is not the last
        "train.schedule={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:4,gamma:1000}",
        "probe.epochs=[3,1000]",
        "probe.untrained_seeds=2",
    )
    assert ended.code == 0, ended.err
    (folder / "printed").write_text(ended.out)
    return folder


@pytest.fixture(scope="module")
def run(folder):
    (run,) = runs(folder)
    assert run.info.status == "FINISHED"
    return run


def test_artifacts(folder, run):
    assert artifacts(folder, run) == {
        "config.yaml", "dataset.json", "figures", "layers.csv", "tables", "test.csv", "weights.pt"
    }  # fmt: skip
    assert is_drawing(artifact(folder, run, "figures/u_plot.png"))
    assert is_drawing(artifact(folder, run, "figures/information_plane.png"))


def test_layers_have_the_untrained_references_the_epochs_and_the_best(folder, run):
    rows = layers(folder, run)
    best = run.data.metrics["summary/best_epoch"]
    assert 1 <= best <= 4
    expected = {("untrained", 0, 1), ("untrained", 0, 2), ("epoch", 0, 0), ("epoch", 3, 0), ("best", best, 0)}
    assert set(rows[["weights", "epoch", "seed"]].itertuples(index=False, name=None)) == expected
    for _, measured in rows.groupby(["weights", "epoch", "seed", "estimator", "quantity", "view"]):
        assert measured.sort_values("order")["tap"].tolist() == ["input", *TAPS]


def test_untrained_references_and_epoch_0_are_different_initialisations(folder, run):
    rows = layers(folder, run).query("tap == 'enc1.conv1' and quantity == 'I(X;T)' and estimator == 'kde'")
    assert rows[(rows["epoch"] == 0)]["bits"].nunique() == 3


def test_charts_in_training_are_those_of_the_primary_estimator(folder, run):
    rows = layers(folder, run).query("weights == 'epoch' and estimator == 'renyi' and tap == 'up1' and view == 'image'")
    for key, quantity in {"layers.xt/up1": "I(X;T)", "layers.ty/up1": "I(T;Y)"}.items():
        expected = rows[rows["quantity"] == quantity].set_index("epoch")["bits"].to_dict()
        assert points(folder, run, key) == pytest.approx(expected)
        assert set(expected) == {0, 3}
    assert sorted(points(folder, run, "val/score")) == list(range(7))
    assert sorted(points(folder, run, "train/loss")) == list(range(1, 7))


@pytest.mark.parametrize("estimator", ["renyi", "kde"])
@pytest.mark.parametrize(("key", "quantity"), [("I_XT", "I(X;T)"), ("I_TY", "I(T;Y)")])
def test_profile_is_the_best_checkpoint_by_relative_depth(folder, run, estimator, key, quantity):
    rows = layers(folder, run).query(
        "weights == 'best' and estimator == @estimator and quantity == @quantity and view == 'image'"
    )
    bits = rows["excess"].fillna(rows["bits"]).set_axis(rows["tap"])  # above the null, if the estimate has one
    assert rows["excess"].notna().any() or (estimator, key) == ("kde", "I_XT")
    expected = {depth: bits[tap] for tap, depth in zip(TAPS, DEPTHS, strict=True)}
    assert points(folder, run, f"profile/{key}.{estimator}") == pytest.approx(expected)


def test_number_of_metrics_stays_small(run):
    assert len(run.data.metrics) < 100


def test_parameters_are_the_flattened_config(folder, run):
    config = yaml.safe_load(artifact(folder, run, "config.yaml").read_text())
    (flat,) = pd.json_normalize(config).to_dict("records")
    assert run.data.params == {key: str(value) for key, value in flat.items()} | {"design": "unet widths=[4,8]"}
    assert flat["model.widths"] == [4, 8]
    assert flat["model.in_channels"] == 1  # null in conf, set from the data
    assert flat["seed"] == 0


def test_dataset_is_an_input_with_the_fingerprint_of_its_data(folder, run):
    (given,) = run.inputs.dataset_inputs
    card = json.loads(artifact(folder, run, "dataset.json").read_text())
    assert given.dataset.name == "phantoms"
    assert given.dataset.digest == card["fingerprint"] == phantoms(**DATA).fingerprint
    assert card["n"] == {"train": 32, "val": 16, "test": 16}


def test_loaded_network_has_the_logged_dice(folder, run):
    network = bench.load(run.info.run_id, uri(folder))
    test = phantoms(**DATA).test
    with torch.no_grad():
        found = network(test.images)[:, 0] > 0
    truth = test.targets > 0
    dice = 2 * (found & truth).sum((1, 2)) / (found.sum((1, 2)) + truth.sum((1, 2)))
    logged = run.data.metrics
    assert 0.3 < logged["test/dice"] < 1  # the network learned, and the score is not a trivial 0 or 1
    assert dice.mean().item() == pytest.approx(logged["test/dice"], abs=1e-6)
    assert logged["test/dice_low"] < logged["test/dice"] < logged["test/dice_high"]
    images = pd.read_csv(artifact(folder, run, "test.csv"))
    np.testing.assert_allclose(images["dice"], dice, atol=1e-6)


def test_loaded_network_is_the_best_checkpoint(folder, run):
    scores = points(folder, run, "val/score")
    best = int(run.data.metrics["summary/best_epoch"])
    assert scores[best] == run.data.metrics["summary/val_score"] == max(scores[epoch] for epoch in range(1, 7))


def test_cost_counts_the_parameters(folder, run):
    network = bench.load(run.info.run_id, uri(folder))
    # 3x3 without bias and batch norm: 1-4 44, 4-4 152, 4-8 304, 8-8 592, 8-4 296, 4-4 152; up 132; out 5
    assert sum(parameter.numel() for parameter in network.parameters()) == 1677
    assert run.data.metrics["cost/params"] == 1677


def test_prints_the_table_and_the_next_commands(folder, run):
    printed = (folder / "printed").read_text()
    rows = layers(folder, run).query("estimator == 'renyi' and tap == 'enc1.conv2' and view == 'image'")
    lines = [line for line in printed.splitlines() if line.startswith("enc1.conv2")]
    for line, quantity in zip(lines, ("I(T;Y)", "I(X;T)"), strict=True):
        of = rows[rows["quantity"] == quantity]
        best, untrained = of[of["weights"] == "best"].iloc[0], of[(of["weights"] != "best") & (of["epoch"] == 0)]
        values = [best["excess"], *(best[["low", "high"]] - best["null_mean"]), untrained["excess"].mean()]
        assert re.findall(r"-?\d+\.\d{3}", line) == [f"{value:.3f}" for value in values]
    assert "kde, pixel view: " in printed
    assert f"test dice {run.data.metrics['test/dice']:.3f}" in printed
    assert run.info.run_id in printed
    assert f"mlflow ui --host 127.0.0.1 --backend-store-uri {uri(folder)}" in printed


def test_classification(tmp_path):
    ended = tiny(
        tmp_path,
        "model=cnn",
        "dataset.task=classification",
        "dataset.size=28",
        "dataset.n=[64,16,32]",
        "dataset.difficulty=0",
        "train.epochs=6",
        "train.optimizer.lr=0.03",
        # a high learning rate damages the last two epochs, so that the best epoch is not the last
        "train.schedule={_target_:torch.optim.lr_scheduler.StepLR,_partial_:true,step_size:4,gamma:1000}",
        "probe.epochs=[0]",
        "probe.views=null",
    )
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path)
    test = phantoms("classification", size=28, n=(64, 16, 32), difficulty=0).test
    with torch.no_grad():
        logits = bench.load(run.info.run_id, uri(tmp_path))(test.images)
    right = (logits.argmax(1) == test.targets).double()
    balanced = torch.stack([right[test.targets == label].mean() for label in (0, 1)]).mean()
    margin = logits[:, 1] - logits[:, 0]
    ranked = margin[test.targets == 1][:, None] - margin[test.targets == 0][None]  # AUROC: share of pairs in order
    logged = run.data.metrics
    assert logged["test/accuracy"] == pytest.approx(right.mean().item())
    assert logged["test/accuracy_low"] <= logged["test/accuracy"] <= logged["test/accuracy_high"]
    assert logged["test/balanced_accuracy"] == pytest.approx(balanced.item())
    assert logged["test/auroc"] == pytest.approx((ranked > 0).double().mean().item(), abs=1e-6)
    assert logged["test/auroc"] > 0.5
    assert set(layers(tmp_path, run)["label_view"].dropna()) == {"classes"}


def test_a_class_that_the_network_never_predicts_is_reported_and_tagged(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.training.validation.missed_classes", lambda *_: ("organ",))
    monkeypatch.setattr("bench.training.train.find_collapse", lambda *_: None)
    ended = tiny(tmp_path, "estimator=[]", "diagnostic=[]")
    assert ended.out.count("classes of the validation data that the network never predicts: organ;") == 1
    (run,) = runs(tmp_path)
    assert (run.data.tags["missed"], run.data.metrics["summary/missed_classes"]) == ("organ", 1)


@pytest.mark.parametrize(
    ("preset", "data", "parameters"),
    [
        ("unet_lee2021", {"channels": 3, "size": 32}, 1_941_105),
        # 61,706 with ten classes, less five outputs of 84 weights and a bias
        ("lenet5", {"task": "classification", "classes": 5, "size": 28}, 61_706 - 5 * 85),
    ],
)
def test_published_presets(preset, data, parameters):
    config = composed(f"model={preset}")
    fill_in(config.model, phantoms(n=(4, 4, 4), **data))
    assert sum(parameter.numel() for parameter in build_network(config.model, seed=0).parameters()) == parameters


@pytest.mark.processes
@pytest.mark.parametrize("loss", ["auto", "dice"])  # MONAI has the Dice loss and loads MLflow before the run does
def test_libraries_print_no_log_messages(tmp_path, loss):
    small = [override for override in TINY if not override.startswith("train.epochs")]
    run = process(tmp_path, *small, "train.epochs=0", f"train.loss={loss}")
    out, _ = run.communicate(timeout=200)
    assert run.returncode == 0
    assert "[INFO]" not in out
