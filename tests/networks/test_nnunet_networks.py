"""Networks of nnU-Net: outputs equal those of its library, taps have its names, and bad checkpoints are refused."""

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from dynamic_network_architectures.architectures import unet
from nnunet_files import LABELS, plans_content, write_checkpoint, write_plans
from torch import nn

from models import NnUnet
from models.nnunet_checkpoint import read_checkpoint

KINDS = ("PlainConvUNet", "ResidualEncoderUNet")


def of_library(content: dict, configuration: str, outputs: int, deep_supervision: bool = True) -> nn.Module:
    """Build the network as nnU-Net does in training, with heads at all resolutions."""
    entry = content["configurations"][configuration]["architecture"]
    dims = 2 if configuration == "2d" else 3
    kinds = {
        "conv_op": getattr(nn, f"Conv{dims}d"),
        "norm_op": getattr(nn, f"InstanceNorm{dims}d"),
        "dropout_op": None,
        "nonlin": nn.LeakyReLU,
    }
    kind = getattr(unet, entry["network_class_name"].rpartition(".")[2])
    arguments = entry["arch_kwargs"] | kinds
    return kind(input_channels=1, num_classes=outputs, deep_supervision=deep_supervision, **arguments).eval()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_logits_equal_those_of_the_library_with_its_weights(tmp_path, kind, configuration):
    content = plans_content(network=kind)
    torch.manual_seed(0)
    theirs = of_library(content, configuration, 3)
    ours = NnUnet(write_plans(tmp_path, content), configuration, in_channels=1, out_channels=3).eval()
    ours.load_state_dict(theirs.state_dict(), strict=True)
    images = torch.randn(2, 1, *ours.plans.patch_size)
    with torch.no_grad():
        finest, *coarser = theirs(images)
        assert coarser
        assert torch.equal(ours(images), finest)


def test_one_output_is_the_difference_whose_sigmoid_is_the_softmax_of_the_foreground(tmp_path):
    content = plans_content()
    theirs = of_library(content, "2d", 2, deep_supervision=False)
    ours = NnUnet(write_plans(tmp_path, content), "2d", in_channels=1, out_channels=1).eval()
    ours.load_state_dict(theirs.state_dict())
    images = torch.randn(2, 1, 16, 16)
    with torch.no_grad():
        assert torch.allclose(ours(images).sigmoid()[:, 0], theirs(images).softmax(1)[:, 1], atol=1e-6)
    one = NnUnet(tmp_path / "nnUNetPlans.json", "2d", in_channels=1, out_channels=1, multilabel=True)
    assert one.decoder.num_classes == 1  # one region has one output in nnU-Net too


def test_taps_have_the_names_roles_and_levels_of_the_stages(tmp_path):
    network = NnUnet(write_plans(tmp_path), "3d_fullres", in_channels=1, out_channels=3)
    assert [(tap.name, tap.role, tap.level) for tap in network.taps()] == [
        ("encoder.stages.0", "encoder", 1),
        ("encoder.stages.1", "encoder", 2),
        ("encoder.stages.2", "bottleneck", 3),
        ("decoder.transpconvs.0", "up", 2),
        ("skips.1", "skip", 2),
        ("decoder.stages.0", "decoder", 2),
        ("decoder.transpconvs.1", "up", 1),
        ("skips.0", "skip", 1),
        ("decoder.stages.1", "decoder", 1),
        ("out", "output", 1),
    ]


def test_a_tap_for_each_convolution_or_block(tmp_path):
    plain = NnUnet(write_plans(tmp_path), "2d", convs=True, in_channels=1, out_channels=3)
    names = [tap.name for tap in plain.taps() if tap.role in ("encoder", "bottleneck", "decoder")]
    stages = [*(f"encoder.stages.{i}" for i in range(3)), *(f"decoder.stages.{i}" for i in range(2))]
    assert names == [f"{stage}.convs.{j}" for stage in stages for j in range(2)]
    residual = write_plans(tmp_path, plans_content(network=KINDS[1], convs=1), "residual.json")
    blocks = [tap.name for tap in NnUnet(residual, "2d", convs=True, in_channels=1, out_channels=3).taps()]
    assert blocks[:3] == ["encoder.stem", "encoder.stages.0.blocks.0", "encoder.stages.1.blocks.0"]


