from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussians import class_with_rare_activations

from bench.errors import EstimationError
from bench.estimators import Critic
from bench.information.variables import Variable

BOUNDS = ("infonce", "nwj", "mine", "smile")


def pair(nats, n, seed):
    rng = np.random.default_rng(seed)
    t, noise = rng.normal(size=(2, n, 1))
    rho = np.sqrt(1 - np.exp(-2 * nats))
    return t, rho * t + np.sqrt(1 - rho**2) * noise


@pytest.mark.parametrize("bound", BOUNDS)
def test_one_nat_between_gaussians(bound):
    estimate = Critic(bound, permutations=2, steps=400).estimate(*pair(1.0, 1500, 0), rng=np.random.default_rng(0))
    assert estimate.bits * np.log(2) == pytest.approx(1, abs=0.15)
    assert 0.1 < np.subtract(*estimate.interval[::-1]) < 0.3  # the interval is over 450 test samples
    assert abs(estimate.null.mean) < 0.05
    assert estimate.significant is True


def test_infonce_is_below_the_logarithm_of_the_number_of_test_samples():
    estimate = Critic("infonce", steps=300, permutations=2).estimate(*pair(8.0, 400, 0), rng=np.random.default_rng(0))
    assert estimate.ceiling == pytest.approx(np.log2(120))  # 30 % of 400 samples are test samples
    assert 0.8 * estimate.ceiling < estimate.bits < estimate.ceiling


@pytest.mark.parametrize("bound", BOUNDS)
def test_a_label_through_a_noisy_channel(bound):
    rng = np.random.default_rng(0)
    label = rng.integers(0, 2, 1200)
    shown = np.where(rng.random(1200) < 0.1, 1 - label, label)
    wrong = (shown != label).mean()
    truth = 1 + wrong * np.log2(wrong) + (1 - wrong) * np.log2(1 - wrong)
    t = label[:, None] + 0.1 * rng.normal(size=(1200, 1))
    estimate = Critic(bound, steps=400, permutations=2).estimate(t, shown, rng=np.random.default_rng(0))
    assert estimate.bits == pytest.approx(truth, abs=0.12)


@pytest.mark.parametrize("bound", BOUNDS)
def test_without_information_the_estimate_is_about_0(bound):
    rng = np.random.default_rng(0)
    found = [
        Critic(bound, steps=200, permutations=2).estimate(
            rng.normal(size=(150, 20)), rng.normal(size=(150, 2)), rng=rng
        )
        for _ in range(3)
    ]
    assert abs(np.mean([estimate.excess for estimate in found])) < 0.05
    assert max(estimate.bits for estimate in found) < 0.1


@pytest.mark.parametrize("bound", BOUNDS)
def test_outliers_among_held_out_samples_do_not_dominate(bound):
    found = []
    for seed in range(2):
        critic = Critic(bound, steps=300, permutations=2)
        estimate = critic.estimate(*class_with_rare_activations(seed), rng=np.random.default_rng(seed))
        found.append(estimate.bits)
    assert min(found) > -0.2
    assert 0.15 < np.mean(found) < 0.55


def test_pairs_of_the_same_group_give_no_information():
    # t and y have the same random mark for every image: without groups, known images would identify each other
    images = np.repeat(np.arange(60), 10)
    rng = np.random.default_rng(0)
    t, y = (rng.normal(size=(60, 8))[images] for _ in range(2))
    grouped, alone = (
        Critic("infonce", steps=300, permutations=2).estimate(Variable.of(t, groups), y, rng=np.random.default_rng(1))
        for groups in (images, None)
    )
    assert alone.bits > 1.5
    assert grouped.bits < 0.1


def test_a_deterministic_layer_needs_a_declared_noise_channel():
    t, _ = pair(1.0, 400, 0)
    layer = replace(Variable.of(t), deterministic=True)
    with pytest.raises(EstimationError, match=r"infinite; declare a noise channel on t, such as noise=0\.1 of Critic"):
        Critic("mine").estimate(layer, t, rng=np.random.default_rng(0))
    # noise as large as the standard deviation of t: I = .5 bits
    noisy = Critic("infonce", noise=1.0, steps=400, permutations=2).estimate(layer, t, rng=np.random.default_rng(1))
    assert noisy.bits == pytest.approx(0.5, abs=0.2)


def test_the_same_rng_gives_the_same_bits_and_the_global_state_is_unchanged():
    t, y = pair(1.0, 200, 0)
    before = torch.get_rng_state()
    critic = Critic("smile", steps=40, permutations=2)
    rows = [critic.estimate(t, y, rng=np.random.default_rng(5)).row() for _ in range(2)]
    assert {**rows[0], "seconds": 0} == {**rows[1], "seconds": 0}
    assert torch.equal(torch.get_rng_state(), before)


def test_bad_input_is_refused_with_the_reason():
    t, y = pair(1.0, 30, 0)
    with pytest.raises(EstimationError, match="got 30 groups of samples, wanted at least 40"):
        Critic("nwj").estimate(t, y, rng=np.random.default_rng(0))
    with pytest.raises(EstimationError, match="third variable given, wanted none: Critic"):
        Critic("nwj").estimate(t, y, given=y, rng=np.random.default_rng(0))
    for arguments, message in [({"bound": "dv"}, "bound: got 'dv'"), ({"bound": "nwj", "steps": 0}, "steps: got 0")]:
        with pytest.raises(ValueError, match=message):
            Critic(**arguments)
