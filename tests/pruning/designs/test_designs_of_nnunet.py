"""Designs of nnU-Net agree with their networks, and say which convolutions make the channels of a stage."""

import pytest
import torch
from nnunet_files import plans_content, write_plans
from omegaconf import OmegaConf

from bench.config.build import build
from bench.pruning.designs import Swap, SwapKind, design_of, flat, search_taps
from bench.pruning.designs.base import Cut
from bench.pruning.designs.baselines import magnitudes_of
from bench.pruning.designs.costs import Pricing
from bench.training.cost import flops, used_parameters
from models import NnUnet

pytest.importorskip("dynamic_network_architectures", reason="needs the extra nnunet")


@pytest.fixture(params=["PlainConvUNet", "ResidualEncoderUNet"])
def config(request, tmp_path):
    plans = write_plans(tmp_path, plans_content(features=(4, 6, 8), network=request.param))
    return OmegaConf.create(
        {
            "_target_": "models.NnUnet", "plans": str(plans), "configuration": "2d",
            "in_channels": 1, "out_channels": 3,
        }
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["PlainConvUNet", "ResidualEncoderUNet"])
@pytest.mark.parametrize("convs", [False, True])
def test_designs_of_nnunet_are_features_per_stage(tmp_path, kind, convs):
    content = plans_content(features=(4, 6, 8, 10), network=kind)
    plans = {"plans": str(write_plans(tmp_path, content)), "configuration": "2d", "features_per_stage": None}
    config = OmegaConf.create({"_target_": "models.NnUnet", **plans, "convs": convs, "in_channels": 1})
    network, pricing, image = build(config, "model"), Pricing(config, (1, 16, 16)), torch.zeros(1, 1, 16, 16)
    design = design_of(network)
    assert [(slot.name, slot.width) for slot in design.slots()][1:3] == [
        ("features_per_stage[1]", 6),
        ("features_per_stage[2]", 8),
    ]
    assert search_taps(design) <= {tap.name for tap in network.taps()}
    assert [(pair.asked, pair.given.partition(".convs")[0].partition(".blocks")[0]) for pair in design.pairs()] == [
        ("decoder.transpconvs.1", "encoder.stages.1"),
        ("decoder.transpconvs.0", "encoder.stages.2"),
    ]
    for slot in design.slots():
        assert slot.made_by
        assert all(network.get_submodule(conv).weight.shape[0] == slot.width for conv, _ in slot.made_by)
    assert [len(weights) for weights in magnitudes_of(design, network).values()] == [4, 6, 8, 10]
    (shorter,) = design.removals().values()
    assert shorter.arguments()["features_per_stage"] == [4, 6, 8]
    assert {tap for pair in shorter.pairs() for tap in (pair.asked, pair.given)} <= search_taps(design)
    for part in (design, shorter, design.with_widths([3, 5, 7, 9]), flat(design, 1)):
        built = build(pricing.config(part), "model").eval()
        assert design_of(built) == part
        assert pricing(part).params == used_parameters(built, image)
        assert pricing(part).flops == flops(built, image)
    with pytest.raises(ValueError, match=r"features_per_stage: got \[4, .*, wanted at most 4 numbers"):
        NnUnet(plans["plans"], "2d", [4] * 5)


def test_the_deepest_stage_is_removed_through_the_up_convolution_above_it(config):
    design = design_of(build(config, "model"))
    (pair,) = design.pairs()
    assert (str(pair.part), pair.asked, pair.given) == ("level 3", "decoder.transpconvs.0", "encoder.stages.1")
    (leaner,) = design.removals().values()
    assert leaner.features_per_stage == (4, 6)
    assert leaner.removed_parts(design) == [pair.part]
    assert leaner.cut(design) == Cut(("decoder.transpconvs.0",), ("encoder.stages.0", "encoder.stages.1"))
    assert leaner.removals() == {}
    assert design.cut(design) == Cut()


def test_a_design_with_one_convolution_per_stage_is_leaner_and_the_last_of_its_kind(config):
    design, pricing = design_of(build(config, "model")), Pricing(config, (1, 16, 16))
    ((swap, one),) = design.swaps().items()
    assert swap == Swap(SwapKind.ONE_CONVOLUTION, "1 convolution per stage")
    assert pricing(one).params < pricing(design).params
    assert one.swaps() == {}
