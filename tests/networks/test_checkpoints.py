"""Checkpoints: weights of each kind of file fit a network of the same design. Wrong files are refused in one line."""

import argparse
import pickle

import numpy as np
import pytest
import torch
from monai.networks import nets
from safetensors.torch import save_file
from torch import nn

from models import Custom, Monai, Smp
from models.checkpoints import load_weights, read_weights

MONAI = {
    "UNet": {"channels": (4, 8, 16), "strides": (2, 2)},
    "BasicUNet": {"features": (4, 4, 8, 8, 16, 4)},
    "AttentionUnet": {"channels": (4, 8, 16), "strides": (2, 2)},
    "SegResNet": {"init_filters": 8, "blocks_down": (1, 1), "blocks_up": (1,)},
    "UNETR": {"hidden_size": 48, "num_heads": 4, "mlp_dim": 32, "feature_size": 4, "img_size": (32, 32)},
    "SwinUNETR": {"feature_size": 12},
}


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1))


def lightning(state):
    """Return what Lightning stores: the network is an attribute of the module, the loss has weights too."""
    named = {f"net.{name}": tensor for name, tensor in state.items()} | {"loss.weight": torch.ones(2)}
    return {"epoch": 3, "global_step": 9, "state_dict": named, "optimizer_states": [{"lr": 0.1}], "callbacks": {}}


FILES = {
    "weights.pt": lambda state: state,
    "model.pth": lambda state: {"model": state, "epoch": 3},
    "state.pt": lambda state: {"model_state_dict": {f"module.{name}": tensor for name, tensor in state.items()}},
    "lightning.ckpt": lightning,
    "compiled.ckpt": lambda state: {"state_dict": {f"model._orig_mod.{name}": t for name, t in state.items()}},
    "checkpoint_final.pth": lambda state: {
        "network_weights": state, "current_epoch": 9, "best_ema": np.float64(0.5), "log": [np.float32(1), np.int64(2)],
    },
}  # fmt: skip


@pytest.mark.parametrize("name", FILES)
def test_the_weights_in_a_file_are_those_that_were_saved(tmp_path, name):
    trained, fresh = network(1), network(2)
    torch.save(FILES[name](trained.state_dict()), tmp_path / name)
    load_weights(fresh, read_weights(tmp_path / name))
    for key, tensor in trained.state_dict().items():
        assert torch.equal(fresh.state_dict()[key], tensor), key


def test_safetensors_torchscript_and_exported_programs(tmp_path):
    trained = network(1).eval()
    save_file(trained.state_dict(), tmp_path / "model.safetensors")
    torch.jit.trace(trained, torch.zeros(1, 1, 8, 8)).save(tmp_path / "script.pt")
    torch.export.save(torch.export.export(trained, (torch.zeros(1, 1, 8, 8),)), tmp_path / "program.pt2")
    for name in ("model.safetensors", "script.pt", "program.pt2"):
        fresh = network(2)
        load_weights(fresh, read_weights(tmp_path / name))
        assert all(torch.equal(fresh.state_dict()[key], tensor) for key, tensor in trained.state_dict().items()), name


def test_the_prefix_is_returned():
    state = network(1).state_dict()
    assert load_weights(network(), lightning(state)["state_dict"]) == "net."
    assert load_weights(network(), state) == ""


def test_two_networks_in_a_file_need_a_prefix():
    student, teacher = network(1), network(2)
    both = {f"{name}.{key}": t for name, net in (("student", student), ("teacher", teacher)) for key, t in
            net.state_dict().items()}  # fmt: skip
    with pytest.raises(ValueError, match=r"with the prefixes 'student\.', 'teacher\.'; choose one by prefix"):
        load_weights(network(), both)
    fresh = network()
    load_weights(fresh, both, "teacher.")
    assert torch.equal(fresh[0].weight, teacher[0].weight)


def test_batch_norm_without_its_number_of_batches_fits():
    state = {name: tensor for name, tensor in network(1).state_dict().items() if "num_batches" not in name}
    fresh = network()
    load_weights(fresh, state)
    assert torch.equal(fresh[3].weight, state["3.weight"])


@pytest.mark.parametrize("name", MONAI)
def test_a_checkpoint_of_monai_fits_its_wrapper(name):
    torch.manual_seed(1)
    library = getattr(nets, name)(in_channels=1, out_channels=2, spatial_dims=2, **MONAI[name]).eval()
    wrapper = Monai(name, MONAI[name], 1, 2, spatial_dims=2, input_size=(32, 32)).eval()
    load_weights(wrapper, library.state_dict())
    x = torch.rand(1, 1, *((64, 64) if name == "SwinUNETR" else (32, 32)))
    with torch.no_grad():
        assert torch.equal(wrapper(x), library(x))


