"""Truth of the families, held to ways of finding it that share nothing with how the samples are made."""

import inspect

import numpy as np
import pytest
import yaml
from hydra.utils import get_object, instantiate
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr, rel_entr

from bench.__main__ import CONF
from bench.known_truth import AdditiveUniform, Blob, Discretised, Gaussian, Mixture, Student, Task, Transformed

NAMES = sorted(path.stem for path in (CONF / "task").glob("*.yaml"))
DIMS = {"swiss_roll": 1, "blob": 2}


def rng(seed=0):
    return np.random.default_rng(seed)


def gaussian_bits(t, target):
    """Plug-in information of standard normal pairs, by their correlations."""
    rho = np.array([np.corrcoef(a, b)[0, 1] for a, b in zip(t.T, target.T, strict=True)])
    return -0.5 * np.log2(1 - rho**2).sum()


def log_ratio(family, t, target, rho):
    """log2 p(t, target) / p(t) p(target) of each sample, for an elliptical family of scipy."""
    dim = t.shape[1]
    shape = np.kron([[1, rho], [rho, 1]], np.eye(dim))
    both = family(shape=shape).logpdf(np.hstack([t, target]))
    return (both - family(shape=np.eye(dim)).logpdf(t) - family(shape=np.eye(dim)).logpdf(target)) / np.log(2)


def gaussian(shape):
    return stats.multivariate_normal(cov=shape)


def assert_mean(draws, wanted):
    error = np.std(draws) / np.sqrt(len(draws))
    assert np.mean(draws) == pytest.approx(wanted, abs=4 * error)
    assert error < 0.02


def histogram_bits(x, label, bins=80):
    """Plug-in information of equally filled bins of x, with the bias of Miller and Madow taken off."""
    cells = np.argsort(np.argsort(x)) * bins // len(x)
    joint = np.zeros((bins, label.max() + 1))
    np.add.at(joint, (cells, label), 1 / len(x))
    free = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    seen = joint > 0
    bias = (bins - 1) * label.max() / (2 * len(x) * np.log(2))
    return (joint[seen] * np.log2(joint[seen] / free[seen])).sum() - bias


@pytest.mark.parametrize("name", NAMES)
def test_what_the_configs_name(name):
    config = yaml.safe_load((CONF / "task" / f"{name}.yaml").read_text())
    assert list(config) == [name]
    target = get_object(config[name]["_target_"])
    assert issubclass(target, Task)
    assert ">>> " in inspect.getdoc(target)
    assert config[name]["_partial_"] is True
    takes = [key for key in inspect.signature(target).parameters if key not in ("bits", "dim")]
    assert [key for key in config[name] if not key.startswith("_")] == takes

    task = instantiate(config)[name](bits=1.5, dim=DIMS.get(name, 3))
    assert task.bits == 1.5
    t, target = task.sample(50, rng())
    assert len(t) == len(target) == 50
    assert t.dtype == float
    assert target.dtype == (np.int64 if isinstance(task, Discretised) else float)
    assert target.ndim == (1 if isinstance(task, Discretised) else 2)
    for got, again, other in zip((t, target), task.sample(50, rng()), task.sample(50, rng(1)), strict=True):
        assert np.isfinite(got).all()
        np.testing.assert_array_equal(got, again)
        assert not np.array_equal(got, other)
    for bits, dim in ((-1, 2), (np.inf, 2), (np.nan, 2), (1, 0)):
        with pytest.raises(ValueError, match=r"^(bits|dim): got"):
            instantiate(config)[name](bits=bits, dim=dim)


@pytest.mark.parametrize(("bits", "dim"), [(0, 1), (1, 1), (2, 4), (8, 2)])
def test_gaussian(bits, dim):
    t, target = Gaussian(bits, dim).sample(100_000, rng())
    assert gaussian_bits(t, target) == pytest.approx(bits, abs=0.02)
    assert target.std(axis=0) == pytest.approx(np.ones(dim), abs=0.02)


def test_gaussian_by_quadrature():
    rho = Gaussian(1, 1).rho
    grid = np.linspace(-8, 8, 801)
    x, y = grid[:, None], grid
    free = stats.norm.pdf(x) * stats.norm.pdf(y)
    joint = stats.norm.pdf(x) * stats.norm.pdf(y, rho * x, np.sqrt(1 - rho**2))
    assert rel_entr(joint, free).sum() * (grid[1] - grid[0]) ** 2 / np.log(2) == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize(("dim", "freedom"), [(1, 3), (3, 3), (2, 10)])
def test_student(dim, freedom):
    task = Student(2, dim, freedom)
    t, target = task.sample(40_000, rng())

    def family(shape):
        return stats.multivariate_t(shape=shape, df=freedom)

    assert_mean(log_ratio(family, t, target, Gaussian(2 - task.correction, dim).rho), 2)
    for column in np.hstack([t, target]).T:
        assert stats.kstest(column, stats.t(freedom).cdf).pvalue > 1e-3


def test_student_corrects_least_where_freedom_is_large():
    assert Student(1, 1, freedom=1e4).correction == pytest.approx(0, abs=1e-6)
    assert Student(3, 2, freedom=1).correction > Student(3, 2, freedom=3).correction > 0
    least = Student(1, 2).correction
    assert Student(least, 2).gaussian.bits == 0
    with pytest.raises(ValueError, match=r"bits: got 0, wanted at least 0\.1599 for dim=2 and freedom=3"):
        Student(0, 2)


