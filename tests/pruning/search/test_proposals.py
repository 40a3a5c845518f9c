"""Proposals with known information: targets of cost, smaller versions, and what is said if a target can't be met."""

import pytest
from known_asker import BASE, PRICING, KnownAsker, search

from bench.errors import InputError
from bench.information.statistics import round_up
from bench.pruning.designs import SwapKind
from bench.pruning.search import proposals
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal, propose_designs
from bench.pruning.search.search import Step


@pytest.mark.parametrize("target", [{"params": 0.1}, {"flops": 0.25}, {"params": 0.2, "flops": 0.2}])
def test_targets_are_met(target):
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    found = propose_designs(search(asker), BASE, target)
    whole = PRICING(BASE)
    assert any(all(p.costs[kind] <= share * whole[kind] for kind, share in target.items()) for p in found)
    params = [p.costs.params for p in found if not p.swap]
    assert params == sorted(params, reverse=True)
    assert any(not p.within_margin for p in found)


def test_a_target_is_also_met_with_the_next_part_removed():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.4, "encoder 3": 0.5})
    structures = {(p.design.depth, p.design.skips) for p in propose_designs(search(asker), BASE, {"params": 0.3})}
    assert structures == {(2, ("cat", "cat")), (2, ("cat", "off")), (1, ("cat",)), (1, ("off",))}


def test_a_swap_in_a_leaner_structure_also_says_which_parts_were_removed():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.0})
    swaps = [proposal for proposal in propose_designs(search(asker), BASE, {"params": 0.3}) if proposal.swap]
    depths = {proposal.design.depth for proposal in swaps}
    assert depths == {1, 2}
    for proposal in swaps:
        *removed, last = proposal.reasons().split("\n")
        assert last == f"smaller version of a part: {proposal.swap}; the base has no information about this network"
        assert [reason.startswith("without level 3") for reason in removed] == [True] * (2 - proposal.design.depth)
        assert not proposal.within_margin


@pytest.mark.parametrize("swaps", [[], ["interpolation"], ["separable", "one_convolution", "smaller_encoder"]])
def test_the_setting_selects_the_smaller_versions(swaps):
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    found = propose_designs(search(asker), BASE, {"params": 0.3}, ["flat"], swaps)
    proposed = {proposal.swap for proposal in found if proposal.swap}
    assert proposed == {swap.words for swap in BASE.swaps() if swap.kind in swaps}


def test_an_unreachable_target_is_refused_with_the_smallest_possible_one():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    message = r"target.params: got 0.001, wanted at least .*: the leanest design .*, and loses \d\.\d+ of 1.000 bits"
    with pytest.raises(InputError, match=message) as refused:
        propose_designs(search(asker), BASE, {"params": 0.001})
    least = float(str(refused.value).split("at least ")[1].split(":")[0])
    assert propose_designs(search(asker), BASE, {"params": least})
    with pytest.raises(InputError, match="wanted at least"):
        propose_designs(search(asker), BASE, {"params": 0.98 * least})


@pytest.mark.parametrize("swaps", [[], list(SwapKind)])
def test_a_smaller_version_may_meet_a_target_that_no_structure_meets(monkeypatch, swaps):
    """As with the encoder of another library, whose widths are fixed, here no part can be removed."""
    monkeypatch.setattr(proposals, "_structures", lambda search, base: [[]])
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    designs = [each.with_widths([1] * len(each.slots())) for each in (BASE, *BASE.swaps().values())]
    full, *smaller = (PRICING(each).flops / PRICING(BASE).flops for each in designs)
    target = {"flops": (min(smaller) + full) / 2}
    if swaps:
        assert {each.swap is not None for each in propose_designs(search(asker), BASE, target, swaps=swaps)} == {True}
    least, loses = (round_up(min(smaller), 3), "an unknown part") if swaps else (round_up(full, 3), r"\d\.\d+")
    with pytest.raises(InputError, match=f"wanted at least {least:g}: .* loses {loses} of 1.000 bits"):
        propose_designs(search(asker), BASE, target if not swaps else {"flops": 0.9 * min(smaller)}, swaps=swaps)


def test_a_design_is_within_the_margin_if_all_its_removals_are():
    none = Loss(0.0, 0.0, 0.0, True)

    def proposal(*removable):
        steps = [Step(f"skip {number}", "without it", BASE, none, may) for number, may in enumerate(removable)]
        return Proposal("lean_1", BASE, steps, PRICING(BASE), none, none)

    assert proposal(True, True).within_margin
    assert not proposal(True, False).within_margin
    assert not proposal(False, True).within_margin


def test_without_a_target_two_more_designs_have_half_and_a_quarter_of_the_cost_of_the_leanest_allowed_one():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    found = propose_designs(search(asker), BASE, {})
    allowed, half, quarter = [proposal.costs.params for proposal in found if not proposal.swap][-3:]
    assert 0.4 * allowed < half <= 0.5 * allowed
    assert 0.2 * allowed < quarter <= 0.25 * allowed
