"""Variable: principal coordinates agree with distances, and refused input."""

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from bench.errors import EstimationError
from bench.information.reductions import Distances
from bench.information.variables import Refused, Variable, finish_or_refuse, fold_or_refuse


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e3])
@pytest.mark.parametrize("held", [True, False])
def test_coordinates_of_a_plane_preserve_its_distances_at_any_scale(scale, held):
    """The points lie on a plane in three dimensions, far from the origin."""
    rng = np.random.default_rng(0)
    points = (rng.normal(size=(12, 2)) @ rng.normal(size=(2, 3)) + 5) * scale
    whole = Variable.of(points)
    side = whole if held else Variable(12, 3, whole.groups, {Distances(): whole.read(Distances())})
    found = side.coordinates(2)
    assert found.shape == (12, 2)
    np.testing.assert_allclose(pdist(found), pdist(points), rtol=1e-6)
    np.testing.assert_allclose(found.mean(axis=0), 0, atol=1e-9 * scale)
    largest = np.abs(found).argmax(axis=0)
    assert (found[largest, [0, 1]] > 0).all()


def test_the_number_of_dimensions_is_found_from_distances():
    points = np.random.default_rng(0).normal(size=(12, 2)) * 1e-6
    side = Variable(12, 5, np.arange(12), {Distances(): Variable.of(points).read(Distances())})
    assert side.coordinates(5).shape == (12, 2)


@pytest.mark.parametrize("values", [np.zeros((1, 3)), np.float64(2.0), np.zeros(0)])
def test_one_sample_is_refused(values):
    with pytest.raises(EstimationError, match="wanted at least 2"):
        Variable.of(values)
    assert Variable.of(np.array([[0.0], [1.0]])).n == 2


def test_a_refused_reduction_stays_refused():
    refused = Refused("got too much")
    assert fold_or_refuse(Distances(), refused, np.zeros((3, 1))) is refused
    assert finish_or_refuse(Distances(), refused) is refused


def test_samples_are_continuous_and_labels_are_not():
    assert Variable.of(np.array([0.5, 1.5])).continuous
    assert not Variable.of(np.array([0, 1])).continuous
