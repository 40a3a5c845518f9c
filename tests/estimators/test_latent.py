from dataclasses import replace

import numpy as np
import pytest
import torch
from gaussians import gaussians, reversed_null

from bench.errors import EstimationError
from bench.estimators import Latent, ksg, latent
from bench.estimators.autoencoders import Autoencoders
from bench.information.variables import Variable

QUICK = {"permutations": 5, "subsamples": 3, "steps": 60}


def test_one_nat_between_gaussians():
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 600, 2, rng)
    estimate = Latent(permutations=10, subsamples=10, steps=200).estimate(t, y, rng=rng)
    assert estimate.bits * np.log(2) == pytest.approx(1, abs=0.15)
    assert estimate.interval[0] < estimate.bits < estimate.interval[1]
    assert 0.1 < np.subtract(*estimate.interval[::-1]) < 0.6
    assert abs(estimate.null.mean) < 0.05
    assert estimate.significant is True
    assert estimate.ceiling == pytest.approx(np.log2(300) - (1 + 1 / 2 - np.euler_gamma) / np.log(2))  # ln n - psi(3)


def test_information_among_other_columns():
    """One nat in 2 columns, rotated with 8 columns of noise. Neighbours in all 10 columns find less than half of it."""
    rng = np.random.default_rng(0)
    pairs = gaussians(1.0, 1500, 2, rng)
    sides = [
        np.hstack([side, rng.normal(size=(1500, 8))]) @ np.linalg.qr(rng.normal(size=(10, 10)))[0] for side in pairs
    ]
    assert latent(*sides, rng=rng, steps=120) * np.log(2) == pytest.approx(1, abs=0.3)
    assert ksg(*sides, k=5, variant="mixture") * np.log(2) < 0.5


def test_a_label_through_a_noisy_channel():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 3, 600)
    shown = np.where(rng.random(600) < 0.1, (label + 1) % 3, label)
    wrong = (shown != label).mean()
    truth = np.log2(3) + wrong * np.log2(wrong) + (1 - wrong) * np.log2(1 - wrong)
    t = np.eye(3)[label] @ rng.normal(size=(3, 20)) * 3 + rng.normal(size=(600, 20))
    estimate = Latent(**QUICK).estimate(t, shown, rng=rng)
    assert estimate.bits == pytest.approx(truth, abs=0.12)
    assert abs(estimate.null.mean) < 0.06


def test_without_information_the_estimate_is_about_0():
    rng = np.random.default_rng(0)
    found = [Latent(**QUICK).estimate(rng.normal(size=(160, 20)), rng.normal(size=(160, 2)), rng=rng) for _ in range(2)]
    assert abs(np.mean([estimate.excess for estimate in found])) < 0.1
    assert abs(np.mean([estimate.null.mean for estimate in found])) < 0.1


def test_samples_of_one_group_that_share_a_mark_give_no_excess():
    """Both sides have a random mark of each image. The null permutes whole images, so that it has the marks too."""
    images = np.repeat(np.arange(60), 8)
    rng = np.random.default_rng(0)
    t, y = (rng.normal(size=(60, 4))[images] + 0.01 * rng.normal(size=(480, 4)) for _ in range(2))
    grouped, alone = (
        Latent(**QUICK).estimate(Variable.of(t, groups), y, rng=np.random.default_rng(1)) for groups in (images, None)
    )
    assert alone.excess > 1
    assert abs(grouped.excess) < 0.15


def test_the_null_uses_the_pairings_that_the_target_draws():
    labels = np.sort(np.random.default_rng(0).integers(0, 3, 200))
    t = labels[:, None] + 0.3 * np.random.default_rng(1).normal(size=(200, 1))
    target = reversed_null(labels)
    null = Latent(**QUICK).estimate(t, target, rng=np.random.default_rng(2)).null
    assert null.spread == pytest.approx(0, abs=1e-9)
    assert null.mean > 0.5  # reversed labels are about as informative


def test_each_order_of_the_target_has_networks_of_its_own():
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 400, 1, rng)
    order = rng.permutation(400)
    orders = [np.arange(400), order, np.argsort(order)]
    there, apart, back = Latent(steps=100).reordered(Variable.of(t), Variable.of(y[order]), orders, rng)
    assert abs(there) < 0.2
    assert abs(apart) < 0.2
    assert back * np.log(2) == pytest.approx(1, abs=0.25)


def test_the_loss_weighs_the_own_and_the_other_side():
    """Decoders of weight 0 decode 0, so that the error of a side is the mean of its squares."""
    x, y = torch.full((5, 2), 2.0), torch.full((3, 5, 4), 3.0)
    nets = Autoencoders(x, y, latent=1, hidden=2, reconstruction=0.5, generator=torch.Generator().manual_seed(0))
    for _, _, last in nets.decoders:
        last.zero_()
    assert nets._errors(np.arange(5), 0.5).tolist() == pytest.approx([1.5 * (4 + 9)] * 3)
    assert nets._errors(np.arange(5), 0.0).tolist() == pytest.approx([4 + 9] * 3)


def test_a_deterministic_layer_needs_a_declared_noise_channel():
    t, _ = gaussians(1.0, 400, 1, np.random.default_rng(0))
    layer = replace(Variable.of(t), deterministic=True)
    with pytest.raises(EstimationError, match=r"infinite; declare a noise channel on t, such as noise=0\.1 of Latent"):
        Latent().estimate(layer, t, rng=np.random.default_rng(0))
    # noise as large as the standard deviation of t: I = .5 bits
    noisy = Latent(noise=1.0, **QUICK).estimate(layer, t, rng=np.random.default_rng(1))
    assert noisy.bits == pytest.approx(0.5, abs=0.2)


def test_the_same_rng_gives_the_same_bits_and_the_global_state_is_unchanged():
    t, y = gaussians(1.0, 200, 1, np.random.default_rng(0))
    before = torch.get_rng_state()
    rows = [Latent(**QUICK | {"steps": 40}).estimate(t, y, rng=np.random.default_rng(5)).row() for _ in range(2)]
    assert {**rows[0], "seconds": 0} == {**rows[1], "seconds": 0}
    assert torch.equal(torch.get_rng_state(), before)


def test_layers_that_hold_distances_alone():
    rng = np.random.default_rng(0)
    t, y = gaussians(1.0, 400, 1, rng)
    wide = Variable.of(t @ rng.normal(size=(1, 3000)) + 0.1 * rng.normal(size=(400, 3000)))
    wide.read(Latent.reads[0])
    found = Latent(**QUICK).estimate(replace(wide, samples=None), y, rng=rng)
    assert found.excess * np.log(2) == pytest.approx(1, abs=0.3)


def test_bad_input_is_refused_with_the_reason():
    t, y = gaussians(1.0, 30, 1, np.random.default_rng(0))
    with pytest.raises(EstimationError, match="got 30 groups of samples, wanted at least 40"):
        Latent().estimate(t, y, rng=np.random.default_rng(0))
    with pytest.raises(EstimationError, match="third variable given, wanted none: Latent"):
        Latent().estimate(t, y, given=y, rng=np.random.default_rng(0))
    with pytest.raises(ValueError, match="reconstruction: got 0, wanted a number above 0"):
        Latent(reconstruction=0)
