"""Designs by weight magnitude, on weights that are set by hand."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bench.designs import design_of
from bench.designs.controls import by_magnitude, controls
from bench.designs.costs import Pricing
from models import UNet


def scale(network, name, values):
    for conv in ("conv1", "conv2"):
        norm = network.get_submodule(f"{name}.{conv}.1")
        norm.weight.data = torch.tensor(values)


@pytest.fixture
def network():
    network = UNet(1, 1, widths=(2, 4), norm="batch")
    scale(network, "enc1", [0.1, 0.9])
    scale(network, "bottleneck", [0.8, 0.01, -0.7, 0.02])  # the sign of a scale is no matter
    scale(network, "dec1", [0.6, 0.5])
    return network


@pytest.mark.parametrize(
    ("share", "widths", "decoder"),
    [(3 / 8, (1, 2), (1,)), (5 / 8, (1, 2), (2,)), (6 / 8, (2, 2), (2,)), (1, (2, 4), (2,))],
)
def test_the_largest_scales_are_kept(network, share, widths, decoder):
    # in order: .9 enc1, .8 and .7 bottleneck, .6 and .5 dec1, .1 enc1, .02 and .01 bottleneck
    design = by_magnitude(design_of(network), network)(share)
    assert (design.widths, design.decoder_widths) == (widths, decoder)


def test_without_normalisation_the_filters_decide():
    network = UNet(1, 1, widths=(2, 2), norm="none")
    for block in ("enc1", "bottleneck", "dec1"):
        for conv in ("conv1", "conv2"):
            network.get_submodule(f"{block}.{conv}.0").weight.data.fill_(1.0)
    network.bottleneck.conv1[0].weight.data[1] = 0
    network.bottleneck.conv2[0].weight.data[0] = 0  # sorted in each layer: (2, 0) times its mean in both
    design = by_magnitude(design_of(network), network)(5 / 6)
    assert (design.widths, design.decoder_widths) == ((2, 1), (2,))


def test_every_kind_at_both_costs(network):
    model = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch"})
    pricing, base = Pricing(model, (1, 16, 16)), design_of(network)
    found = controls(base.with_widths([1, 2, 1]), base, network, pricing, 1, np.random.default_rng(0))
    kinds = ("uniform", "flat", "magnitude", "random1")
    assert list(found) == [f"{kind}_at_{cost}" for kind in kinds for cost in ("params", "flops")]
