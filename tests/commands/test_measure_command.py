"""`python -m bench measure` from end to end: runs of this suite, and checkpoints of other libraries and scripts."""

import pandas as pd
import pytest
import torch
import yaml
from measuring import SMALL, measured, save
from monai.networks import nets
from running import QUICK_SEARCH, QUIET, command, layers, runs, tiny, uri, with_store
from torch import nn
from torchvision.models import resnet18

import bench
from bench.datasets import phantoms
from bench.training.evaluate import evaluate

pytestmark = pytest.mark.processes

CLASSES = ("dataset.task=classification", "dataset.channels=3")
DATA = {"n": (16, 16, 8), "size": 32}


def dice(network, data):
    return evaluate(network.eval(), data, "test", seed=0)[0]["dice"]


# A run of this suite


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """Train a small network with two estimators and all moments; measure it again by its id."""
    folder = tmp_path_factory.mktemp("trained")
    settings = ("estimator=[ksg_mixture,probe]", "estimator.probe.steps=20", "diagnostic=[u_plot,bottleneck]", "seed=3")
    ended = tiny(folder, *settings, "train.epochs=2", "train.optimizer.lr=0.01")
    assert ended.code == 0, ended.err
    (run,) = runs(folder)
    ended = command(folder, "measure", *QUIET, f"run='{run.info.run_id[:10]}'", "device=cpu")
    assert ended.code == 0, ended.err
    return folder, run, runs(folder)[-1], ended.out


def same(one, other):
    columns = ["seconds", "weights"]
    one, other = (rows.drop(columns=columns).reset_index(drop=True) for rows in (one, other))
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-6)
    assert len(one) > 20


def test_a_run_measured_again_has_the_same_table(trained):
    folder, run, again, _ = trained
    first, second = layers(folder, run), layers(folder, again)
    same(first[first["weights"] == "best"], second[second["weights"] == "best"])
    before = first[(first["weights"] == "epoch") & (first["epoch"] == 0)]
    same(before, second[second["weights"] == "untrained"])
    assert set(first["estimator"]) == set(second["estimator"]) == {"ksg_mixture", "probe"}


def test_a_run_measured_again_has_the_same_scores_and_is_told_apart(trained):
    _, run, again, printed = trained
    for key, value in run.data.metrics.items():
        if key.startswith(("test/", "profile/", "summary/")) and "collapsed" not in key:
            assert again.data.metrics[key] == pytest.approx(value, abs=1e-6), key
    assert again.data.tags["kind"] == "measure"
    assert again.data.tags["design"] == f"unet widths=[4,8] of run {run.info.run_id[:8]}"
    assert f"weights: 40 tensors of run {run.info.run_id}" in printed


