"""Estimators of densities on a deterministic layer, with and without a noise channel."""

from dataclasses import replace

import numpy as np
import pytest

from bench.errors import EstimationError
from bench.estimators import KSG, LNC, Gaussian
from bench.estimators.base import add_noise
from bench.information.reductions import Distances
from bench.information.variables import Variable

FEW = {"permutations": 2, "subsamples": 2}


@pytest.fixture
def layer():
    """Return x (600, 1), and a deterministic layer 3 x."""
    x = np.random.default_rng(0).normal(size=(600, 1))
    return x, replace(Variable.of(3 * x), deterministic=True)


@pytest.mark.parametrize("kind", [KSG, LNC, Gaussian])
def test_a_deterministic_layer_of_a_continuous_input_needs_a_noise_channel(kind, layer):
    x, t = layer
    with pytest.raises(
        EstimationError, match=f"infinite; declare a noise channel on t, such as noise=0.1 of {kind.__name__}"
    ):
        kind().estimate(t, x, rng=np.random.default_rng(0))
    estimator = kind(noise=0.5, **FEW)
    one, same, other = (estimator.estimate(t, x, rng=np.random.default_rng(seed)).bits for seed in (1, 1, 2))
    assert one == pytest.approx(np.log2(1 + 0.5**-2) / 2, abs=0.15)
    assert one == same != other
    assert estimator.settings["noise"] == 0.5


@pytest.mark.parametrize("kind", [KSG, Gaussian])
def test_a_noise_channel_on_distances_equals_one_on_samples(kind, layer):
    x, t = layer
    streamed = Variable(600, 1, t.groups, {Distances(): t.read(Distances())}, deterministic=True)
    bits = kind(noise=0.5, **FEW).estimate(streamed, x, rng=np.random.default_rng(1)).bits
    assert bits == pytest.approx(np.log2(1 + 0.5**-2) / 2, abs=0.15)


def test_the_unit_of_noise_is_the_root_mean_variance_of_all_columns():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 1))
    wide = np.hstack([x, np.zeros((200, 399))])
    streamed = Variable(200, 400, np.arange(200), {Distances(): Variable.of(wide).read(Distances())})
    for t in (Variable.of(wide), streamed):
        estimate = Gaussian(components=1, noise=0.5, **FEW).estimate(t, x, rng=rng)
        assert estimate.dims == (400, 1)
        assert estimate.bits == pytest.approx(np.log2(1 + 400 * 0.5**-2) / 2, abs=0.4)


def test_noise_on_distances_has_one_dimension_less_than_samples():
    t = Variable.of(np.random.default_rng(0).normal(size=(12, 50)))
    streamed = Variable(12, 50, t.groups, {Distances(): t.read(Distances())})
    assert add_noise(streamed, 0.1, np.random.default_rng(0)).dim == 11


@pytest.mark.parametrize("kind", [KSG, Gaussian])
def test_a_label_needs_no_noise(kind, layer):
    x, t = layer
    assert kind(**FEW).estimate(t, (x[:, 0] > 0).astype(int), rng=np.random.default_rng(0)).bits > 0.7


@pytest.mark.parametrize("kind", [KSG, LNC, Gaussian])
def test_noise_of_no_power_is_refused(kind):
    with pytest.raises(ValueError, match="noise: got 0"):
        kind(noise=0)
