"""What the first k feature maps of a layer tell, in orders that are greedy or random."""

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
from bench.layers.maps import greedy, in_order

MOST_COUNTS = 16  # numbers of maps that are tried
RESAMPLES = 500


@dataclass(frozen=True)
class Curve:
    """What the first k of a layer's maps tell in one kind of order, `random` or `greedy`.

    counts: (K,) numbers of maps, the last is all. estimates: of each. draws: (resamples, K) of the excess over the
    null, as other samples and orders might have had it.
    """

    order: str
    counts: np.ndarray
    estimates: list[Estimate]
    draws: np.ndarray


def counts_up_to(maps: int) -> np.ndarray:
    """At most 16 numbers of maps, all of them where there are so few, else evenly in their logarithm.

    >>> counts_up_to(4).tolist(), counts_up_to(64).tolist()
    ([1, 2, 3, 4], [1, 2, 3, 4, 5, 7, 9, 12, 16, 21, 28, 37, 49, 64])
    """
    if maps <= MOST_COUNTS:
        return np.arange(1, maps + 1)
    return np.unique(np.geomspace(1, maps, MOST_COUNTS).round().astype(int))


class InMiniBatches:
    """Some of a layer's maps as one variable, asked about a target in mini-batches by a matrix-based estimator."""

    def __init__(self, batches: MiniBatches, partners: Partners):
        self.batches = batches
        self.partners = partners
        self.every = np.arange(batches.rows.shape[1])[None]
        self.entropies = np.array([partners.side.entropy(codes) for codes in partners.codes])  # (1 + permutations, B)

    def curves(self, orders: int, rng: np.random.Generator) -> Iterator[Curve]:
        """In random orders, and in a greedy one that half of the mini-batches choose and the others read."""
        maps, every = self.batches.squared.shape[1], np.arange(len(self.batches.rows))
        choosing, reading = np.array_split(every, 2)
        if len(reading) < 2:
            raise EstimationError(f"got {len(every)} mini-batches, wanted at least 4: half choose the greedy order")
        counts = counts_up_to(maps)
        random = [rng.permutation(maps) for _ in range(orders)]
        for kind, each, read in (("random", random, every), ("greedy", [self.greedy(choosing)], reading)):
            told = [[[self.told(b, order, count) for count in counts] for b in read] for order in each]
            bits = np.array([[[answer for answer, _ in of_b] for of_b in of_order] for of_order in told])
            ceilings = np.mean([[[c for _, c in of_b] for of_b in of_order] for of_order in told], axis=(0, 1))
            means = bits.mean(axis=0)  # (B, counts, 1 + permutations)
            estimates = [
                self.batches.estimate(means[:, k, 0], means[:, k, 1:].mean(axis=0), float(ceiling))
                for k, ceiling in enumerate(ceilings)
            ]
            yield Curve(kind, counts, estimates, _resampled(bits, rng))

    def told(self, batch: int, chosen: Sequence[int], count: int, nulls: bool = True) -> tuple[np.ndarray, float]:
        """Bits (1 + permutations,) of the first of some maps, the true partners first, and their ceiling."""
        squared = self.batches.squared[batch, list(chosen[:count])].sum(axis=0)
        side = self.batches.estimator.side(self.batches.joined(batch, squared, count), len(squared))
        entropy, grams = side.entropy(self.every)[0], side.at(self.every)
        own = self.entropies[:, batch] if nulls else self.entropies[:1, batch]
        joint = [self.partners.side.joint(grams, codes[None])[0] for codes in self.partners.codes[: len(own), batch]]
        return entropy + own - np.array(joint), min(entropy, own[0])

    def greedy(self, batches: Sequence[int]) -> list[int]:
        """Maps, each next one adding most to what those before it tell, on average over these mini-batches."""
        count = self.batches.squared.shape[1]
        return greedy(count, lambda chosen: np.mean([self._bits(batch, chosen) for batch in batches]))

    def _bits(self, batch: int, chosen: Sequence[int]) -> float:
        """Bits of the true partners; minus infinity where the estimator has no kernel for these maps."""
        try:
            return self.told(batch, chosen, len(chosen), nulls=False)[0][0]
        except EstimationError:
            return -np.inf


def _resampled(bits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Excess (resamples, counts) from bits (orders, B, counts, 1 + permutations), orders and mini-batches resampled."""
    excess = bits[..., 0] - bits[..., 1:].mean(axis=-1)
    draws = []
    for _ in range(RESAMPLES):
        orders, batches = (rng.integers(0, size, size) for size in excess.shape[:2])
        draws.append(excess[orders][:, batches].mean(axis=(0, 1)))
    return np.array(draws)


def of_all_samples(
    estimator: Estimator, columns: np.ndarray, target: Variable, permutations: int, rng: np.random.Generator
) -> Iterator[Curve]:
    """By an estimator that reads all samples at once, of columns (n, maps, cells) and a label, in one random order too.

    The greedy order is that of least-squares fits to the label on held-out groups.
    """
    estimator = copy(estimator)
    estimator.permutations = permutations
    maps = columns.shape[1]
    counts = counts_up_to(maps)
    orders = {"random": rng.permutation(maps), "greedy": in_order(columns, target.labels, target.groups, rng)}
    for kind, order in orders.items():
        firsts = (columns[:, order[:count]].reshape(len(columns), -1) for count in counts)
        estimates = [estimator.estimate(Variable.of(first, target.groups), target, rng=rng) for first in firsts]
        if estimates[-1].null is None:
            raise EstimationError("got an estimator without a null, wanted one: saturation can't be told from noise")
        means = np.array([estimate.excess for estimate in estimates])
        low, high = np.array([estimate.interval for estimate in estimates]).T
        spreads = (high - low) / (2 * NORMAL_QUANTILE)
        yield Curve(kind, counts, estimates, means + spreads * rng.normal(size=(RESAMPLES, len(counts))))
