"""The greedy search with known information, without a network."""

import numpy as np
import pytest
from known_asker import BASE, PRICING, KnownAsker, search

from bench.errors import InputError
from bench.pruning.search.loss import Loss
from bench.pruning.search.search import last_step_of_each_part, with_width
from bench.pruning.search.tables import answers


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


@pytest.mark.parametrize("bits", [-0.01, 0.0, np.nan])
def test_a_diagnostic_without_information_about_the_label_is_refused(bits):
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    asker.peak = lambda *_: Loss(bits, bits - 0.03, bits + 0.03, True)
    with pytest.raises(InputError, match=r"finds no information about the label in any layer .* the most is"):
        search(asker)


@pytest.mark.parametrize(("bits", "warned"), [(0.02, True), (0.04, False)])
def test_information_whose_interval_includes_0_is_warned_of(caplog, bits, warned):
    """The largest of several estimates of 0 bits is mostly above 0."""
    asker = KnownAsker({"encoder 1": 0.5, "encoder 2": 0.5, "encoder 3": 0.5})
    asker.peak = lambda *_: Loss(bits, bits - 0.03, bits + 0.03, True)
    assert search(asker).peak == bits
    assert ("no certain information about the label in any layer" in caplog.text) == warned


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
