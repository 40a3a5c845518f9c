"""Designs agree with their networks, and costs agree with the networks as built."""

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf

from bench.config.sections import SWAPS
from bench.errors import InputError
from bench.pruning.designs import (
    Cut,
    Part,
    PartKind,
    SmpDesign,
    Swap,
    SwapKind,
    UNetDesign,
    design_of,
    flat,
    random_design,
    scaled,
    search_taps,
    widths_of,
)
from bench.pruning.designs.costs import Pricing
from bench.pruning.designs.study import study_set
from bench.training.cost import flops, used_parameters
from models import CNN, Monai, UNet

UNET = OmegaConf.create(
    {"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "widths": [8, 16, 32, 64, 128], "norm": "batch"}
)
BASE = design_of(UNet(1, 1, widths=(8, 16, 32, 64, 128), norm="batch"))
CHAIN = CNN(filters=(8, 16, 32), kernel_size=3, padding="same", hidden=(64,), global_pool="avg", num_classes=2)
MONAI = [design_of(Monai(name, {"channels": (4, 6, 8, 8), "strides": (2, 2, 2)})) for name in ("UNet", "AttentionUnet")]


@pytest.fixture(scope="module")
def pricing():
    return Pricing(UNET, (1, 64, 64))


# parameters of the designs of the pilot in METHODS: base, removed levels, skips off, narrowed, flat
@pytest.mark.parametrize(
    ("design", "parameters"),
    [
        (BASE, 486_409),
        (BASE.removals()[Part(PartKind.LEVEL, 5)], 121_033),
        (BASE.removals()[Part(PartKind.LEVEL, 5)].removals()[Part(PartKind.LEVEL, 4)], 29_481),
        (BASE.removals()[Part(PartKind.SKIP, 1)], 485_833),
        (BASE.removals()[Part(PartKind.SKIP, 4)], 449_545),
        (scaled(BASE, 1 / 2), 122_021),
        (scaled(BASE, 1 / 4), 30_715),
        (flat(BASE, 8), 13_521),
        (flat(BASE, 16), 53_281),
    ],
)
def test_parameters_of_published_designs(pricing, design, parameters):
    assert pricing(design).params == parameters


def test_costs_equal_those_of_the_network_as_built(pricing):
    design = UNetDesign((3, 5, 7), (4, 6), ("off", "cat"))
    network = UNet(1, 1, norm="batch", **design.arguments())
    image = torch.zeros(1, 1, 64, 64)
    assert design_of(network) == design
    assert pricing(design).params == used_parameters(network, image)
    assert pricing(design).flops == flops(network, image)


@pytest.mark.parametrize("network", [UNet(1, 1, widths=(4, 6, 8), norm="batch"), CHAIN])
def test_a_design_rebuilds_its_network(network):
    design = design_of(network)
    assert design.with_widths(widths_of(design).tolist()) == design
    taps = {tap.name for tap in network.taps()}
    for slot in design.slots():
        assert slot.tap in taps
        layer, _ = slot.made_by[-1]
        assert network.get_submodule(layer).weight.shape[0] == slot.width


@pytest.mark.parametrize("base", [BASE, design_of(CHAIN), SmpDesign("resnet18", (16, 8, 8, 4, 4)), *MONAI], ids=repr)
def test_all_leaner_designs_need_only_known_taps(base):
    known, leaner = search_taps(base), [base]
    while leaner:
        design = leaner.pop()
        cut = design.cut(base)
        assert {*cut.removed, *cut.kept} <= known
        assert {slot.tap for slot in design.slots() if slot.name in {slot.name for slot in base.slots()}} <= known
        leaner += design.removals().values()
    assert bool(base.removals()) == (len(known) > len({slot.tap for slot in base.slots()}))


def test_removed_parts_are_named():
    design = BASE.removals()[Part(PartKind.LEVEL, 5)].removals()[Part(PartKind.SKIP, 1)]
    assert design.skips == ("off", "cat", "cat")
    assert design.removed_parts(BASE) == [Part(PartKind.LEVEL, 5), Part(PartKind.SKIP, 1)]
    assert design.cut(BASE) == Cut(("enc1.conv2", "up4"), ("enc2.conv2", "enc3.conv2", "enc4.conv2"))
    assert Part(PartKind.SKIP, 1) not in design.removals()


def test_the_cut_of_a_removed_level_includes_it_even_if_its_skip_was_off():
    design = BASE.removals()[Part(PartKind.SKIP, 4)].removals()[Part(PartKind.LEVEL, 5)]
    assert design.cut(BASE) == Cut(("up4",), ("enc1.conv2", "enc2.conv2", "enc3.conv2", "enc4.conv2"))
    assert design == BASE.removals()[Part(PartKind.LEVEL, 5)]


def test_a_cut_extends_to_the_deepest_change():
    assert BASE.cut(BASE) == Cut()
    one, two = (
        BASE.removals()[Part(PartKind.SKIP, 3)],
        BASE.removals()[Part(PartKind.SKIP, 3)].removals()[Part(PartKind.SKIP, 1)],
    )
    assert one.cut(BASE) == Cut(("enc3.conv2",), ("enc1.conv2", "enc2.conv2", "up3"))
    assert two.cut(BASE) == Cut(("enc1.conv2", "enc3.conv2"), ("enc2.conv2", "up3"))
    assert two.cut(one) == Cut(("enc1.conv2",), ("up1",))


def test_a_cut_excludes_skips_that_were_off():
    base = BASE.removals()[Part(PartKind.SKIP, 1)]
    assert base.removals()[Part(PartKind.SKIP, 2)].cut(base) == Cut(("enc2.conv2",), ("up2",))


@pytest.mark.parametrize("cost", ["params", "flops"])
def test_baselines_have_nearly_the_same_cost(pricing, cost):
    wanted = pricing(UNetDesign((6, 10, 14), (5, 9), ("cat", "cat")))[cost]
    for make, most in ((lambda x: scaled(BASE, x), 1.0), (lambda x: flat(BASE, 1 + x), 127.0)):
        found = pricing(pricing.find_equal_cost(cost, wanted, make, most))[cost]
        assert found == pytest.approx(wanted, rel=0.1)


def test_a_fractional_flat_width_widens_the_first_slots():
    assert widths_of(flat(BASE, 4 + 2 / 9)).tolist() == [5, 5, 4, 4, 4, 4, 4, 4, 4]
    assert widths_of(flat(BASE, 3 + 2 / 9)).tolist() == [4, 4, 3, 3, 3, 3, 3, 3, 3]


def test_every_slot_keeps_at_least_one_channel():
    assert set(widths_of(scaled(BASE, 1e-3)).tolist()) == {1}


def test_random_designs_are_smaller_and_depend_on_the_seed():
    drawn = [random_design(BASE, np.random.default_rng(seed)) for seed in (0, 0, 1)]
    assert drawn[0] == drawn[1] != drawn[2]
    widest = dict(zip([slot.name for slot in BASE.slots()], widths_of(BASE), strict=True))
    for design in drawn:
        for slot in design.slots():
            assert 1 <= slot.width <= widest[slot.name]


def test_the_study_set_has_30_different_designs():
    designs = study_set(BASE, seed=0)
    assert designs == study_set(BASE, seed=0)
    assert len(set(designs.values())) == len(designs) == 30
    assert designs["base"] == BASE
    assert designs["no_skips_1234"].skips == ("off",) * 4
    assert designs["no_level_3"].widths == (8, 16)
    assert designs["quarter_encoder_2"].decoder_widths == (8, 4, 32, 64)
    assert [designs[f"uniform_{factor}"].widths[-1] for factor in (2, 4, 8)] == [64, 32, 16]


def test_pairs_of_a_unet_are_each_skip_given_the_level_below_and_vice_versa():
    asked = {str(pair.part): (pair.asked, pair.given) for pair in BASE.removals()[Part(PartKind.SKIP, 2)].pairs()}
    assert list(asked) == ["skip 1", "level 2", "level 3", "skip 3", "level 4", "skip 4", "level 5"]
    assert asked["skip 1"] == ("enc1.conv2", "up1")
    assert asked["level 2"] == ("up1", "enc1.conv2")


def test_the_study_set_of_a_chain():
    designs = study_set(design_of(CHAIN), seed=0)
    assert designs["quarter_stage_2"].filters == (8, 4, 32)
    assert designs["quarter_fc_1"].hidden == (16,)
    assert len(designs) >= 12


def test_other_networks_are_refused():
    with pytest.raises(InputError, match=r"Linear.*models\.UNet, models\.CNN"):
        design_of(torch.nn.Linear(2, 2))


def test_a_chain_of_filters_has_no_swaps():
    assert design_of(CHAIN).swaps() == {}


def test_the_config_allows_every_kind_of_swap():
    assert list(SWAPS) == [*SwapKind]


def test_the_swaps_of_a_unet_are_other_networks_of_less_cost():
    base = UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"))
    swaps = base.swaps()
    one = Swap(SwapKind.ONE_CONVOLUTION, "1 convolution per level")
    interpolation = Swap(SwapKind.INTERPOLATION, "interpolation")
    separable = Swap(SwapKind.SEPARABLE, "separable convolution")
    assert list(swaps) == [one, interpolation, separable]
    assert swaps[one].swaps() == {
        interpolation: UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"), 1, "interpolate"),
        separable: UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"), 1, separable=True),
    }
    pricing = Pricing(OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1}), (1, 16, 16))
    for swap in swaps.values():
        assert pricing(swap).params < pricing(base).params
        assert pricing(swap).flops < pricing(base).flops
        network = UNet(1, 1, **swap.arguments())
        assert UNetDesign.of(network) == swap


@pytest.mark.parametrize("separable", [False, True])
def test_the_channels_of_a_unet_are_made_by_convolutions_of_its_width(separable):
    network = UNet(1, 1, (4, 8, 16), norm="batch", separable=separable)
    for slot in UNetDesign.of(network).slots():
        for conv, norm in slot.made_by:
            assert network.get_submodule(conv).out_channels == slot.width
            assert network.get_submodule(conv).groups == 1  # a depthwise convolution does not mix channels
            assert network.get_submodule(norm).num_features == slot.width
