"""The greedy search with known information, without a network."""

from types import SimpleNamespace

import numpy as np
import pytest
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal, answers, propose_designs
from bench.pruning.search.search import Search, Step, last_step_of_each_part, with_width

BASE = UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"))
MODEL = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch"})
PRICING = Pricing(MODEL, (1, 16, 16))  # shared, because it caches costs


def sources(design):
    """Return the encoder levels that the decoder of a design reads."""
    skips = [f"encoder {level}" for level, mode in enumerate(design.skips, 1) if mode != "off"]
    return [*skips, f"encoder {len(design.widths)}"]


class KnownAsker:
    """Replacement for an Asker with known information.

    Args:
        bits: information of each source; all channels are equally informative.
        twins: sources that share the same information.
        error: half of the width of every interval.
        unreliable: slots and sources whose estimates are not reliable.
    """

    def __init__(self, bits, twins=(), error=0.001, unreliable=()):
        self.bits, self.twins, self.error, self.unreliable = bits, set(twins), error, set(unreliable)
        self.base = BASE
        self.tap_of = {slot.name: slot.tap for slot in BASE.slots()}
        rng = np.random.default_rng(0)
        columns = {slot.tap: rng.normal(size=(200, slot.width, 1)) for slot in BASE.slots()}
        self.channels = {"pixel": SimpleNamespace(columns=columns)}

    def peak_information(self, *_):
        return 1.0

    def joint(self, slots):
        twins = self.twins & set(slots)
        alone = sum(self.bits[slot] for slot in slots if slot not in self.twins)
        return alone + (max(self.bits[slot] for slot in twins) if twins else 0)

    def structure(self, design, *_):
        bits = self.joint(sources(BASE)) - self.joint(sources(design))
        removed = set(sources(BASE)) - set(sources(design))
        return Loss(bits, bits - self.error, bits + self.error, not removed & self.unreliable)

    def width(self, slot, width, *_):
        whole = next(p.width for p in BASE.slots() if p.name == slot)
        bits = 0.1 * (1 - width / whole)
        return Loss(bits, bits - self.error, bits + self.error, slot not in self.unreliable)

    def charge(self, design, *_):
        return 0.01 / min(slot.width for slot in design.slots())

    def loss(self, design, *_):
        return Loss.total([self.width(slot.name, slot.width) for slot in design.slots()])


def search(asker, margin=0.05):
    return Search(asker, PRICING, "known", "pixel", margin)


def test_information_is_estimated_again_after_each_removal():
    """Of two skips with the same information, the first can be removed, and then the other cannot."""
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.3}, twins=["encoder 1", "encoder 2"])
    steps = list(search(asker).parts(BASE))
    assert [step.part for step in steps] == ["skip 1"]
    assert steps[0].design.skips == ("off", "cat")


def test_an_uninformative_level_is_removed():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.01})
    steps = list(search(asker).parts(BASE))
    assert [step.part for step in steps] == ["level 3"]
    assert steps[0].design.widths == (4, 8)
    assert "without level 3: it has 0.010 bits given what is kept" in steps[0].describe()


def test_the_upper_end_of_the_interval_decides():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.01}, error=0.045)
    assert list(search(asker).parts(BASE)) == []


def test_a_part_with_unreliable_estimates_is_kept():
    """Level 3 and skip 1 both have less information than the margin; only the reliable one can be removed."""
    bits = {"encoder 1": 0.01, "encoder 2": 0.5, "encoder 3": 0.01}
    assert {step.part for step in search(KnownAsker(bits)).parts(BASE)} == {"skip 1", "level 3"}
    for unreliable, removed in (("encoder 1", ["level 3"]), ("encoder 3", ["skip 1"])):
        assert [step.part for step in search(KnownAsker(bits, unreliable=[unreliable])).parts(BASE)] == removed


def test_channels_with_unreliable_estimates_are_kept():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5}, unreliable=["encoder 3"])
    *_, last = search(asker).channels(BASE)
    assert last.design.widths[2] == BASE.widths[2]
    assert sum(last.design.widths) < sum(BASE.widths)
    steps = list(search(asker).channels(BASE, {"params": 3000}))  # a target of cost narrows them nevertheless
    assert steps[-1].design.widths[2] < BASE.widths[2]
    assert not any(step.removable for step in steps if step.part == "encoder 3")


