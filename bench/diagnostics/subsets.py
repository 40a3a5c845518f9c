"""Information of the first k feature maps of a layer, in greedy and in random orders."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np

from bench.diagnostics.mini_batches import MiniBatches, Partners
from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.information.estimate import Estimate
from bench.information.statistics import NORMAL_QUANTILE
from bench.information.variables import Variable
from bench.layers.maps import greedy, order_maps

MOST_COUNTS = 16  # numbers of maps to try, at most
RESAMPLES = 500


@dataclass(frozen=True)
class Curve:
    """Information of the first k maps of a layer, in one kind of order.

    Attributes:
        order: `random` or `greedy`.
        counts: (K,) numbers of maps. The last is all maps.
        estimates: The estimate for each number of maps.
        draws: (resamples, K) draws of the excess over the null, for other samples and orders.
    """

    order: str
    counts: np.ndarray
    estimates: list[Estimate]
    draws: np.ndarray


def counts_up_to(maps: int) -> np.ndarray:
    """Return at most 16 numbers of maps: all numbers if there are at most 16, else evenly spaced in the logarithm.

    Examples:
        >>> counts_up_to(4).tolist(), counts_up_to(64).tolist()
        ([1, 2, 3, 4], [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 28, 37, 49, 64])
    """
    if maps <= MOST_COUNTS:
        return np.arange(1, maps + 1)
    return np.unique(np.geomspace(1, maps, MOST_COUNTS).round().astype(int))


class InMiniBatches:
    """Matrix-based information of subsets of maps about a target, in mini-batches.

    Args:
        batches: The mini-batches of the layer.
        partners: The samples of the target that belong to them.
    """

    def __init__(self, batches: MiniBatches, partners: Partners):
        self.batches = batches
        self.partners = partners
        self.every = np.arange(batches.rows.shape[1])[None]
        self.entropies = np.array([partners.side.entropy(codes) for codes in partners.codes])  # (1 + permutations, B)

    def curves(self, orders: int, rng: np.random.Generator) -> Iterator[Curve]:
        """Yield the curve of random orders, and of a greedy order.

        Half of the mini-batches choose the greedy order, and the other half evaluate it.

        Args:
            orders: Number of random orders.
            rng: Generator of the orders and of resampling.

        Raises:
            EstimationError: There are fewer than 4 mini-batches, or the estimator has no kernel for a subset of maps.
        """
        maps, every = self.batches.squared.shape[1], np.arange(len(self.batches.rows))
        choosing, reading = np.array_split(every, 2)
        if len(reading) < 2:
            raise EstimationError(f"got {len(every)} mini-batches, wanted at least 4: half choose the greedy order")
        counts = counts_up_to(maps)
        random = [rng.permutation(maps) for _ in range(orders)]
        for kind, each, read in (("random", random, every), ("greedy", [self.greedy(choosing)], reading)):
            found = [[[self.information(b, order, count) for count in counts] for b in read] for order in each]
            bits = np.array([[[value for value, _ in of_b] for of_b in of_order] for of_order in found])
            ceilings = np.mean([[[c for _, c in of_b] for of_b in of_order] for of_order in found], axis=(0, 1))
            means = bits.mean(axis=0)  # (B, counts, 1 + permutations)
            estimates = [
                self.batches.estimate(means[:, k, 0], means[:, k, 1:].mean(axis=0), float(ceiling))
                for k, ceiling in enumerate(ceilings)
            ]
            yield Curve(kind, counts, estimates, _resample(bits, rng))

    def information(
        self, batch: int, chosen: Sequence[int] | np.ndarray, count: int, nulls: bool = True
    ) -> tuple[np.ndarray, float]:
        """Compute the information of the first `count` of the chosen maps in a mini-batch, and its ceiling, in bits.

        The information has shape (1 + permutations,), the true partners first; (1,) without nulls.
        """
        squared = self.batches.squared[batch, list(chosen[:count])].sum(axis=0)
        side = self.batches.estimator.side(self.batches.joined(batch, squared, count), len(squared))
        entropy, grams = side.entropy(self.every)[0], side.at(self.every)
        own = self.entropies[:, batch] if nulls else self.entropies[:1, batch]
        joint = [self.partners.side.joint(grams, codes[None])[0] for codes in self.partners.codes[: len(own), batch]]
        return entropy + own - np.array(joint), min(entropy, own[0])

    def greedy(self, batches: np.ndarray) -> list[int]:
        """Order the maps so that each one adds most information to those before it, on average over mini-batches."""
        count = self.batches.squared.shape[1]
        return greedy(count, lambda chosen: float(np.mean([self._bits(batch, chosen) for batch in batches])))

    def _bits(self, batch: int, chosen: Sequence[int]) -> float:
        """Return the bits for the true partners, or minus infinity if the estimator has no kernel for these maps."""
        try:
            return self.information(batch, chosen, len(chosen), nulls=False)[0][0]
        except EstimationError:
            return -np.inf


def _resample(bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Resample orders and mini-batches: bits (orders, B, counts, 1 + permutations) to excess (resamples, counts)."""
    excess = bits[..., 0] - bits[..., 1:].mean(axis=-1)
    draws = []
    for _ in range(RESAMPLES):
        orders, batches = (rng.integers(0, size, size) for size in excess.shape[:2])
        draws.append(excess[orders][:, batches].mean(axis=(0, 1)))
    return np.array(draws)


def of_all_samples(
    estimator: Estimator, columns: np.ndarray, target: Variable, permutations: int, rng: np.random.Generator
) -> Iterator[Curve]:
    """Yield the curves of an estimator that reads all samples at once, in one random and one greedy order.

    The greedy order is that of least-squares fits to the label on held-out groups.

    Args:
        estimator: The estimator.
        columns: (n, maps, cells).
        target: The label.
        permutations: Number of permutations of the null.
        rng: Generator of the orders, the estimates and the draws.

    Raises:
        EstimationError: The estimator has no null, or it can't estimate from these samples.
    """
    estimator = copy(estimator)
    estimator.permutations = permutations
    maps = columns.shape[1]
    counts = counts_up_to(maps)
    orders: dict[str, np.ndarray | list[int]] = {
        "random": rng.permutation(maps),
        "greedy": order_maps(columns, target.numbered(), target.groups, rng),
    }
    for kind, order in orders.items():
        firsts = (columns[:, order[:count]].reshape(len(columns), -1) for count in counts)
        estimates = [estimator.estimate(Variable.of(first, target.groups), target, rng=rng) for first in firsts]
        if estimates[-1].null is None:
            raise EstimationError(
                "got an estimator without a null, wanted one: saturation can't be distinguished from noise"
            )
        means = np.array([estimate.excess for estimate in estimates])
        low, high = np.array([estimate.interval for estimate in estimates]).T
        spreads = (high - low) / (2 * NORMAL_QUANTILE)
        yield Curve(kind, counts, estimates, means + spreads * rng.normal(size=(RESAMPLES, len(counts))))
