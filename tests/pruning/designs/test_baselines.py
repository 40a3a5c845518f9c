"""Baseline designs: by weight magnitude, with weights set by hand, and at equal cost."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bench.config.sections import BASELINES
from bench.pruning.designs import design_of
from bench.pruning.designs.baselines import BaselineKind, baseline_designs, by_magnitude, magnitudes_of
from bench.pruning.designs.costs import Pricing
from models import Smp, UNet

KINDS = ["uniform", "flat", "magnitude", "random"]


def scale(network, name, values):
    for conv in ("conv1", "conv2"):
        norm = network.get_submodule(f"{name}.{conv}.1")
        norm.weight.data = torch.tensor(values)


def magnitude_design(network):
    base = design_of(network)
    return by_magnitude(base, magnitudes_of(base, network))


@pytest.fixture
def network():
    network = UNet(1, 1, widths=(2, 4), norm="batch")
    scale(network, "enc1", [0.1, 0.9])
    scale(network, "bottleneck", [0.8, 0.01, -0.7, 0.02])  # the sign of a scale does not matter
    scale(network, "dec1", [0.6, 0.5])
    return network


@pytest.mark.parametrize(
    ("share", "widths", "decoder"),
    [(3 / 8, (1, 2), (1,)), (5 / 8, (1, 2), (2,)), (6 / 8, (2, 2), (2,)), (1, (2, 4), (2,))],
)
def test_the_largest_scales_are_kept(network, share, widths, decoder):
    # in order: .9 enc1, .8 and .7 bottleneck, .6 and .5 dec1, .1 enc1, .02 and .01 bottleneck
    design = magnitude_design(network)(share)
    assert (design.widths, design.decoder_widths) == (widths, decoder)


def test_without_normalisation_magnitudes_are_those_of_the_filters():
    network = UNet(1, 1, widths=(2, 2), norm="none")
    for block in ("enc1", "bottleneck", "dec1"):
        for conv in ("conv1", "conv2"):
            network.get_submodule(f"{block}.{conv}.0").weight.data.fill_(1.0)
    network.bottleneck.conv1[0].weight.data[1] = 0
    network.bottleneck.conv2[0].weight.data[0] = 0  # sorted within each layer, both layers have (2, 0) times their mean
    design = magnitude_design(network)(5 / 6)
    assert (design.widths, design.decoder_widths) == ((2, 1), (2,))


def test_every_kind_of_baseline_is_built_at_both_costs(network):
    model = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch"})
    pricing, base = Pricing(model, (1, 16, 16)), design_of(network)
    found = baseline_designs(base.with_widths([1, 2, 1]), base, network, pricing, KINDS, np.random.default_rng(0))
    names = [f"{kind}_at_{cost}" for kind in KINDS for cost in ("params", "flops")]
    assert [baseline.name for baseline in found] == names


def test_the_config_allows_every_kind_of_baseline():
    assert list(BASELINES) == KINDS == [*BaselineKind]


def test_kinds_that_are_not_asked_for_do_not_change_the_others(network):
    model = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch"})
    pricing, base = Pricing(model, (1, 16, 16)), design_of(network)
    found = [
        baseline_designs(base.with_widths([1, 2, 1]), base, network, pricing, kinds, np.random.default_rng(0))
        for kinds in (KINDS, ["random", "flat"], [])
    ]
    assert found[1] == found[0][6:] + found[0][2:4]
    assert found[2] == []


@pytest.fixture(scope="module")
def smp():
    torch.manual_seed(0)
    model = OmegaConf.create({"_target_": "models.Smp", "architecture": "unet", "encoder_name": "resnet18"})
    network = Smp("unet", "resnet18", encoder_depth=4, decoder_channels=(64, 32, 16, 8), input_size=(32, 32))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight)
    return network, Pricing(model, (3, 32, 32))


@pytest.mark.processes
def test_an_encoder_of_fixed_widths_loses_levels_until_the_cost_can_be_matched(smp, caplog):
    network, pricing = smp
    base = design_of(network)
    proposal = base.without_bottom().with_widths([28, 17, 7])
    found = baseline_designs(proposal, base, network, pricing, KINDS, np.random.default_rng(0))
    wanted = pricing(proposal)
    narrowest = pricing(base.with_widths([1, 1, 1, 1]))
    assert narrowest.params > 3 * wanted.params  # because of the fourth stage of the encoder
    assert narrowest.flops < wanted.flops
    for baseline in found:
        if baseline.kind != BaselineKind.RANDOM:
            assert baseline.design.depth == {"params": 3, "flops": 4}[baseline.cost]
        equal = 1 / 1.1 <= pricing(baseline.design)[baseline.cost] / wanted[baseline.cost] <= 1.1
        assert equal != (baseline.name in caplog.text)
        assert equal or baseline.kind == BaselineKind.RANDOM  # random designs may have too few levels


def test_a_block_keeps_its_weights_if_a_deeper_level_is_removed(smp):
    network, _ = smp
    base = design_of(network)
    magnitudes = magnitudes_of(base, network)
    for slot, width in zip(base.slots(), base.decoder_channels, strict=True):
        magnitudes[slot.name] = np.linspace(width, width / 10, width)  # the widest blocks have the largest magnitudes
    assert by_magnitude(base.without_bottom(), magnitudes)(1).decoder_channels == (32, 16, 8)
    heaviest = by_magnitude(base.without_bottom(), magnitudes | {"decoder 3": np.full(32, 100.0)})(32 / 56)
    assert heaviest.decoder_channels == (32, 1, 1)


@pytest.mark.processes
def test_a_baseline_design_that_cannot_match_the_cost_is_logged(smp, caplog):
    network, pricing = smp
    base = design_of(network)
    widest = base.with_widths([512, 512, 512, 512])
    uniform = baseline_designs(widest, base, network, pricing, ["uniform"], np.random.default_rng(0))[0]
    ratio = pricing(uniform.design).params / pricing(widest).params
    assert uniform.design == base
    assert f"uniform_at_params: no such design costs the same; its params are {ratio:.2f} times" in caplog.text
