"""KSG equals the KSG of other packages on the same samples.

The packages do not scale t and y, or scale them by column. The samples here have root mean square 1 on each side, so
that all packages search the same neighbours. scikit-learn is compared in `tests/estimators/test_ksg.py`.
"""

import numpy as np
import pytest

from bench.estimators import ksg
from bench.known_truth import Gaussian

pytestmark = pytest.mark.peers
NATS_OF_A_BIT = np.log(2)
ROUNDING = 1e-9
APPROXIMATE_PSI = 5e-6  # bits: ennemi computes ψ by an expansion


def scaled(side):
    """Centre the columns and divide them by their common root mean square."""
    side = side - side.mean(axis=0)
    return side / np.sqrt((side**2).mean())


def pairs(d, n=300):
    """Return t and y (n, d) with 1 nat of information, in d independent pairs of columns."""
    return [scaled(side) for side in Gaussian(1 / np.log(2), d).sample(n, np.random.default_rng(d))]


def classes(n=300):
    """Return one column t (n, 1) and labels (n,) of 3 classes with other means."""
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 3, n)
    return scaled(rng.normal(size=(n, 1)) + labels[:, None]), labels


def chain(n=300):
    """Return t, y and c (n, 1), where t and y depend on c and y on t."""
    c, of_t, of_y = np.random.default_rng(8).normal(size=(3, n, 1))
    t = scaled(c + of_t)
    return t, scaled(c + t + of_y), scaled(c)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_npeet(d, k):
    npeet = pytest.importorskip("npeet_plus", reason="needs npeet-plus: make test-peers")
    np.random.seed(0)  # noqa: NPY002 (the package adds noise of 1e-10 from the global generator)
    t, y = pairs(d)
    assert npeet.mi(t, y, k=k) == pytest.approx(ksg(t, y, k=k), abs=ROUNDING)


@pytest.mark.parametrize("k", [1, 3, 10])
@pytest.mark.parametrize("d", [1, 2, 4])
def test_infomeasure(d, k):
    infomeasure = pytest.importorskip("infomeasure", reason="needs infomeasure: make test-peers")
    t, y = pairs(d)
    bits = infomeasure.mutual_information(t, y, approach="ksg", k=k, noise_level=0, base=2)
    assert bits == pytest.approx(ksg(t, y, k=k), abs=ROUNDING)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ennemi(k):
    ennemi = pytest.importorskip("ennemi", reason="needs ennemi: make test-peers")
    t, y = pairs(1)
    nats = np.ravel(ennemi.estimate_mi(y[:, 0], t[:, 0], k=k)).item()
    assert nats / NATS_OF_A_BIT == pytest.approx(ksg(t, y, k=k), abs=APPROXIMATE_PSI)


@pytest.mark.parametrize("k", [1, 3, 10])
def test_ennemi_for_labels(k):
    ennemi = pytest.importorskip("ennemi", reason="needs ennemi: make test-peers")
    t, labels = classes()
    nats = np.ravel(ennemi.estimate_mi(labels, t[:, 0], k=k, discrete_y=True)).item()
    assert nats / NATS_OF_A_BIT == pytest.approx(ksg(t, labels, k=k), abs=APPROXIMATE_PSI)


def test_with_a_third_variable():
    t, y, c = chain()
    ours = ksg(t, y, given=c)
    npeet = pytest.importorskip("npeet_plus", reason="needs npeet-plus: make test-peers")
    infomeasure = pytest.importorskip("infomeasure", reason="needs infomeasure: make test-peers")
    ennemi = pytest.importorskip("ennemi", reason="needs ennemi: make test-peers")
    np.random.seed(0)  # noqa: NPY002 (the package adds noise of 1e-10 from the global generator)
    assert npeet.mi(t, y, c, k=3) == pytest.approx(ours, abs=ROUNDING)
    bits = infomeasure.conditional_mutual_information(t, y, cond=c, approach="ksg", k=3, noise_level=0, base=2)
    assert bits == pytest.approx(ours, abs=ROUNDING)
    nats = np.ravel(ennemi.estimate_mi(y[:, 0], t[:, 0], k=3, cond=c[:, 0])).item()
    assert nats / NATS_OF_A_BIT == pytest.approx(ours, abs=APPROXIMATE_PSI)


@pytest.mark.parametrize("k", [1, 3])
def test_second_variant_of_infomeasure_has_another_definition(k):
    """It counts within the radius of both sides. Eq. 9 of Kraskov et al. has one radius for each side."""
    infomeasure = pytest.importorskip("infomeasure", reason="needs infomeasure: make test-peers")
    t, y = pairs(1, n=1000)
    theirs = infomeasure.mutual_information(t, y, approach="ksg", ksg_id=2, k=k, noise_level=0)
    ours = ksg(t, y, k=k, variant=2) * NATS_OF_A_BIT
    assert ours == pytest.approx(1, abs=0.1)
    assert theirs < ours - 0.5 / k


def test_labels_of_npeet_have_another_definition():
    """NPEET subtracts entropies of Kozachenko and Leonenko, whose biases differ. Ross takes one radius for both."""
    npeet = pytest.importorskip("npeet_plus", reason="needs npeet-plus: make test-peers")
    np.random.seed(0)  # noqa: NPY002 (the package adds noise of 1e-10 from the global generator)
    t, labels = classes(n=1000)
    assert npeet.micd(t, labels[:, None], k=3) == pytest.approx(ksg(t, labels), abs=0.1)