@pytest.mark.parametrize("architecture", ["Unet", "FPN", "DeepLabV3Plus"])
def test_a_checkpoint_of_smp_fits_its_wrapper(architecture):
    smp = pytest.importorskip("segmentation_models_pytorch")
    torch.manual_seed(1)
    library = getattr(smp, architecture)("resnet18", encoder_weights=None, in_channels=1).eval()
    wrapper = Smp(architecture.lower(), "resnet18", in_channels=1).eval()
    assert load_weights(wrapper, {f"model.{key}": t for key, t in library.state_dict().items()}) == "model."
    x = torch.rand(1, 1, 64, 64)
    with torch.no_grad():
        assert torch.equal(wrapper(x), library(x))


def test_a_checkpoint_of_the_network_itself_fits_custom():
    trained, wrapper = network(1), Custom(network(), None, in_channels=1, input_size=(8, 8))
    load_weights(wrapper, trained.state_dict())
    assert torch.equal(wrapper.network[0].weight, trained[0].weight)
    load_weights(wrapper, network(2).state_dict())
    load_weights(wrapper, wrapper.state_dict())


# Refusals


def test_names_that_do_not_fit_are_listed():
    other = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 2, 1), nn.Linear(2, 2), nn.Linear(2, 2))
    with pytest.raises(ValueError, match="names fit") as refused:
        load_weights(network(), {f"a.{name}": tensor for name, tensor in other.state_dict().items()})
    message = str(refused.value)
    assert message.startswith("weights: 4 of 9 names fit with the prefix 'a.'; missing: 1.weight, 1.bias, ")
    assert "unexpected: 2.weight, 2.bias, 4.weight, 4.bias;" in message
    assert "\n" not in message


def test_only_the_first_five_names_are_listed_and_the_beginning_of_names_without_a_fit():
    with pytest.raises(ValueError, match=r"0 of 9 names fit; missing: 0.weight, 0.bias, 1.weight, 1.bias, ") as refused:
        load_weights(network(), {f"x{i}": torch.zeros(1) for i in range(9)})
    assert "1.running_mean and 3 more; unexpected: x0, x1, x2, x3, x4 and 4 more;" in str(refused.value)
    assert str(refused.value).endswith("or give the prefix of the names, which begin as 'x0'")


def test_other_shapes_are_listed_with_both():
    wide = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 5, 1))
    with pytest.raises(ValueError, match="3 of 9 have another shape") as refused:
        load_weights(network(), wide.state_dict())
    assert (
        "0.weight (4, 3, 3, 3) for (4, 1, 3, 3), 3.weight (5, 4, 1, 1) for (2, 4, 1, 1), 3.bias (5,) for (2,);"
        in str(refused.value)
    )


class Attack:
    """Creates a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


@pytest.mark.parametrize(
    ("content", "named"),
    [
        (lambda path: {"state_dict": {"a": torch.zeros(1)}, "hook": Attack(path)}, "open"),
        (lambda path: network(), "torch.nn.modules.container.Sequential"),
        (lambda path: {"state_dict": {}, "hyper_parameters": argparse.Namespace(lr=1)}, "argparse.Namespace"),
    ],
)
def test_pickled_objects_are_refused_with_the_way_out(tmp_path, content, named):
    torch.save(content(tmp_path / "created"), tmp_path / "model.pt")
    with pytest.raises(ValueError, match=r"holds pickled objects \(.*" + named) as refused:
        read_weights(tmp_path / "model.pt")
    assert "torch.save(network.state_dict(), 'weights.pt'), or use safetensors" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "created").exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pt", b"no weights", "is damaged or no file of weights"),
        ("a.pt", b"", "is damaged or no file of weights"),
        ("a.pt", pickle.dumps({"a": 1}), "a.pt"),
        ("a.safetensors", b"no weights", "is damaged or no file of weights"),
        ("a.pt2", b"no weights", "is no program of torch.export"),
        (None, b"", "which is no file; give a file"),
    ],
)
def test_a_file_without_weights_is_refused(tmp_path, name, content, message):
    if name:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as refused:
        read_weights(tmp_path / (name or "missing.pt"))
    assert "\n" not in str(refused.value)


def test_a_checkpoint_without_a_state_dict_is_refused(tmp_path):
    torch.save({"epoch": 3, "lr": 0.1}, tmp_path / "a.pt")
    with pytest.raises(ValueError, match="has keys 'epoch', 'lr', wanted a state dict, or one below state_dict, "):
        read_weights(tmp_path / "a.pt")
    torch.save([1, 2], tmp_path / "b.pt")
    with pytest.raises(ValueError, match="has list, wanted a state dict"):
        read_weights(tmp_path / "b.pt")
