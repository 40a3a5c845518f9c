from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussians import class_with_rare_activations

from bench.errors import EstimationError
from bench.estimators import VInformation
from bench.information.reductions import Distances
from bench.information.variables import Variable


def binary_entropy(p):
    return -(p * np.log2(p) + (1 - p) * np.log2(1 - p))


def test_the_estimate_for_a_noisy_channel_is_its_capacity():
    # y is the sign of t, flipped with probability .1, here for a share of .1145 of the samples: I = 1 - h(.1145)
    rng = np.random.default_rng(0)
    sign = rng.integers(0, 2, 2000)
    y = np.where(rng.random(2000) < 0.1, 1 - sign, sign)
    t = (2.0 * sign - 1)[:, None] + 0.05 * rng.normal(size=(2000, 1))
    truth = 1 - binary_entropy((y != sign).mean())
    for probe in (VInformation(permutations=2), VInformation(hidden=16, permutations=2)):
        estimate = probe.estimate(t, y, rng=np.random.default_rng(1))
        assert estimate.bits == pytest.approx(truth, abs=0.015)
        assert estimate.interval[0] < truth < estimate.interval[1]
        assert estimate.significant is True


def test_the_estimate_for_gaussian_classes_is_their_information():
    # p(y=1) = .2 and t | y ~ N(1.5 y, 1) have I = .213, from 200,000 draws
    rng = np.random.default_rng(0)
    y = (rng.random(3000) < 0.2).astype(int)
    t = rng.normal(size=(3000, 8))
    t[:, 0] += 1.5 * y
    estimate = VInformation(permutations=2).estimate(t, y, rng=np.random.default_rng(1))
    assert estimate.bits == pytest.approx(0.213, abs=0.03)
    assert estimate.limit == pytest.approx(binary_entropy(y.mean()))


@pytest.mark.parametrize("hidden", [None, 16])
def test_outliers_among_held_out_samples_do_not_dominate(hidden):
    found = []
    for seed in range(5):
        estimate = VInformation(hidden=hidden, permutations=2).estimate(
            *class_with_rare_activations(seed), rng=np.random.default_rng(seed)
        )
        found.append(estimate.bits)
    assert np.mean(found) == pytest.approx(0.486, abs=0.06)
    assert min(found) > 0.35


def test_exclusive_or_needs_a_hidden_layer():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 800))
    t = np.stack([a, b], axis=1) + 0.1 * rng.normal(size=(800, 2))
    linear, hidden = (
        VInformation(hidden=h, permutations=2, rate=0.05).estimate(t, a ^ b, rng=np.random.default_rng(1)).bits
        for h in (None, 16)
    )
    assert linear < 0.02
    assert hidden > 0.9


def test_noise_in_more_columns_than_samples_has_no_information():
    # on its training samples, such a probe predicts every label
    rng = np.random.default_rng(0)
    bits = []
    for _ in range(10):
        estimate = VInformation(permutations=4).estimate(rng.normal(size=(80, 200)), rng.integers(0, 2, 80), rng=rng)
        bits.append(estimate.bits)
    assert np.mean(bits) < 0.01
    assert max(bits) < 0.1


@pytest.mark.parametrize("hidden", [None, 8])
def test_excess_vanishes_and_is_rarely_significant_under_independence(hidden):
    rng = np.random.default_rng(0)
    excesses, significant = [], 0
    for _ in range(15):
        t, y = rng.normal(size=(100, 3)), rng.integers(0, 3, 100)
        estimate = VInformation(hidden=hidden, permutations=15).estimate(t, y, rng=rng)
        excesses.append(estimate.excess)
        significant += estimate.significant
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(15) + 1e-9
    assert significant <= 3


def test_groups_are_not_split_among_training_stopping_and_test():
    # each image has a mark and a label: if images were split, the estimate would be 1 bit; without splitting it is 0
    rng = np.random.default_rng(0)
    images = np.repeat(np.arange(24), 20)
    marks, label = np.eye(24)[images], (rng.permutation(24) % 2)[images]
    known, unknown = (
        VInformation(permutations=2).estimate(Variable.of(marks, groups), label, rng=np.random.default_rng(1)).bits
        for groups in (None, images)
    )
    assert known > 0.9
    assert unknown < 0.02
    parts = VInformation()._parts(images, np.random.default_rng(0))
    for part in parts:
        members = [set(images[rows]) for rows in part]
        assert sum(map(len, members)) == len(set.union(*members)) == 24
    assert sorted(np.concatenate([test for *_, test in parts])) == list(range(len(images)))