def test_overrides_change_what_is_measured_of_a_run(trained):
    folder, run, _, _ = trained
    ended = command(
        folder, "measure", *QUIET, f"run={run.info.run_id}", "device=cpu", "estimator=[kde]", "probe.views=[pixel]",
        "probe.untrained_seeds=0", "probe.taps=[out]", "probe.split=train",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    rows = layers(folder, runs(folder)[-1])
    assert rows[["tap", "view", "estimator", "weights", "split", "seed"]].drop_duplicates().values.tolist() == [
        ["input", "pixel", "kde", "best", "train", 3], ["out", "pixel", "kde", "best", "train", 3]
    ]  # fmt: skip


def test_a_measured_run_is_loaded_and_compared_and_is_a_base_of_propose(trained):
    folder, run, again, _ = trained
    network = bench.load(again.info.run_id, uri(folder))
    x = torch.rand(2, 1, 16, 16)
    assert torch.equal(network(x), bench.load(run.info.run_id, uri(folder))(x))
    compared = command(folder, "compare", f"runs=[{run.info.run_id},{again.info.run_id}]")
    assert compared.code == 0, compared.err
    assert "unet widths=[4,8] of run" in compared.out
    ended = command(
        folder, "propose", *QUICK_SEARCH, f"run={again.info.run_id}", "target.params=0.5", "ask.samples=128",
        "verify=false",
    )  # fmt: skip
    assert ended.code == 0, ended.err
    (proposal,) = runs(folder, "propose")
    retrain = folder / "proposals" / proposal.info.run_id / "experiment" / "retrain.yaml"
    assert yaml.safe_load(retrain.read_text())["train"]["epochs"] == 1  # as this command asks


# Checkpoints of other libraries and scripts


def test_a_lightning_checkpoint_of_smp(tmp_path):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(1)
    network = smp.Unet("resnet18", encoder_weights=None, in_channels=1, encoder_depth=3, decoder_channels=(16, 8, 8))
    save(network, tmp_path / "best.ckpt", "model.")
    printed, run = measured(
        tmp_path, "model=smp", "model.encoder_depth=3", "model.decoder_channels=[16,8,8]", "weights=best.ckpt"
    )
    assert run.data.metrics["test/dice"] == pytest.approx(dice(network, phantoms(**DATA)), abs=1e-6)
    assert "whose names begin with model." in printed
    assert run.info.run_name == run.data.params["design"] == "smp best.ckpt"
    rows = layers(tmp_path, run)
    assert {"best", "untrained"} == set(rows["weights"])
    wide = rows.pivot_table(index="tap", columns="weights", values="bits")
    assert (wide.drop(["input"])["best"] != wide.drop(["input"])["untrained"]).any()


def test_a_checkpoint_of_monai_with_two_logits_of_a_binary_mask(tmp_path):
    torch.manual_seed(1)
    network = nets.BasicUNet(2, 1, 2, features=(4, 4, 4, 4, 4, 4))
    save(network, tmp_path / "monai.pt")
    _, run = measured(
        tmp_path, "model=monai", "model.network=BasicUNet", "+model.arguments.features=[4,4,4,4,4,4]",
        "model.out_channels=2", "weights=monai.pt",
    )  # fmt: skip

    class Foreground(nn.Module):
        def forward(self, x):
            both = network(x)
            return both[:, 1:] - both[:, :1]

    assert run.data.metrics["test/dice"] == pytest.approx(dice(Foreground(), phantoms(**DATA)), abs=1e-6)
    assert layers(tmp_path, run)["tap"].iloc[-1] == "out"


def test_a_checkpoint_of_torchvision_that_never_predicts_a_class(tmp_path):
    torch.manual_seed(1)
    network = resnet18(num_classes=2)
    with torch.no_grad():
        network.fc.bias[1] = -100
    save(nn.DataParallel(network), tmp_path / "resnet.pth")
    printed, run = measured(
        tmp_path, *CLASSES, "model=custom", "model.network._target_=torchvision.models.resnet18",
        "+model.network.num_classes=2", "weights=resnet.pth",
    )  # fmt: skip
    data = phantoms("classification", channels=3, **DATA)
    wanted = evaluate(network.eval(), data, "test", seed=0)[0]["accuracy"]
    assert run.data.metrics["test/accuracy"] == pytest.approx(wanted)
    assert {"layer1.0.bn2", "layer4.1.bn1", "fc"} <= set(layers(tmp_path, run)["tap"])
    missed = data.classes[1]
    assert (run.data.tags["missed"], run.data.metrics["summary/missed_classes"]) == (missed, 1)
    assert printed.count(f"classes of the validation data that the network never predicts: {missed}\n") == 1


def test_a_transformer_of_timm_with_chosen_layers(tmp_path):
    timm = pytest.importorskip("timm")
    torch.manual_seed(1)
    network = timm.create_model("vit_tiny_patch16_224", img_size=32, depth=2, num_classes=2)
    save(network, tmp_path / "vit.pt")
    _, run = measured(
        tmp_path, *CLASSES, "model=custom", "model.network._target_=timm.create_model",
        "+model.network.model_name=vit_tiny_patch16_224", "+model.network.img_size=32", "+model.network.depth=2",
        "+model.network.num_classes=2", "model.taps=['blocks.*.mlp','blocks.0']", "weights=vit.pt",
    )  # fmt: skip
    rows = layers(tmp_path, run)
    assert list(dict.fromkeys(rows["tap"])) == ["input", "blocks.0.mlp", "blocks.0", "blocks.1.mlp", "head"]
    assert set(rows[rows["tap"] == "blocks.0"]["channels"]) == {192}
    assert set(rows[rows["tap"] == "blocks.0"]["level"]) == {5}


def test_an_exported_network_and_a_class_with_weights_of_its_own(tmp_path, monkeypatch):
    torch.manual_seed(1)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)).eval()
    batch = {0: torch.export.Dim("batch")}
    program = torch.export.export(network, (torch.rand(2, 1, 32, 32),), dynamic_shapes=(batch,))
    torch.export.save(program, tmp_path / "network.pt2")
    (tmp_path / "mine.py").write_text(
        "import torch\nfrom torch import nn\n\ndef trained():\n"
        "    torch.manual_seed(1)\n"
        "    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1))\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    of_file, first = measured(tmp_path, "model=file", "model.path=network.pt2")
    of_class, second = measured(
        tmp_path, "model=custom", "model.network._target_=mine.trained", "weights=model", "trust=[mine]"
    )
    assert "There is no untrained reference" in of_file
    assert "There is no untrained reference" in of_class
    one, other = (layers(tmp_path, run).drop(columns="seconds") for run in (first, second))
    pd.testing.assert_frame_equal(one, other, rtol=0, atol=1e-5)
    assert set(one["weights"]) == {"best"}


def test_a_sweep_over_checkpoints_is_compared(tmp_path):
    for seed in (1, 2):
        torch.manual_seed(seed)
        save(nets.BasicUNet(2, 1, 1, features=(4, 4, 4, 4, 4, 4)), tmp_path / f"{seed}.pt")
    with_store(tmp_path)
    network = ("model=monai", "model.network=BasicUNet", "+model.arguments.features=[4,4,4,4,4,4]")
    ended = command(tmp_path, "-m", "measure", *SMALL, *network, "weights=1.pt,2.pt")
    assert ended.code == 0, ended.err
    compared = command(tmp_path, "compare")
    assert compared.code == 0, compared.err
    assert "weights=1.pt" in compared.out
