import numpy as np
import pytest
from gaussians import gaussians
from scipy.stats import special_ortho_group
from sklearn.covariance import LedoitWolf

from bench.errors import EstimationError
from bench.estimators import Gaussian
from bench.estimators.gaussian import wishart_bias
from bench.information.reductions import Distances
from bench.information.variables import Variable, plug_in_entropy


def bits(estimator, t, y):
    """Return the bits of an estimator without null and interval."""
    t, y = Variable.of(t), Variable.of(y)
    rows = np.arange(t.n)
    return estimator.statistic(t, y, None).at(rows).bits(rows if y.labels is None else y.labels)


def information_of_covariance(covariance, d):
    """Return -½ log2 of the determinant of a covariance divided by the determinants of its two diagonal blocks."""
    whole, t, y = (np.linalg.slogdet(block)[1] for block in (covariance, covariance[:d, :d], covariance[d:, d:]))
    return (t + y - whole) / (2 * np.log(2))


def standardised(t, y):
    both = np.hstack([t, y])
    return (both - both.mean(axis=0)) / both.std(axis=0)


@pytest.fixture
def pair():
    return gaussians(1, 300, 3, np.random.default_rng(0))


def test_equals_the_determinants(pair):
    plug_in = information_of_covariance(np.corrcoef(np.hstack(pair).T), 3)
    assert bits(Gaussian(), *pair) == pytest.approx(plug_in - wishart_bias(300, 3, 3))


def test_shrinkage_equals_the_determinants_of_the_shrunk_covariance(pair):
    shrunk = 0.7 * np.corrcoef(np.hstack(pair).T) + 0.3 * np.eye(6)
    assert bits(Gaussian(shrinkage=0.3), *pair) == pytest.approx(information_of_covariance(shrunk, 3))
    fitted = LedoitWolf().fit(standardised(*pair)).covariance_
    assert bits(Gaussian(shrinkage="ledoit_wolf"), *pair) == pytest.approx(information_of_covariance(fitted, 3))


@pytest.mark.parametrize(("truth", "plug_in"), [(0, 2.18), (2, 4.11)])
def test_the_bias_of_many_columns_is_removed(truth, plug_in):
    rng = np.random.default_rng(0)
    found = [bits(Gaussian(components=64), *gaussians(truth, 1000, 64, rng)) * np.log(2) for _ in range(5)]
    assert np.mean(found) == pytest.approx(truth, abs=0.07)
    assert np.mean(found) + wishart_bias(1000, 64, 64) * np.log(2) == pytest.approx(plug_in, abs=0.15)


def test_the_correction_is_exact_for_few_samples():
    rng = np.random.default_rng(0)
    found = [bits(Gaussian(), *gaussians(1.5, 20, 3, rng)) for _ in range(1000)]
    assert np.mean(found) == pytest.approx(1.5 / np.log(2), abs=3 * np.std(found) / np.sqrt(1000))


@pytest.mark.parametrize("truth", [1, 4, 10])
def test_information_of_two_gaussians(truth):
    found = bits(Gaussian(), *gaussians(truth, 10_000, 1, np.random.default_rng(0))) * np.log(2)
    assert found == pytest.approx(truth, abs=0.03)


def test_is_symmetric_and_invariant_under_linear_maps(pair):
    t, y = pair
    expected = bits(Gaussian(), t, y)
    assert bits(Gaussian(), y, t) == pytest.approx(expected)
    turned = t * [1, 10, 0.1] @ special_ortho_group.rvs(3, random_state=0) + 5
    assert bits(Gaussian(), turned, y) == pytest.approx(expected, abs=1e-6)


def test_independent_pairs_add_up():
    rng = np.random.default_rng(0)
    (t, y), (u, v) = (gaussians(truth, 5000, 2, rng) for truth in (0.5, 2))
    both = bits(Gaussian(), np.hstack([t, u]), np.hstack([y, v]))
    assert both == pytest.approx(bits(Gaussian(), t, y) + bits(Gaussian(), u, v), abs=0.02)


def test_the_estimate_for_a_label_is_wilks_lambda_of_its_classes():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 200)
    t = rng.normal(size=(200, 3)) + rng.normal(size=(4, 3))[label]
    within = sum((label == c).sum() * np.cov(t[label == c].T, bias=True) for c in range(4))
    wilks = np.linalg.det(within) / np.linalg.det(200 * np.cov(t.T, bias=True))
    assert bits(Gaussian(), t, label) == pytest.approx(-np.log2(wilks) / 2 - wishart_bias(200, 3, 3))


def test_information_about_a_label_is_at_most_its_entropy():
    rng = np.random.default_rng(0)
    label = rng.integers(0, 4, 60)
    estimate = Gaussian().estimate(100 * np.eye(4)[label] + rng.normal(size=(60, 4)), label, rng=rng)
    assert estimate.bits == pytest.approx(plug_in_entropy(label))
    assert estimate.significant


@pytest.mark.parametrize("shrinkage", [0.0, 0.2, "ledoit_wolf"])
@pytest.mark.parametrize("labelled", [False, True])
def test_excess_vanishes_under_independence(shrinkage, labelled):
    rng = np.random.default_rng(0)
    excesses = []
    for _ in range(20):
        target = rng.integers(0, 3, 80) if labelled else rng.normal(size=(80, 4))
        excesses.append(Gaussian(shrinkage=shrinkage).estimate(rng.normal(size=(80, 4)), target, rng=rng).excess)
    assert abs(np.mean(excesses)) < 3 * np.std(excesses) / np.sqrt(20) + 1e-3


@pytest.mark.parametrize("d", [5, 400])
def test_many_columns_are_reduced_to_principal_coordinates_as_distances_are(d):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(100, 2))
    t = x @ rng.normal(size=(2, d))  # rank 2 for every d
    y = x[:, :1] + rng.normal(size=(100, 1))
    streamed = Variable(100, d, np.arange(100), {Distances(): Variable.of(t.astype(np.float32)).read(Distances())})
    expected = bits(Gaussian(), x, y)
    assert bits(Gaussian(components=4), t, y) == pytest.approx(expected, abs=1e-6)
    assert bits(Gaussian(components=4), streamed, y) == pytest.approx(expected, abs=1e-3)


def test_bad_input_is_refused_with_the_reason():
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(2, 40, 10))
    constant = np.hstack([x[:, :2], np.ones((40, 1))])
    for t, target, message in [
        (
            x,
            y,
            r"20 samples \(all, or a half .* 10 \+ 10 columns, wanted more than 22; lower components or set shrinkage",
        ),
        (constant, y, "1 constant columns of t, wanted none"),
        (x[:, :2], constant, "constant columns of the target"),
        (np.hstack([x[:, :2], x[:, :1]]), y[:, :1], "columns of t that determine each other"),
        (x[:, :2], 2 * x[:, :1], "determine each other linearly, .* noise=0.1 of Gaussian"),
        (Variable(40, 5, np.arange(40)), y, "without"),
    ]:
        with pytest.raises(EstimationError, match=message):
            Gaussian().estimate(t, target, rng=rng)
    Gaussian(shrinkage=0.1).estimate(x, y, rng=rng)
    for shrinkage in (-0.1, 1, "oas", True):
        with pytest.raises(ValueError, match="shrinkage: got"):
            Gaussian(shrinkage=shrinkage)
