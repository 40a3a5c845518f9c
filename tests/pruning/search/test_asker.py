"""Asker: information losses of a network whose layers are replaced by signals with known information."""

import numpy as np
import pytest
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import EstimationError, InputError
from bench.estimators import VInformation
from bench.pruning.designs import Part, PartKind, design_of
from bench.pruning.search.asker import READINGS, Asker
from bench.pruning.search.loss import Loss
from bench.pruning.search.questions import of_designs
from bench.pruning.search.ways import select_views
from models import UNet

NETWORK = UNet(1, 1, widths=(4, 4, 4), norm="none")
BASE = design_of(NETWORK)


def known_asker():
    """Return an asker of a network with 4 channels per slot: levels 1 and 2 have the noisy label, level 3 is noise."""
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    split = Split(images, (images[:, 0] > 0.5).long(), np.arange(40), tuple(map(str, range(40))))
    data = Data("made", "segmentation", ("background", "bright"), split, split, split)
    asker = Asker(NETWORK, data, BASE, {"probe": VInformation(permutations=3)}, seed=0, views=["pixel"], samples=640)
    channels, rng = asker.channels["pixel"], np.random.default_rng(0)
    n = channels.target.n
    signal = channels.target.labels + 0.5 * rng.normal(size=n)
    for tap in channels.columns:
        channels.columns[tap] = rng.normal(size=(n, 4, 1)).astype(np.float32)
    for tap in ("enc1.conv2", "enc2.conv2", "up1"):
        channels.columns[tap][:, 2, 0] = signal
    asker.order = {slot: [2, 0, 1, 3] for slot in asker.order}
    return asker


@pytest.fixture(scope="module")
def asker():
    return known_asker()


def test_losses_of_redundant_parts_do_not_add_up(asker):
    """Each of two equal skips has no information given the other; both together have that of one."""
    one = [asker.structure(BASE.removals()[Part(PartKind.SKIP, level)], "probe", "pixel") for level in (1, 2)]
    both = asker.structure(BASE.removals()[Part(PartKind.SKIP, 1)].removals()[Part(PartKind.SKIP, 2)], "probe", "pixel")
    assert max(abs(loss.bits) for loss in one) < 0.05
    assert both.bits == pytest.approx(asker.slot("encoder 1", "probe", "pixel").bits, abs=0.05)
    assert both.low > 0.3


def test_removing_the_uninformative_level_loses_nothing(asker):
    loss = asker.structure(BASE.removals()[Part(PartKind.LEVEL, 3)], "probe", "pixel")
    assert loss.low < 0.02 < 0.1 > loss.high
    assert loss.reliable


def test_pairs_measure_each_part_given_the_other(asker):
    parts = (Part(PartKind.SKIP, 1), Part(PartKind.LEVEL, 2), Part(PartKind.SKIP, 2))
    skip, level, other = (asker.pair(part, "probe", "pixel") for part in parts)
    assert max(abs(skip.bits), abs(level.bits)) < 0.1  # skip 1 and up 1 have the same signal
    assert other.low > 0.3  # up 2 has no information


def test_the_informative_channel_is_kept(asker):
    assert abs(asker.width("encoder 1", 1, "probe", "pixel").bits) < 0.05
    assert asker.width("encoder 1", 4, "probe", "pixel") == Loss(0, 0, 0, True)
    asker.order["decoder 1"] = [0, 1, 3, 2]
    asker.channels["pixel"].columns["dec1.conv2"][:, 2, 0] = asker.channels["pixel"].columns["up1"][:, 2, 0]
    assert asker.width("decoder 1", 3, "probe", "pixel").low > 0.3


