"""Every estimator of conf/ gives a finite estimate or a reason for activations near the limits of floating point."""

import logging

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bench.__main__ import CONF
from bench.errors import EstimationError, EstimatorFailed, InputError
from bench.estimators import KDE, KSG, Binning, Gaussian, Renyi
from bench.information.reductions import Distances
from bench.information.variables import Variable

N = 48
FEW = {"steps": 3, "subsamples": 2, "hidden": 4, "embedding": 2, "components": 4}
RNG = np.random.default_rng(0)
T = RNG.normal(size=(N, 2))
Y = (T[:, 0] + RNG.normal(size=N) > 0).astype(int)
SPIKE = np.zeros((N, 2))
SPIKE[5, 1] = 1.0
INPUTS = {
    **{f"{scale:g}": (scale * T, Y) for scale in (1e-320, 1e-300, 1e-160, 1e-30, 1e18, 1e30, 1e100, 1e300)},
    **{f"float32 {scale:g}": ((scale * T).astype(np.float32), Y) for scale in (1e-42, 1e-30, 1e18, 1e30, 1e38)},
    "constant": (np.full((N, 2), 3.3), Y),
    "a constant column": (np.column_stack([T[:, 0], np.ones(N)]), Y),
    "one nonzero sample": (SPIKE, Y),
    "one huge sample": (1e300 * SPIKE, Y),
    "scales apart": (T * np.array([1e-300, 1e300]), Y),
    "duplicated rows": (T[RNG.integers(4, size=N)], Y),
    "an offset": (T + 1e18, Y),
    "five samples": (T[:5], Y[:5]),
    "a class of one sample": (T, np.arange(N) == 0),
    "classes of one sample": (T, np.arange(N)),
}


def estimator(name):
    config = OmegaConf.load(CONF / "estimator" / f"{name}.yaml")
    (config,) = (config,) if "_target_" in config else config.values()
    quick = {"permutations": 2} | {key: few for key, few in FEW.items() if config.get(key)}
    return instantiate(OmegaConf.merge(config, quick))


@pytest.mark.parametrize("name", sorted(path.stem for path in (CONF / "estimator").glob("*.yaml")))
def test_extreme_input_gives_a_finite_estimate_or_a_reason(name):
    built = estimator(name)
    for what, (t, y) in INPUTS.items():
        for target in (y, t[:, :1].astype(np.float64)):
            found = estimate_or_error(built, t, target)
            if isinstance(found, EstimationError):
                assert str(found), what
                assert not isinstance(found, EstimatorFailed), f"{what}: {found}"
            else:
                assert np.isfinite([found.bits, *found.interval]).all(), what
                assert found.null is None or np.isfinite(found.null.mean), what


def estimate_or_error(built, t, target):
    try:
        return built.estimate(t, target, rng=np.random.default_rng(0))
    except EstimationError as error:
        return error


@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e30, 1e100])
@pytest.mark.parametrize("built", [KSG(), Gaussian(), KDE(relative=True), Renyi(width="median")])
def test_estimators_without_a_scale_do_not_depend_on_the_scale(built, scale):
    one, other = (built.estimate(t, Y, rng=np.random.default_rng(0)).bits for t in (T, scale * T))
    assert other == pytest.approx(one, abs=1e-6)


def test_distances_of_float32_do_not_overflow():
    t = (1e30 * T).astype(np.float32)
    exact = Variable.of(t.astype(np.float64)).read(Distances())
    np.testing.assert_allclose(Variable.of(t).read(Distances()), exact, rtol=1e-6, atol=1e-12 * exact.max())


def test_binning_refuses_too_many_bins():
    with pytest.raises(EstimationError, match=r"wanted below 2\^63 bins of 0.1"):
        Binning(0.1).estimate(1e18 * T, Y, rng=np.random.default_rng(0))


@pytest.mark.parametrize("error", [StopIteration, ZeroDivisionError, FloatingPointError, OverflowError, ValueError,
                                   np.linalg.LinAlgError, RuntimeError])  # fmt: skip
def test_an_unexpected_error_becomes_a_reason_and_its_traceback_is_logged(error, monkeypatch, caplog):
    def answer(*_):
        raise error("beneath")

    built = KDE()
    monkeypatch.setattr(built, "answer", answer)
    with caplog.at_level(logging.WARNING), pytest.raises(EstimatorFailed, match=f"{error.__name__}: beneath"):
        built.estimate(T, Y, rng=np.random.default_rng(0))
    assert "Traceback" in caplog.text


@pytest.mark.parametrize("error", [MemoryError, InputError, KeyboardInterrupt])
def test_errors_that_concern_more_than_one_estimate_are_raised(error, monkeypatch):
    def answer(*_):
        raise error("beneath")

    built = KDE()
    monkeypatch.setattr(built, "answer", answer)
    with pytest.raises(error):
        built.estimate(T, Y, rng=np.random.default_rng(0))