@pytest.mark.parametrize(("error", "removed"), [(0.0399, ["level 3"]), (0.0401, [])])
def test_a_part_is_removed_if_the_upper_end_is_below_the_margin(error, removed):
    """Level 3 has .01 bits, and the margin is .05 of 1 bit."""
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.01}, error=error)
    assert [step.part for step in search(asker).parts(BASE)] == removed


def test_channels_are_removed_while_the_margin_allows():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    *_, last = search(asker).channels(BASE)
    assert last.removable
    for slot in last.design.slots():
        assert asker.width(slot.name, slot.width).high < 0.05
    assert sum(last.design.widths) < sum(BASE.widths)


def test_equally_informative_channels_are_removed_where_they_cost_most():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    first = next(search(asker).channels(BASE))
    assert (first.part, first.design.widths) == ("encoder 3", (4, 8, 13))


def test_channels_are_removed_until_the_target_is_met_and_then_restored_up_to_it():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    costs = [PRICING(step.design)["params"] for step in search(asker).channels(BASE, {"params": 3000})]
    met = next(number for number, cost in enumerate(costs) if cost <= 3000)
    assert costs[: met + 1] == sorted(costs[: met + 1], reverse=True)
    assert costs[met:] == sorted(costs[met:])
    assert costs[met] < costs[-1] <= 3000


def test_the_last_step_of_each_part_is_reported():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    steps = list(search(asker).channels(BASE))
    last = {step.part: step for step in last_step_of_each_part(steps)}
    assert len(last) < len(steps)
    assert "encoder 3 with 9 of 16 channels: the others have 0.044 bits" in last["encoder 3"].describe()


@pytest.mark.parametrize("target", [{"params": 0.1}, {"flops": 0.25}, {"params": 0.2, "flops": 0.2}])
def test_targets_are_met(target):
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    found = propose_designs(search(asker), BASE, target)
    whole = PRICING(BASE)
    assert any(all(p.costs[kind] <= share * whole[kind] for kind, share in target.items()) for p in found)
    params = [p.costs.params for p in found if not p.swap]
    assert params == sorted(params, reverse=True)
    assert any(not p.within_margin for p in found)


def test_channels_are_restored_as_far_as_the_target_allows():
    pricing, target = PRICING, {"params": 900, "flops": 200_000}
    *_, last = search(KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})).channels(BASE, target)
    whole = {slot.name: slot.width for slot in BASE.slots()}
    for slots in last.design.tied():
        names = [slot.name for slot in slots]
        wider = last.design.with_widths([p.width + (p.name in names) for p in last.design.slots()])
        too_much = any(pricing(wider)[kind] > most for kind, most in target.items())
        assert too_much or slots[0].width + 1 == whole[names[0]]
    assert all(pricing(last.design)[kind] <= most for kind, most in target.items())


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
        assert last == f"{proposal.swap} replaces that of the base; the base has no information about this network"
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
    with pytest.raises(InputError, match=r"target.params: got 0.001, wanted at least .* loses .* bits"):
        propose_designs(search(asker), BASE, {"params": 0.001})


def test_a_diagnostic_without_information_about_the_label_is_refused():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    asker.peak_information = lambda *_: -0.01
    with pytest.raises(InputError, match="finds no information about the label"):
        search(asker)


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


def test_the_loss_between_two_designs_is_that_of_the_channels_and_the_change_of_the_charge():
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    deepest = BASE.tied()[-1]
    narrow = with_width(BASE, deepest, 2)  # the narrowest layer has 2 channels instead of 4
    lost = search(asker).lost_between(deepest, with_width(BASE, deepest, 8), narrow)
    assert lost == pytest.approx(0.1 * (8 - 2) / 16 + 0.01 / 2 - 0.01 / 4)


def test_every_part_and_every_slot_is_measured_by_every_diagnostic():
    asker = KnownAsker({"encoder 1": 0.5})
    asker.diagnostics = lambda: [("known", "pixel"), ("known", "patch")]
    asker.pairs, asker.tap_of = ["skip 1"], {"encoder 1": None}
    asker.pair = asker.slot = lambda *_: Loss(0.5, 0.4, 0.6, True)
    measured = answers(asker)[["view", "part"]].itertuples(index=False, name=None)
    assert set(measured) == {(view, part) for view in ("pixel", "patch") for part in ("skip 1", "encoder 1")}