def test_the_width_of_intervals_agrees_with_the_spread_over_new_groups():
    rng = np.random.default_rng(0)
    bits, widths = [], []
    images = np.repeat(np.arange(40), 6)
    for _ in range(20):
        y = rng.integers(0, 2, 240)
        t = 1.5 * y[:, None] + rng.normal(size=(240, 2)) + rng.normal(size=(40, 2))[images]
        estimate = VInformation(permutations=2).estimate(Variable.of(t, images), y, rng=rng)
        bits.append(estimate.bits)
        widths.append((estimate.interval[1] - estimate.interval[0]) / (2 * 1.96))
    assert 0.5 < np.mean(widths) / np.std(bits, ddof=1) < 2


def test_conditional_information_excludes_the_information_of_the_given():
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 2, (2, 600))
    a_shown, b_shown = (side[:, None] + 0.1 * rng.normal(size=(600, 1)) for side in (a, b))
    probe = VInformation(hidden=16, permutations=3, rate=0.05)
    new = probe.estimate(b_shown, a ^ b, given=a_shown, rng=np.random.default_rng(1))
    assert new.bits > 0.9
    assert new.significant is True
    copy = VInformation(permutations=10).estimate(a_shown, a, given=a_shown + 1e-3, rng=np.random.default_rng(1))
    assert abs(copy.bits) < 0.03
    labelled = VInformation(permutations=10).estimate(a_shown, a, given=a, rng=np.random.default_rng(1))
    assert abs(labelled.bits) < 0.03


@pytest.mark.parametrize("grouped", [False, True])
def test_conditional_information_is_significant_only_if_y_depends_on_t(grouped):
    rng = np.random.default_rng(0)
    found = {0: 0, 2: 0}
    for _ in range(8):
        groups = np.repeat(np.arange(30), 4) if grouped else np.arange(120)
        offsets = grouped * 0.5 * rng.normal(size=(2, 120))[:, groups]
        for own in found:
            c, private = rng.normal(size=(2, 120))
            t = c + private + offsets[0]
            y = (c + own * private + 0.5 * rng.normal(size=120) + offsets[1] > 0).astype(int)
            sides = [Variable.of(side[:, None], groups) for side in (t, c)]
            estimate = VInformation(steps=60).estimate(sides[0], y, given=sides[1], rng=rng)
            found[own] += estimate.significant
    assert found[0] <= 2
    assert found[2] >= 7


def test_streamed_layers_are_reduced_to_principal_coordinates():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 200)
    samples = rng.normal(size=(200, 300)) + 0.4 * y[:, None]
    distances = Variable.of(samples).read(Distances())
    streamed = Variable(200, 300, np.arange(200), {Distances(): distances})
    estimate = VInformation(components=16, permutations=2).estimate(streamed, y, rng=np.random.default_rng(1))
    assert estimate.bits > 0.8


@pytest.mark.filterwarnings("error")
def test_constant_samples_have_no_information():
    constant = Variable.of(np.ones((400, 3)))
    estimate = VInformation(permutations=3).estimate(constant, np.arange(400) % 2, rng=np.random.default_rng(0))
    assert abs(estimate.bits) < 0.05
    assert not estimate.significant


def test_the_same_rng_gives_the_same_bits_and_the_global_state_is_unchanged():
    t, y = np.random.default_rng(0).normal(size=(60, 3)), np.arange(60) % 3
    torch.manual_seed(3)
    before = torch.get_rng_state()
    rows = [VInformation(hidden=4, permutations=2).estimate(t, y, rng=np.random.default_rng(5)).row() for _ in range(2)]
    assert {**rows[0], "seconds": 0} == {**rows[1], "seconds": 0}
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_input_is_refused_with_the_reason():
    t, rng = np.random.default_rng(0).normal(size=(40, 2)), np.random.default_rng(0)
    with pytest.raises(EstimationError, match="continuous target, wanted labels"):
        VInformation().estimate(t, t, rng=rng)
    with pytest.raises(EstimationError, match="got 5 groups of samples, wanted at least 8 for 4 folds"):
        VInformation().estimate(Variable.of(t, np.arange(40) % 5), np.arange(40) % 2, rng=rng)
    with pytest.raises(EstimationError, match="one class"):
        VInformation().estimate(t, np.zeros(40, int), rng=rng)
    with pytest.raises(EstimationError, match="without"):
        VInformation().estimate(replace(Variable.of(t), samples=None), np.arange(40) % 2, rng=rng)
    for arguments, message in [({"folds": 1}, "folds: got 1"), ({"hidden": 0}, "hidden: got 0"), ({"rate": 0}, "rate")]:
        with pytest.raises(ValueError, match=message):
            VInformation(**arguments)