@pytest.mark.parametrize("bits", [0.05, 0.5 / np.log(2), 1, 5])
def test_uniform_by_quadrature(bits):
    noise = AdditiveUniform(bits, 1).noise

    def density(y):
        return max(0, min(1, y + noise) - max(0, y - noise)) / (2 * noise)

    def integrand(y):
        return -density(y) * np.log2(density(y)) if density(y) > 0 else 0.0

    corners = [-noise, noise, 1 - noise, 1 + noise]
    entropy, _ = quad(integrand, -noise, 1 + noise, points=corners)
    assert entropy - np.log2(2 * noise) == pytest.approx(bits, abs=1e-6)


def test_uniform_samples():
    t, target = AdditiveUniform(3, 3).sample(20_000, rng())
    noise = AdditiveUniform(1, 1).noise
    for x, error in zip(t.T, (target - t).T, strict=True):
        assert stats.kstest(x, stats.uniform.cdf).pvalue > 1e-3
        assert stats.kstest(error, stats.uniform(-noise, 2 * noise).cdf).pvalue > 1e-3
        assert abs(np.corrcoef(x, error)[0, 1]) < 0.03
    with pytest.raises(ValueError, match="bits: got 0, wanted above 0"):
        AdditiveUniform(0, 1)


@pytest.mark.parametrize(("bits", "dim"), [(0.5, 1), (1, 2), (4, 3)])
def test_mixture(bits, dim):
    t, target = Mixture(bits, dim).sample(40_000, rng())
    tied = (t == 0).all(axis=1)
    np.testing.assert_array_equal(tied, (target == 0).all(axis=1))
    assert 0 < tied.mean() < 0.26
    q = tied.mean()
    rho = np.corrcoef(t[~tied, 0], target[~tied, 0])[0, 1]
    ratio = np.full(len(t), -np.log2(q))
    ratio[~tied] = log_ratio(gaussian, t[~tied], target[~tied], rho) - np.log2(1 - q)
    assert_mean(ratio, bits)


def test_independent_mixture_has_no_ties():
    t, target = Mixture(0, 2).sample(10_000, rng())
    assert (t != 0).all()
    assert gaussian_bits(t, target) < 0.005


@pytest.mark.parametrize(("bits", "dim", "classes"), [(0.2, 1, 2), (1, 1, 4), (1.8, 1, 4), (1, 4, 4), (2, 3, 8)])
def test_discretised(bits, dim, classes):
    t, label = Discretised(bits, dim, classes).sample(200_000, rng())
    assert np.bincount(label) / len(label) == pytest.approx(np.full(classes, 1 / classes), abs=0.005)
    means = np.array([t[label == k].mean(axis=0) for k in range(classes)])
    informative = np.linalg.svd(means)[2][0]
    assert t.std(axis=0) == pytest.approx(np.ones(dim), abs=0.02)
    assert histogram_bits(t @ informative, label) == pytest.approx(bits, abs=0.01)
    if dim > 1:
        across = np.linalg.svd(means)[2][-1]
        assert histogram_bits(t @ across, label) == pytest.approx(0, abs=0.002)
        assert max(histogram_bits(column, label) for column in t.T) < 0.99 * bits


def test_discretised_at_its_ends():
    t, label = Discretised(2, 1, 4).sample(1000, rng())
    sides = np.sort([[t[label == k].min(), t[label == k].max()] for k in range(4)], axis=0)
    assert (sides[1:, 0] > sides[:-1, 1]).all()
    with pytest.raises(ValueError, match=r"bits: got 2\.1, wanted at most 2 for classes=4"):
        Discretised(2.1, 1, 4)
    t, label = Discretised(0, 1, 4).sample(100_000, rng())
    assert histogram_bits(t[:, 0], label) == pytest.approx(0, abs=0.002)


def test_the_blob_shows_its_parameters():
    images, target = Blob(3, 2).sample(200, rng())
    plain, same = Gaussian(3, 2).sample(200, rng())
    np.testing.assert_array_equal(target, same)
    assert images.shape == (200, 16, 16)
    for axis in (0, 1):
        logs = np.log(images).mean(axis=2 - axis)
        slope = np.diff(logs, axis=1).mean(axis=1)  # of -(x - centre)²/2w², whose curvature gives w
        width = -1 / np.diff(logs, 2, axis=1).mean(axis=1)
        centre = 7.5 + slope * width
        assert ((centre > 4) & (centre < 11)).all()
        np.testing.assert_allclose((centre - 4) / 7, ndtr(plain[:, axis]), atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "dim", "wanted"),
    [("swiss_roll", 2, "1 for swiss_roll"), ("spiral", 1, "at least 2"), ("rotation", 1, "at least 2")],
)
def test_maps_that_need_another_dim(transform, dim, wanted):
    with pytest.raises(ValueError, match=f"dim: got {dim}, wanted {wanted}"):
        Transformed(1, dim, transform)


def test_settings_that_are_refused():
    with pytest.raises(ValueError, match="transform: got cube, wanted one of half_cube"):
        Transformed(1, 1, "cube")
    with pytest.raises(ValueError, match="dim: got 3, wanted 2"):
        Blob(1, 3)
    with pytest.raises(ValueError, match="freedom: got 0"):
        Student(1, 1, freedom=0)
    with pytest.raises(ValueError, match="classes: got 1"):
        Discretised(0, 1, classes=1)


def test_a_blob_is_a_gaussian_of_two_pixels():
    """The logarithm of a Gaussian profile has the second difference -1 / σ²."""
    images, _ = Blob(bits=1, dim=2).sample(5, np.random.default_rng(0))
    for axis in (1, 2):
        np.testing.assert_allclose(np.diff(np.log(images), n=2, axis=axis), -1 / 4, rtol=1e-6)


def test_at_most_a_quarter_of_a_mixture_is_tied():
    mixture = Mixture(bits=4, dim=2)
    assert mixture.tied == pytest.approx(0.25)
    h = 2 - 0.75 * np.log2(3)  # of 1/4
    assert mixture.gaussian.bits == pytest.approx((4 - h) / 0.75)
