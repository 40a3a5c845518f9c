"""Designs of segmentation-models-pytorch and MONAI agree with their networks; networks without designs are refused."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bench.config.build import build
from bench.errors import InputError
from bench.layers.hooks import tap_shapes
from bench.pruning.designs import SmpDesign, SwapKind, design_of, flat, widths_of
from bench.pruning.designs.base import Cut
from bench.pruning.designs.costs import Pricing
from bench.training.cost import flops, used_parameters
from models import Custom, Monai, Smp

WHERE = {"in_channels": 1, "out_channels": 1, "input_size": [64, 64]}
IN_PLANE = {"_target_": "models.Monai", "spatial_dims": 2, **WHERE}
OF_LIBRARIES = {
    "smp": {"_target_": "models.Smp", "encoder_depth": 3, "decoder_channels": [12, 8, 4], **WHERE},
    "smp manet": {"_target_": "models.Smp", "architecture": "manet", "encoder_depth": 3, **WHERE},
    "UNet": IN_PLANE | {"network": "UNet", "arguments": {"channels": [4, 6, 8], "num_res_units": 1}},
    "AttentionUnet": IN_PLANE | {"network": "AttentionUnet", "arguments": {"channels": [4, 6, 8], "dropout": 0.1}},
    "BasicUNet": IN_PLANE | {"network": "BasicUNet", "arguments": {"features": [4, 4, 6, 8, 8, 6]}},
}


@pytest.mark.parametrize("name", OF_LIBRARIES)
def test_designs_of_libraries_describe_their_networks(name):
    """A design rebuilds its network at any width, its slots have the widths of layers, and each removal is leaner."""
    config = OmegaConf.create(OF_LIBRARIES[name])
    network, pricing = build(config, "model"), Pricing(config, (1, 64, 64))
    design = design_of(network)
    image = torch.zeros(1, 1, 64, 64)
    taps = {tap.name: tap for tap in network.taps()}
    assert {slot.tap for slot in design.slots()} <= set(taps)
    shapes = tap_shapes(network, list(taps.values()), image)
    assert [shapes[taps[slot.tap]][0] for slot in design.slots()] == widths_of(design).tolist()
    assert {tap for pair in design.pairs() for tap in (pair.asked, pair.given)} <= set(taps)
    wider = design.with_widths([slot.width + 1 for slot in design.slots()])
    for part in [wider, flat(design, 1), *design.removals().values()]:
        built = build(pricing.config(part), "model").eval()
        assert design_of(built) == part
        assert pricing(part).params == used_parameters(built, image)
        assert pricing(part).flops == flops(built, image)
    for slot in design.slots():
        for layer, _ in slot.made_by:
            assert network.get_submodule(layer).weight.shape[0] == slot.width
    for part, leaner in design.removals().items():
        assert leaner.removed_parts(design) == [part]
        cut = leaner.cut(design)
        assert set(cut.removed + cut.kept) <= set(taps)
        assert cut.removed == (next(pair.asked for pair in design.pairs() if pair.part == part),)
        assert cut.kept == ("enc1", "enc2")
        assert pricing(leaner).params < pricing(design).params
        assert leaner.removals() == {}
    assert design.cut(design) == Cut()
    assert design.swaps() == {}  # resnet18 is the smallest of its family
    random = design.shuffled(np.random.default_rng(0))
    assert pricing(random).params <= pricing(design).params


def test_an_encoder_can_be_replaced_by_smaller_ones_of_its_family():
    design = design_of(Smp("unet", "resnet50"))
    resnet34, resnet18 = design.swaps()
    assert (str(resnet34), str(resnet18)) == ("encoder resnet34", "encoder resnet18")
    assert resnet18.kind == SwapKind.SMALLER_ENCODER
    assert design.swaps()[resnet18].arguments()["encoder_name"] == "resnet18"
    assert SmpDesign("mobilenet_v2", (8, 4)).swaps() == {}
    smaller = SmpDesign("efficientnet-b2", (8, 4)).swaps()
    assert [str(swap) for swap in smaller] == ["encoder efficientnet-b1", "encoder efficientnet-b0"]


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(("name", "least"), [("UNet", 1), ("AttentionUnet", 2), ("BasicUNet", 2)])
def test_slots_keep_the_number_of_channels_that_monai_needs(name, least):
    config = OmegaConf.create(OF_LIBRARIES[name])
    network, argument = build(config, "model"), "features" if name == "BasicUNet" else "channels"
    assert set(widths_of(flat(design_of(network), 1))) == {least}
    if least == 2:
        channels = {argument: [1] * len(config.arguments[argument])}
        with pytest.raises((IndexError, RuntimeError), match=r"at least 1 at dimension 0|to have 1 channels"):
            build(OmegaConf.merge(config, {"arguments": channels}), "model").eval()(torch.zeros(1, 1, 64, 64))


def test_networks_without_designs_are_refused():
    with pytest.raises(InputError, match=r"model.architecture: got fpn, whose parts can't be chosen .* unet, manet"):
        design_of(Smp("fpn", in_channels=1))
    with pytest.raises(InputError, match=r"model.network: got SegResNet, .* sweep over \+model.arguments.init_filters"):
        design_of(Monai("SegResNet", spatial_dims=2))
    with pytest.raises(
        InputError, match=r"models.custom.Custom, whose parts can't be switched; wanted one of models.UN"
    ):
        design_of(Custom(torch.nn.Conv2d(1, 1, 1), [], in_channels=1))
