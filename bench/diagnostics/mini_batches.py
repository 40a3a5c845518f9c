"""Mini-batches of single feature maps of a layer, for matrix-based estimators."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

import numpy as np
from torch.nn import Module

from bench.diagnostics.base import renyi_estimators
from bench.errors import EstimationError
from bench.estimators import Renyi
from bench.estimators.base import null_of
from bench.information.estimate import Estimate
from bench.information.reductions import Columns, Distances
from bench.information.statistics import t_interval
from bench.information.variables import Variable
from bench.layers.hooks import tap_shapes
from bench.layers.probe import Probe
from bench.layers.selection import named_rng
from models import Tap
from models.tracing import device_of

SIZE = 100  # samples of a mini-batch, for an estimator that takes all samples at once
COPIES = 2  # copies of the activations and of their distance matrices that are held at once


@dataclass(frozen=True)
class Layer:
    """The feature maps of a layer for the samples of the probe.

    Attributes:
        tap: The layer.
        variable: The whole layer.
        maps: (n, C, values) float32, only the maps that vary.
        names: (C,) their indices among all maps.
    """

    tap: Tap
    variable: Variable
    maps: np.ndarray
    names: np.ndarray

    @classmethod
    def of(cls, network: Module, probe: Probe, tap: Tap, least: int, most: int) -> Layer:
        """Capture a layer of a network.

        Args:
            network: The network.
            probe: The probe, with the samples and the budget.
            tap: The layer.
            least: Number of maps that must vary.
            most: Number of mini-batches, at most.

        Raises:
            EstimationError: Fewer than `least` maps vary, or the maps and their distances in the mini-batches do not
                fit into the budget.
        """
        (shape,) = tap_shapes(network, [tap], probe.samples.images[:1].to(device_of(network))).values()
        _require_room(shape, probe, most)
        (captured,) = probe.image_view.capture(network, [tap], (Distances(), Columns()))
        variable = captured.present
        maps = variable.read(Columns()).reshape(variable.n, shape[0], -1)
        names = np.flatnonzero((maps != maps[:1]).any(axis=(0, 2)))
        if len(names) < least:
            raise EstimationError(f"got {len(names)} feature maps that vary of {shape[0]}, wanted at least {least}")
        return cls(tap, variable, maps[:, names], names)


def _require_room(shape: tuple[int, ...], probe: Probe, most: int) -> None:
    values, n = int(np.prod(shape)), len(probe.samples)
    size = max(size_of(estimator, n) for estimator in renyi_estimators(probe).values())
    needed = COPIES * (4e-9 * n * values + 8e-9 * shape[0] * min(most, n // size) * size**2)
    if needed > probe.budget_gb:
        raise EstimationError(
            f"got {shape[0]} feature maps of {values // shape[0]} values at {n} samples, which take {needed:.2g} GB, "
            f"wanted at most probe.budget_gb={probe.budget_gb}; raise it or lower probe.n"
        )


def size_of(estimator: Renyi, n: int) -> int:
    """Return the number of samples in a mini-batch of an estimator, 100 if it takes all samples at once."""
    return min(estimator.batch_size or SIZE, n)


def taps_with_maps(network: Module, probe: Probe) -> dict[Tap, int]:
    """Return the taps of the probe that have spatial axes, with their numbers of feature maps."""
    image = probe.samples.images[:1].to(device_of(network))
    return {tap: shape[0] for tap, shape in tap_shapes(network, probe.taps, image).items() if len(shape) > 1}


class MiniBatches:
    """The maps of a layer in disjoint random mini-batches of the size that the estimator takes.

    Args:
        estimator: A matrix-based estimator.
        layer: The layer.
        most: Number of mini-batches, at most.
        least: Number of maps that must have a kernel in every mini-batch.
        rng: Generator of the mini-batches.

    Attributes:
        rows: (B, m) the samples of each mini-batch.
        names: (C,) the indices of the maps for which the estimator has a kernel in every mini-batch.
        squared: (B, C, m, m) squared distances of each map.
        widths: (B, C) width of the kernel of each map alone.

    Raises:
        EstimationError: The samples make fewer than 2 mini-batches, or fewer than `least` maps have kernels.
    """

    def __init__(self, estimator: Renyi, layer: Layer, most: int, least: int, rng: np.random.Generator):
        n = layer.variable.n
        size = size_of(estimator, n)
        count = min(n // size, most)
        if count < 2:
            raise EstimationError(
                f"got {n} samples, wanted at least 2 mini-batches of {size} for an interval; raise probe.n or lower "
                "the estimator's batch_size"
            )
        self.estimator = estimator
        self.layer = layer
        self.rows = rng.permutation(n)[: count * size].reshape(count, size)
        squared = np.stack([self._distances(rows) for rows in self.rows])
        widths = np.array([[self._width(b, one) for one in each] for b, each in enumerate(squared)])
        kept = np.isfinite(widths).all(axis=0)
        if kept.sum() < least:
            got = f"got {kept.sum()} feature maps of {len(kept)} that differ between most samples"
            raise EstimationError(f"{got}, wanted at least {least}")
        self.names, self.squared, self.widths = layer.names[kept], squared[:, kept], widths[:, kept]

    def _distances(self, rows: np.ndarray) -> np.ndarray:
        each = self.layer.maps[rows].astype(np.float64).swapaxes(0, 1)  # (C, m, values)
        return np.stack([Distances().finish(Distances().fold(None, np.ascontiguousarray(one))) for one in each])

    def _width(self, batch: int, squared: np.ndarray) -> float:
        """Return the width of the kernel of one map, NaN if the estimator finds none."""
        try:
            return self.estimator.width_of(self.joined(batch, squared, 1), squared.shape[0])
        except EstimationError:
            return np.nan

    def joined(self, batch: int, squared: np.ndarray, maps: int) -> Variable:
        """Return some maps of the layer as one variable in a mini-batch.

        Args:
            batch: Index of the mini-batch.
            squared: (m, m), the sum of the squared distances of the maps.
            maps: Number of maps.
        """
        whole, rows = self.layer.variable, self.rows[batch]
        dim = maps * self.layer.maps.shape[2]
        classes = None if whole.classes is None else whole.classes[rows]
        return Variable(len(rows), dim, whole.groups[rows], {Distances(): squared}, maps=maps, classes=classes)

    def estimate(self, values: np.ndarray, draws: np.ndarray, ceiling: float) -> Estimate:
        """Build an Estimate from the values of the mini-batches.

        Args:
            values: (B,) bits. Their mean and its interval are the estimate.
            draws: (permutations,) means for permuted targets, the null.
            ceiling: Ceiling of the estimate in bits.
        """
        found = t_interval(values)
        return Estimate(
            bits=found.mean,
            interval=found.bounds,
            null=null_of(draws),
            ceiling=ceiling,
            limit=ceiling,
            n=len(values) * self.rows.shape[1],
            dims=(self.layer.variable.dim, 0),
            settings=self.estimator.settings | {"mini_batches": len(values)},
        )


class Partners:
    """The samples of a target that belong to mini-batches: the true ones, and permutations of whole groups.

    Args:
        batches: The mini-batches.
        target: The target.
        permutations: Number of permutations.
        rng: Generator of the permutations.

    Attributes:
        side: Gram matrices of the target.
        codes: (1 + permutations, B, m) labels or row numbers, the true ones first.
        dim: Number of columns of the target.

    Raises:
        EstimationError: The estimator refuses the target, such as a label of one class.
    """

    def __init__(self, batches: MiniBatches, target: Variable, permutations: int, rng: np.random.Generator):
        estimator = batches.estimator
        estimator.check(batches.layer.variable, target)
        self.side = estimator.side(target, batches.rows.shape[1])
        discrete = estimator.discrete(target)
        own = target.numbered() if discrete else np.arange(target.n)
        permuted = [target.shuffled(rng, discrete) for _ in range(permutations)]
        self.codes = np.stack([codes[batches.rows] for codes in (own, *permuted)])
        self.dim = target.dim


def targets(probe: Probe) -> dict[str, tuple[str | None, Variable]]:
    """Return X and Y of whole images, each with its label view: None for X, the primary one for Y."""
    (_, _, images), (_, label, classes), *_ = probe.image_view.questions
    return {"X": (None, images), "Y": (label, classes)}


def in_mini_batches(
    network: Module, probe: Probe, tap: Tap, most: int, least: int
) -> dict[str, Callable[[], MiniBatches]]:
    """Return functions that make the mini-batches of a layer, by the name of each matrix-based estimator.

    A function raises EstimationError if there are no such mini-batches. Its result is cached.

    Args:
        network: The network.
        probe: The probe, with the samples and the estimators.
        tap: The layer.
        most: Number of mini-batches, at most.
        least: Number of maps that must vary.
    """
    layer = cache(partial(Layer.of, network, probe, tap, least, most))

    def of(estimator: Renyi) -> MiniBatches:
        return MiniBatches(estimator, layer(), most, least, named_rng(probe.seed, "mini-batches", tap.name))

    return {name: cache(partial(of, estimator)) for name, estimator in renyi_estimators(probe).items()}
