"""The stated information of benchmarks agrees with calculations that do not use the code of the samples."""

import inspect

import numpy as np
import pytest
import yaml
from hydra.utils import get_object, instantiate
from scipy import stats
from scipy.integrate import quad
from scipy.special import ndtr, rel_entr
from truths import assert_mean, gaussian_bits, log_ratio, rng

from bench.__main__ import CONF
from bench.known_truth import AdditiveUniform, Benchmark, Blob, Discretised, Gaussian, Student, Transformed

NAMES = sorted(path.stem for path in (CONF / "benchmark").glob("*.yaml"))
DIMS = {"swiss_roll": 1, "blob": 2}


@pytest.mark.parametrize("name", NAMES)
def test_every_config_names_a_benchmark(name):
    config = yaml.safe_load((CONF / "benchmark" / f"{name}.yaml").read_text())
    assert list(config) == [name]
    target = get_object(config[name]["_target_"])
    assert issubclass(target, Benchmark)
    assert ">>> " in inspect.getdoc(target)
    assert config[name]["_partial_"] is True
    takes = [key for key in inspect.signature(target).parameters if key not in ("bits", "dim")]
    assert [key for key in config[name] if not key.startswith("_")] == takes

    benchmark = instantiate(config)[name](bits=1.5, dim=DIMS.get(name, 3))
    assert benchmark.bits == 1.5
    t, target = benchmark.sample(50, rng())
    assert len(t) == len(target) == 50
    assert t.dtype == float
    assert target.dtype == (np.int64 if isinstance(benchmark, Discretised) else float)
    assert target.ndim == (1 if isinstance(benchmark, Discretised) else 2)
    for got, again, other in zip((t, target), benchmark.sample(50, rng()), benchmark.sample(50, rng(1)), strict=True):
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
    benchmark = Student(2, dim, freedom)
    t, target = benchmark.sample(40_000, rng())

    def family(shape):
        return stats.multivariate_t(shape=shape, df=freedom)

    assert_mean(log_ratio(family, t, target, Gaussian(2 - benchmark.correction, dim).rho), 2)
    for column in np.hstack([t, target]).T:
        assert stats.kstest(column, stats.t(freedom).cdf).pvalue > 1e-3


def test_the_correction_of_student_falls_with_its_degrees_of_freedom():
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


def test_the_position_of_a_blob_is_its_parameters():
    images, target = Blob(3, 2).sample(200, rng())
    plain, same = Gaussian(3, 2).sample(200, rng())
    np.testing.assert_array_equal(target, same)
    assert images.shape == (200, 16, 16)
    for axis in (0, 1):
        logs = np.log(images).mean(axis=2 - axis)
        slope = np.diff(logs, axis=1).mean(axis=1)  # of -(x - centre)²/2w²; its curvature determines w
        width = -1 / np.diff(logs, 2, axis=1).mean(axis=1)
        centre = 7.5 + slope * width
        assert ((centre > 4) & (centre < 11)).all()
        np.testing.assert_allclose((centre - 4) / 7, ndtr(plain[:, axis]), atol=1e-6)


@pytest.mark.parametrize(
    ("transform", "dim", "wanted"),
    [("swiss_roll", 2, "1 for swiss_roll"), ("spiral", 1, "at least 2"), ("rotation", 1, "at least 2")],
)
def test_maps_with_a_wrong_dim_are_refused(transform, dim, wanted):
    with pytest.raises(ValueError, match=f"dim: got {dim}, wanted {wanted}"):
        Transformed(1, dim, transform)


def test_bad_settings_are_refused():
    with pytest.raises(ValueError, match="transform: got cube, wanted one of half_cube"):
        Transformed(1, 1, "cube")
    with pytest.raises(ValueError, match="dim: got 3, wanted 2"):
        Blob(1, 3)
    with pytest.raises(ValueError, match="freedom: got 0"):
        Student(1, 1, freedom=0)
    with pytest.raises(ValueError, match="classes: got 1"):
        Discretised(0, 1, classes=1)


def test_a_blob_is_a_gaussian_with_a_standard_deviation_of_two_pixels():
    """The logarithm of a Gaussian profile has the second difference -1 / σ²."""
    images, _ = Blob(bits=1, dim=2).sample(5, np.random.default_rng(0))
    for axis in (1, 2):
        np.testing.assert_allclose(np.diff(np.log(images), n=2, axis=axis), -1 / 4, rtol=1e-6)
