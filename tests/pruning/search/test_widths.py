"""Rules of widths, and the moves of channels between slots, with known information and exact costs."""

import numpy as np
import pytest
from known_asker import BASE, PRICING, KnownAsker, search

from bench.pruning.designs import widths_of
from bench.pruning.search.moves import moves
from bench.pruning.search.search import Search, with_width
from bench.pruning.search.widths import WidthRule, effective_rank, flat_within, steps_to_widths

EVEN = {"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5}
TARGETS = [{"params": 2000}, {"flops": 200_000}, {"params": 1500, "flops": 150_000}]


def design_of(rule, target, asker=None):
    return steps_to_widths(rule, BASE, search(asker or KnownAsker(EVEN)), target)[-1].design


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("rule", WidthRule)
def test_every_rule_stays_within_the_target_and_uses_most_of_it(rule, target):
    design = design_of(rule, target)
    costs = PRICING(design)
    assert all(costs[kind] <= most for kind, most in target.items())
    assert max(costs[kind] / most for kind, most in target.items()) > 0.7


@pytest.mark.parametrize(("named", "other"), [("params", "flops"), ("flops", "params")])
@pytest.mark.parametrize("rule", WidthRule)
def test_a_cost_that_the_target_does_not_name_is_at_most_the_base_s(rule, named, other):
    whole = PRICING(BASE)
    costs = PRICING(design_of(rule, {named: int(0.99 * whole[named])}))
    assert costs[named] <= 0.99 * whole[named]
    assert costs[other] <= whole[other]


@pytest.mark.parametrize("target", TARGETS)
def test_flat_widths_differ_by_one_channel_and_are_the_widest_within_the_target(target):
    flat = flat_within(BASE, PRICING, target)
    assert widths_of(flat).max() - widths_of(flat).min() <= 1
    slots = flat.slots()
    narrowest = next(slot for slot in slots if slot.width == widths_of(flat).min())
    assert not PRICING.is_within(with_width(flat, [narrowest], narrowest.width + 1), target)


def test_widths_by_rank_are_in_proportion_to_the_effective_ranks():
    """The channels of encoder 3 are copies of one channel, so its effective rank is 1. The others are independent."""
    asker = KnownAsker(EVEN)
    columns = asker.channels["pixel"].columns
    columns["bottleneck.conv2"] = np.repeat(columns["bottleneck.conv2"][:, :1], 16, axis=1)
    widths = {slot.name: slot.width for slot in design_of(WidthRule.RANK, TARGETS[0], asker).slots()}
    assert widths["encoder 3"] <= 2 < widths["encoder 2"]
    assert widths["encoder 2"] == pytest.approx(2 * widths["encoder 1"], abs=1.5)


def test_the_effective_rank_of_a_known_covariance():
    """Variances 4 and 1 have the shares .8 and .2: exp(-.8 ln .8 - .2 ln .2) = 1.649."""
    samples = np.random.default_rng(0).normal(size=(100_000, 2, 1)) * np.array([2.0, 1.0])[None, :, None]
    assert effective_rank(samples) == pytest.approx(1.649, abs=0.01)
    assert effective_rank(np.concatenate([samples, samples], axis=1)) == pytest.approx(1.649, abs=0.01)


class OneSlotTells(KnownAsker):
    """Every channel of encoder 2 tells 0.05 bits; no other channel tells anything."""

    def width(self, slot, width, *_):
        lost = super().width(slot, width)
        whole = next(each.width for each in self.base.slots() if each.name == slot)
        bits = 0.05 * max(0, whole - width) if slot == "encoder 2" else 0.0
        return type(lost)(bits, bits, bits, True)

    def charge(self, *_):
        return 0.0


def test_widths_grow_where_channels_tell_most():
    grown = {slot.name: slot.width for slot in design_of(WidthRule.GROWN, {"params": 3000}, OneSlotTells(EVEN)).slots()}
    assert grown["encoder 2"] == 8  # all that the base has
    assert grown["encoder 3"] < 8


@pytest.mark.parametrize("target", [{"params": PRICING(BASE).params}, {"flops": PRICING(BASE).flops}])
def test_moves_widen_the_slot_whose_last_channels_tell_most(target):
    network = Search(OneSlotTells(EVEN), PRICING, "known", "pixel", 0.05)
    found = moves(network, target, limits=target, most=2, lost=network.lost_between)
    assert 1 <= len(found) <= 2
    before = {slot.name: slot.width for slot in BASE.slots()}
    after = {slot.name: slot.width for slot in found[0].design.slots()}
    assert after["encoder 2"] > before["encoder 2"]
    assert any(after[name] < before[name] for name in before)
    for step in found:
        assert PRICING.is_within(step.design, target)
    assert "encoder 2" in found[0].change
    assert len({step.part for step in found}) == len(found)


def test_moves_follow_what_is_said_to_be_lost():
    """By another measure than information, the slot of the largest worth is widened too."""
    target = {"params": PRICING(BASE).params}

    def lost(slots, wide, narrow):
        return 1.0 if slots[0].name == "encoder 1" else 0.0

    network = Search(OneSlotTells(EVEN), PRICING, "known", "pixel", 0.05)
    first = moves(network, target, limits=target, most=1, lost=lost)[0]
    widths = {slot.name: slot.width for slot in first.design.slots()}
    assert widths["encoder 1"] > BASE.slots()[0].width
    assert "encoder 1" in first.change
