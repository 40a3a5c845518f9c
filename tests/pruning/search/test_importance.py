"""Importance of channels by gradients, against explicit gates whose gradients are computed one by one."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from drawn_bases import MODELS
from omegaconf import OmegaConf

from bench.config.build import build_network
from bench.datasets import phantoms
from bench.layers.hooks import tap_shapes
from bench.pruning.search.base import Base
from bench.pruning.search.importance import IMAGES, Importance, importances
from bench.pruning.search.search import with_width
from bench.training.train import loss_function

UNET = {"_target_": "models.UNet", "widths": [4, 6], "in_channels": 1, "out_channels": 1, "norm": "batch"}


def base_of(model, data, loss):
    config = OmegaConf.create({"model": model, "train": {"loss": loss}, "seed": 0})
    return Base.of(None, config, data, build_network(config.model, 0))


@pytest.fixture(scope="module")
def base():
    return base_of(UNET, phantoms(n=(12, 6, 4), size=16), "dice_ce")


def by_gates(network, split, tap, loss):
    """Multiply the output of a tap by a gate for each channel, and take the gradient of each image's loss."""
    channels, squares = tap_shapes(network, [tap], split.images[:1])[tap][0], []
    for image, target in zip(split.images, split.targets, strict=True):
        gates = torch.ones(channels, requires_grad=True)
        module = network.get_submodule(tap.module)
        handle = module.register_forward_hook(lambda _module, _inputs, output, g=gates: output * g[:, None, None])
        value = loss(network(image[None]), target[None])
        handle.remove()
        squares.append(torch.autograd.grad(value, gates)[0].square())
    return torch.stack(squares).mean(dim=0).numpy()


@pytest.mark.parametrize("loss", ["bce", "dice_ce"])
@pytest.mark.parametrize("name", ["enc1.conv2", "bottleneck.conv2", "dec1.conv1"])
def test_importance_is_the_mean_square_of_the_gradient_of_a_gate(base, name, loss):
    loss, network = loss_function(loss, base.data), base.network.eval()
    tap = next(tap for tap in network.taps() if tap.name == name)
    reference = by_gates(network, base.data.train, tap, loss)
    assert reference.min() >= 0 < reference.max()
    found = importances(network, base.data.train, [tap], loss, batch_size=5)
    assert all(parameter.grad is None for parameter in network.parameters())
    np.testing.assert_allclose(found[name], reference, rtol=1e-3, atol=1e-9)


@pytest.mark.parametrize("kind", MODELS)
def test_every_family_has_importances_of_all_channels(kind):
    task = "classification" if kind == "CNN" else "segmentation"
    data = phantoms(task, n=(12, 6, 4), size=28 if kind == "CNN" else 32)
    found = base_of(MODELS[kind], data, "auto")
    rising = Importance(found, seed=0).rising
    assert {slot: len(channels) for slot, channels in rising.items()} == {
        slot.name: slot.width for slot in found.design.slots()
    }
    assert all(np.isfinite(channels).all() and channels[-1] > 0 for channels in rising.values())


def test_a_slot_loses_its_least_important_channels(base):
    importance, [slot, *_] = Importance(base, seed=0), base.design.slots()
    narrow, narrower = (with_width(base.design, [slot], width) for width in (3, 1))
    rising = importance.rising[slot.name]
    assert len(rising) == slot.width == 4
    assert importance.lost_between([slot], base.design, narrow) == pytest.approx(rising[0])
    assert importance.lost_between([slot], narrow, narrower) == pytest.approx(rising[1] + rising[2])
    assert importance.lost_between([slot], base.design, base.design) == 0


def test_a_channel_whose_values_are_zero_has_no_importance(base):
    """Without it, nothing changes. It is the first that a slot loses."""
    network = copy.deepcopy(base.network)
    slot = base.design.slots()[0]
    norm = network.get_submodule(slot.made_by[-1][1])
    with torch.no_grad():
        norm.weight[2], norm.bias[2] = 0, 0
    importance = Importance(replace(base, network=network), seed=0)
    assert importance.rising[slot.name][0] == 0 < importance.rising[slot.name][1]


def test_more_images_than_needed_are_drawn_by_the_seed(base):
    data = phantoms(n=(IMAGES + 20, 6, 4), size=16)
    one, same, other = (Importance(replace(base, data=data), seed=seed).rising for seed in (0, 0, 1))
    np.testing.assert_equal(one, same)
    assert any((one[slot] != other[slot]).any() for slot in one)
