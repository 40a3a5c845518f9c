"""The space of designs within limits of cost: feasible, as large as the limits allow, different, repeatable."""

from itertools import pairwise

import numpy as np
import pytest
from omegaconf import OmegaConf

from bench.pruning.designs import CNNDesign, UNetDesign, scaled, widths_of
from bench.pruning.designs.costs import Costs, Pricing
from bench.pruning.designs.space import Space, depths_of

UNET = UNetDesign((8, 16, 32, 64), (8, 16, 32), ("cat", "cat", "cat"))
CHAIN = CNNDesign((8, 16), (32,), (("conv1",), ("conv2",)))


class Products(Pricing):
    """Costs in closed form: products of neighbouring widths are the parameters, and widths at full size the FLOPs."""

    def __init__(self):
        super().__init__(OmegaConf.create({}), (1, 16, 16))

    def _counted(self, design, device):
        widths = [1, *map(int, widths_of(design))]
        return Costs(sum(one * two for one, two in pairwise(widths)), 100 * widths[1] + sum(widths))


def space(base=UNET, **shares):
    whole = Products()(base)
    return Space(base, Products(), {kind: int(share * whole[kind]) for kind, share in shares.items()})


def costs_are_within(space, design):
    return all(space.pricing(design)[kind] <= limit for kind, limit in space.limits.items())


@pytest.mark.parametrize("shares", [{"params": 0.1}, {"flops": 0.3}, {"params": 0.1, "flops": 0.3}])
@pytest.mark.parametrize("kind", ["random_designs", "flat_designs"])
def test_designs_are_within_the_limits_and_different(kind, shares):
    wanted = space(**shares)
    found = getattr(wanted, kind)(8, np.random.default_rng(0))
    assert len(set(found)) == 8
    assert all(costs_are_within(wanted, design) for design in found)
    assert len({design.skips for design in found}) > 1


@pytest.mark.parametrize("kind", ["random_designs", "flat_designs"])
def test_designs_depend_on_the_generator_alone(kind):
    first, again, other = (getattr(space(params=0.1), kind)(6, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_one_more_channel_exceeds_the_limits_of_a_flat_design():
    wanted = space(params=0.1, flops=0.3)
    found = wanted.flat_designs(1, np.random.default_rng(0))[0]
    assert found.skips == UNET.skips  # the first has all parts of the base
    widths = widths_of(found)
    assert widths.max() - widths.min() <= 1
    assert not costs_are_within(wanted, found.with_widths((widths + 1).tolist()))


def test_a_uniform_design_is_the_largest_one_within_the_limits():
    """A slow reference tries factors on a grid."""
    wanted = space(params=0.2)
    grid = [scaled(UNET, factor) for factor in np.arange(0.01, 4, 0.001)]
    largest = max(
        (design for design in grid if costs_are_within(wanted, design)), key=lambda design: sum(design.widths)
    )
    assert wanted.uniform(UNET) == largest


def test_a_narrow_design_is_widened_at_most_four_times():
    assert space(params=1.0).uniform(scaled(UNET, 1 / 8)) == scaled(scaled(UNET, 1 / 8), 4)


def test_versions_are_those_of_the_selected_kinds():
    chosen = Space(UNET, Products(), {"params": 500}, ["separable"])
    assert list(chosen.versions) == ["base", "separable convolution"]
    designs = chosen.random_designs(12, np.random.default_rng(0))
    assert {(design.convs, design.up) for design in designs} == {(UNET.convs, UNET.up)}
    assert {design.separable for design in designs} == {False, True}


def test_parts_are_removed_if_the_narrowest_design_costs_too_much():
    narrowest = Products()(UNET.with_widths([1] * 7)).params
    found = Space(UNET, Products(), {"params": narrowest - 1}).uniform(UNET)
    assert found.depth < UNET.depth
    assert set(widths_of(found)) == {1}


def test_there_is_no_design_below_the_cost_of_the_narrowest():
    nothing = Space(CHAIN, Products(), {"params": 2})
    assert nothing.uniform(CHAIN) is None
    assert nothing.random_designs(3, np.random.default_rng(0)) == []


def test_a_chain_has_one_flat_design():
    assert len(space(CHAIN, params=0.5).flat_designs(5, np.random.default_rng(0))) == 1


def test_depths_go_down_to_the_last_level():
    assert [design.depth for design in depths_of(UNET)] == [3, 2, 1]


def test_the_versions_of_a_unet_are_those_that_are_proposed():
    wanted = space(params=0.1)
    versions = [(design.convs, design.up, design.separable) for design in wanted.versions.values()]
    assert versions == [
        (2, "transpose", False),
        (1, "transpose", False),
        (2, "interpolate", False),
        (2, "transpose", True),
    ]
    flat = wanted.flat_designs(6, np.random.default_rng(0))
    assert [(design.convs, design.up, design.separable) for design in flat[:4]] == versions
    assert {design.skips for design in flat[:4]} == {UNET.skips}  # all parts of the base
    drawn = wanted.random_designs(40, np.random.default_rng(0))
    assert {(design.convs, design.up, design.separable) for design in drawn} == set(versions)