def test_all_answers_are_on_one_scale_also_if_the_position_tells_the_label():
    """The label is the half of the image, and all label maps are equal. Channel 0 shows it with noise, 1 exactly.

    By the chain rule, the information of channel 0, and of 1 given 0, add up to that of both: the entropy of the label.
    """
    images = torch.rand(40, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    split = Split(images, (torch.arange(8) > 3).long().expand(40, 8, 8), np.arange(40), tuple(map(str, range(40))))
    data = Data("halves", "segmentation", ("left", "right"), split, split, split)
    asker = Asker(NETWORK, data, BASE, {"probe": VInformation(permutations=3)}, seed=0, views=["pixel"], samples=640)
    channels, rng = asker.channels["pixel"], np.random.default_rng(0)
    y = channels.target.labels
    channels.columns["up1"] = np.stack([y + rng.normal(size=len(y)), y], axis=1)[:, :, None].astype(np.float32)
    noisy, exact, both = {"up1": (0,)}, {"up1": (1,)}, {"up1": (0, 1)}
    first, rest, whole = (
        asker.information_loss("probe", "pixel", "channels", *question)
        for question in ((noisy, {}), (exact, noisy), (both, {}))
    )
    assert whole.bits == pytest.approx(1, abs=0.05)
    assert 0.1 < first.bits < 0.3
    assert first.bits + rest.bits == pytest.approx(whole.bits, abs=0.03)


def test_an_estimate_is_computed_once(asker):
    before = len(asker.asked)
    first = asker.slot("encoder 2", "probe", "pixel")
    count = len(asker.asked)
    assert asker.slot("encoder 2", "probe", "pixel") == first
    assert len(asker.asked) == count > before
    assert {"what", "removed", "given", "bits", "null_mean", "low", "high", "reliable"} <= set(asker.asked)


def test_the_questions_to_score_designs_are_counted_before_they_are_asked():
    asker = known_asker()
    parts = [BASE.removals()[part] for part in (Part(PartKind.SKIP, 1), Part(PartKind.LEVEL, 3))]
    designs = [BASE, *parts, BASE.with_widths([4, 2, 4, 4, 4]), BASE.with_widths([4, 2, 1, 4, 4])]
    for design in designs:
        for reading in READINGS:
            asker.loss(design, "probe", "pixel", reading)
    for slot in asker.tap_of:
        asker.slot(slot, "probe", "pixel")
    for part in asker.pairs:
        asker.pair(part, "probe", "pixel")
    assert len(asker.asked) == asker.progress.done == of_designs(asker, designs) == 5 + 4 + 1 + 2


def test_the_narrowest_slot_has_a_charge(asker):
    """The charge is half of the peak information divided by the channels of the narrowest slot; the base has none."""
    narrow = BASE.with_widths([4, 2, 4, 4, 4])
    bits, charged = (asker.loss(narrow, "probe", "pixel", reading) for reading in ("cut", "cut_and_narrowest"))
    assert charged.bits - bits.bits == pytest.approx(0.5 * asker.peak("probe", "pixel").bits * (1 / 2 - 1 / 4))
    assert charged.high - charged.low == pytest.approx(bits.high - bits.low)
    assert asker.loss(BASE, "probe", "pixel") == Loss(0, 0, 0, True)


def test_a_refused_estimate_has_no_bits(asker, monkeypatch):
    """The loss is NaN, so that neither the slot nor its design ranks as if nothing was lost."""

    def refuse(*_, **__):
        raise EstimationError("got too few samples")

    with monkeypatch.context() as patch:
        patch.setattr(asker.estimators["probe"], "estimate", refuse)
        loss = asker.width("decoder 2", 1, "probe", "pixel")
    assert np.isnan(loss.bits)
    assert not loss.reliable
    assert np.isnan(asker.loss(BASE.with_widths([4, 4, 4, 1, 4]), "probe", "pixel").bits)
    assert asker.asked["reason"].iloc[-1] == "got too few samples"


def test_losses_add_up_with_independent_errors():
    total = Loss.total([Loss(0.1, 0.07, 0.13, True), Loss(0.2, 0.16, 0.24, False)])
    assert (total.bits, total.reliable) == (pytest.approx(0.3), False)
    assert (total.bits - total.low, total.high - total.bits) == (pytest.approx(0.05), pytest.approx(0.05))


def test_too_few_images_are_refused():
    images = torch.rand(12, 1, 8, 8)
    split = Split(images, (images[:, 0] > 0.5).long(), np.arange(12), tuple(map(str, range(12))))
    data = Data("made", "segmentation", ("background", "bright"), split, split, split)
    with pytest.raises(InputError, match="got 24 images to train and validate on, wanted at least 32"):
        Asker(NETWORK, data, BASE, {"probe": VInformation()}, seed=0)


def test_with_32_images_both_views_are_selected():
    images = torch.rand(16, 1, 8, 8)
    split = Split(images, (images[:, 0] > 0.5).long(), np.arange(16), tuple(map(str, range(16))))
    data = Data("made", "segmentation", ("background", "bright"), split, split, split)
    assert select_views(data, None) == ["pixel", "patch"]
    assert select_views(data, ["patch"]) == ["patch"]


def test_between_asked_widths_the_loss_is_linear_in_the_logarithm(asker, monkeypatch):
    asker.order["decoder 1"] = list(range(16))
    known = {8: 1.0, 4: 2.0, 3: 5.0}
    monkeypatch.setattr(asker, "_beyond", lambda slot, width, *_: Loss(known[width], 0.0, 0.0, True))
    bits = [asker.width("decoder 1", width, "probe", "pixel").bits for width in (8, 6, 4, 3)]
    assert bits == pytest.approx([1.0, 2 - np.log(6 / 4) / np.log(8 / 4), 2.0, 5.0])
