import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from bench.datasets import image_folder
from bench.errors import EstimationError
from bench.estimators import KDE
from bench.layers.capture import capture
from models import UNet


def reference(t, variance, factor=1):
    """Return H_upper (factor 1) or H_lower (factor 4) of T plus noise, in nats, with the terms in d, by loops."""
    n, d = t.shape
    total = 0.0
    for i in range(n):
        density = sum(np.exp(-((t[i] - t[j]) ** 2).sum() / (2 * factor * variance)) for j in range(n)) / n
        total -= np.log(density) / n
    return total + d / 2 * np.log(2 * np.pi * variance) + d / 2


@pytest.fixture
def samples():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 40)
    return rng.normal(size=(40, 4)) * 0.5 + y[:, None], y


@pytest.mark.parametrize(("bound", "factor"), [("upper", 1), ("lower", 4)])
def test_equals_the_formula_with_its_dimension_terms(samples, bound, factor):
    t, y = samples
    estimator = KDE(noise_variance=0.2, bound=bound)
    entropy = reference(t, 0.2, factor)
    noise = 4 / 2 * (np.log(2 * np.pi * 0.2) + 1)  # H(T|X)
    got = estimator.estimate(t, t, rng=np.random.default_rng(0)).bits
    assert got == pytest.approx((entropy - noise) / np.log(2), abs=1e-6)
    within = sum((y == k).mean() * reference(t[y == k], 0.2, factor) for k in range(3))
    got = estimator.estimate(t, y, rng=np.random.default_rng(0)).bits
    assert got == pytest.approx((entropy - within) / np.log(2), abs=1e-6)


def test_distant_rows_reach_the_ceiling_and_identical_rows_have_0_bits():
    rng = np.random.default_rng(0)
    far = KDE().estimate(1e3 * np.arange(32.0)[:, None], np.zeros((32, 1)), rng=rng)
    assert far.bits == pytest.approx(5)
    assert far.ceiling == 5
    assert far.reliable is False
    assert KDE().estimate(np.zeros((32, 2)), np.zeros((32, 1)), rng=rng).bits == pytest.approx(0, abs=1e-12)


def test_information_about_the_input_has_no_null(samples):
    t, _ = samples
    estimate = KDE(noise_variance=1.0).estimate(
        t, np.random.default_rng(1).normal(size=(40, 9)), rng=np.random.default_rng(0)
    )
    assert estimate.null is None
    assert estimate.excess is None
    assert estimate.significant is None
    assert estimate.reliable is None


def test_separated_classes_give_the_entropy_of_the_label():
    y = np.repeat([0, 1, 2, 3], 10)
    estimate = KDE().estimate(100.0 * y[:, None], y, rng=np.random.default_rng(0))
    assert estimate.bits == pytest.approx(2)
    assert estimate.limit == pytest.approx(2)
    assert estimate.significant is True
    assert estimate.reliable is True


def test_with_a_saturated_null_an_estimate_is_not_significant_and_not_reliable():
    rng = np.random.default_rng(0)
    estimate = KDE().estimate(1e3 * rng.normal(size=(64, 50)), np.arange(64) % 4, rng=rng)
    assert estimate.bits == pytest.approx(2)
    assert estimate.null.mean == pytest.approx(2)
    assert estimate.saturation == pytest.approx(2 / 6)
    assert estimate.significant is False
    assert estimate.reliable is False


def test_relative_noise_makes_the_scale_irrelevant_and_fixed_noise_does_not(samples):
    t, y = samples
    for target in (t, y):
        relative, fixed = (
            [KDE(relative=r).estimate(scale * t, target, rng=np.random.default_rng(0)).bits for scale in (1, 0.1)]
            for r in (True, False)
        )
        assert relative[0] == pytest.approx(relative[1], abs=1e-9)
        assert abs(fixed[0] - fixed[1]) > 0.1


def test_relative_noise_is_in_units_of_the_mean_squared_distance(samples):
    t, _ = samples
    mean = np.mean([((a - b) ** 2).sum() for i, a in enumerate(t) for j, b in enumerate(t) if i != j])
    relative = KDE(0.2, relative=True).estimate(t, t, rng=np.random.default_rng(0)).bits
    fixed = KDE(0.2).estimate(t / np.sqrt(mean), t, rng=np.random.default_rng(0)).bits
    assert relative == pytest.approx(fixed, abs=1e-9)


def test_the_lower_bound_is_below_the_upper_bound(samples):
    t, _ = samples
    upper, lower = (KDE(bound=bound).estimate(t, t, rng=np.random.default_rng(0)).bits for bound in ("upper", "lower"))
    assert lower < upper


def test_bad_settings_and_rows_without_scale_are_refused():
    with pytest.raises(ValueError, match="noise_variance: got 0"):
        KDE(noise_variance=0)
    with pytest.raises(ValueError, match="bound: got 'middle'"):
        KDE(bound="middle")
    with pytest.raises(EstimationError, match="identical rows"):
        KDE(relative=True).estimate(np.ones((20, 2)), np.arange(20) % 2, rng=np.random.default_rng(0))


def test_kde_of_the_published_network_on_nuclei_equals_a_reference_on_the_same_activations(shared_data):
    data = image_folder(shared_data / "nuclei", size=128, channels=3)
    samples = data.test.take(range(24))
    torch.manual_seed(0)
    model = UNet(init="glorot").eval()
    activations = {}
    measured = [tap for tap in model.taps() if tap.role != "skip"]
    handles = [
        model.get_submodule(tap.module).register_forward_hook(
            lambda _m, _i, output, name=tap.name: activations.update({name: output.clone()})
        )
        for tap in measured
    ]
    with torch.no_grad():
        model(samples.images)
    for handle in handles:
        handle.remove()
    activations["out"] = torch.sigmoid(activations["out"])
    assert len(activations) == 23
    for captured in capture(model, samples, measured, KDE.reads, batch_size=24):
        rows = activations[captured.tap.name].flatten(1).double().numpy()
        kernel = np.exp(-cdist(rows, rows, "sqeuclidean") / (2 * 0.2))
        got = KDE().estimate(captured.variable, np.zeros((24, 1)), rng=np.random.default_rng(0)).bits
        assert got == pytest.approx(-np.log2(kernel.mean(axis=1)).mean(), abs=1e-6), captured.tap.name