def test_skips_carry_the_stages_of_the_encoder_and_decide_the_output(tmp_path):
    network = NnUnet(write_plans(tmp_path), "2d", in_channels=1, out_channels=3).eval()
    images, seen = torch.randn(1, 1, 16, 16), {}
    handles = [
        network.get_submodule(tap.module).register_forward_hook(
            lambda _m, _i, out, name=tap.name: seen.__setitem__(name, out)
        )
        for tap in network.taps()
    ]
    with torch.no_grad():
        before = network(images)
        for handle in handles:
            handle.remove()
        for level in (0, 1):
            assert torch.equal(seen[f"skips.{level}"], seen[f"encoder.stages.{level}"])
            handle = network.skips[level].register_forward_hook(lambda _m, _i, out: torch.zeros_like(out))
            assert not torch.equal(network(images), before)
            handle.remove()


def test_heads_of_deep_supervision_are_frozen_and_all_else_is_trained(tmp_path):
    network = NnUnet(write_plans(tmp_path), "2d", in_channels=1, out_channels=3)
    network(torch.randn(1, 1, 16, 16)).sum().backward()
    used = {name for name, parameter in network.named_parameters() if parameter.grad is not None}
    frozen = {name for name, parameter in network.named_parameters() if not parameter.requires_grad}
    assert frozen == {"decoder.seg_layers.0.weight", "decoder.seg_layers.0.bias"}
    assert used | frozen == {name for name, _ in network.named_parameters()}


@pytest.fixture
def trained(tmp_path):
    """Return plans, a network of them and the checkpoint of another network of them."""
    content = plans_content()
    network = NnUnet(write_plans(tmp_path, content), "2d", in_channels=1, out_channels=3)
    theirs = of_library(content, "2d", 3)
    return (
        content,
        network,
        theirs,
        write_checkpoint(tmp_path / "fold_0" / "checkpoint_final.pth", theirs, content, "2d"),
    )


def test_a_checkpoint_of_nnunet_loads_without_a_full_pickle(trained):
    content, network, theirs, path = trained
    network.check_weights(path)
    checkpoint = read_checkpoint(path)
    assert checkpoint["init_args"]["plans"] == content
    assert checkpoint["_best_ema"] == np.float32(0.5)
    network.load_state_dict(checkpoint["network_weights"], strict=True)
    assert torch.equal(network.decoder.seg_layers[-1].weight, theirs.decoder.seg_layers[-1].weight)


class Evil:
    def __reduce__(self):
        return Path.touch, (Path("canary"),)


def test_a_checkpoint_that_would_run_code_is_refused(trained, tmp_path, monkeypatch):
    content, network, theirs, path = trained
    monkeypatch.chdir(tmp_path)
    write_checkpoint(path, theirs, content, "2d", logging=Evil())
    with pytest.raises(ValueError, match="holds pickled objects"):
        network.check_weights(path)
    assert not (tmp_path / "canary").exists()
    pickle.loads(pickle.dumps(Evil()))
    assert (tmp_path / "canary").exists()  # the file would have run it


def test_checkpoints_that_do_not_fit_are_refused(trained, tmp_path):
    content, network, theirs, path = trained

    def refused(message: str, **changes) -> None:
        given = {"plans": content, "configuration": "2d", "dataset_json": {"labels": LABELS}} | changes
        write_checkpoint(path, theirs, content, "2d", init_args=given)
        with pytest.raises(ValueError, match=message) as refusal:
            network.check_weights(path)
        assert "\n" not in str(refusal.value)

    refused(
        r"is of configuration 3d_fullres, wanted 2d; set model.configuration=3d_fullres", configuration="3d_fullres"
    )
    refused(
        r"trained with other plans than .*: features_per_stage is \[4, 6, 12\] in the checkpoint and \[4, 6, 8\] in",
        plans=plans_content(features=(4, 6, 12)),
    )
    refused(r"other plans .*spacing is \(2.0, 1.0\)", plans=plans_content(spacing=(1.0, 2.0, 1.0)))
    refused(
        r"takes images of 2 channels \(T1, T2\), and the data have 1",
        dataset_json={"channel_names": {"0": "T1", "1": "T2"}},
    )
    write_checkpoint(path, theirs, content, "2d")
    other = NnUnet(tmp_path / "nnUNetPlans.json", "2d", in_channels=1, out_channels=4)
    with pytest.raises(
        ValueError, match=r"has 3 outputs \(background, inner, outer\), and the data have 4; choose the"
    ):
        other.check_weights(path)
    torch.save(theirs.state_dict(), path)
    with pytest.raises(ValueError, match=r"lacks network_weights, init_args, trainer_name, wanted a checkpoint of nnU"):
        read_checkpoint(path)
    network.check_weights(path)  # weights alone say nothing about plans
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(ValueError, match="is damaged or no file of weights"):
        network.check_weights(path)
    with pytest.raises(ValueError, match="which is a folder; give a file"):
        read_checkpoint(tmp_path)
