"""Averaged feature maps, and their order by what each adds to a linear prediction of the label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch.nn.functional import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d

from bench.datasets.splits import Split
from bench.layers.capture import run_batches
from bench.layers.hooks import tap_shapes
from models import Tap
from models.tracing import device_of

CELLS = 4  # cells per side of an averaged map
POOLS: dict[int, Callable[..., torch.Tensor]] = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
FOLDS = 4
RIDGE = 1e-3  # in units of a column's variance
MOST_IN_ORDER = 64  # channels of a tap that are ordered greedily; the others follow by their worth alone


def averaged(network: torch.nn.Module, samples: Split, taps: list[Tap], batch_size: int = 32) -> dict[str, np.ndarray]:
    """Return the maps of each tap, averaged over cells, at most 4 per side: (n, channels, cells) float32."""
    shapes = tap_shapes(network, taps, samples.images[:1].to(device_of(network)))
    read: dict[str, list[np.ndarray]] = {tap.name: [] for tap in taps}

    def receive(tap: Tap, _rows: slice, activation: torch.Tensor) -> None:
        if activation.dim() > 2:
            activation = POOLS[activation.dim()](activation, [min(side, CELLS) for side in activation.shape[2:]])
        read[tap.name].append(activation.reshape(*activation.shape[:2], -1).float().cpu().clone().numpy())

    run_batches(network, samples, taps, receive, shapes, batch_size=batch_size)
    return {name: np.concatenate(batches) for name, batches in read.items()}


def order_maps(columns: np.ndarray, labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator) -> list[int]:
    """Order channels so that each one adds most to a linear prediction of the labels by those before it.

    The criterion is the error of a linear least-squares fit on held-out groups. It is cheap enough to try every
    channel.

    Args:
        columns: (n, channels, cells).
        labels: (n,) classes.
        groups: (n,) the group of each sample.
        rng: Generator of the folds.
    """
    fits = LeastSquares(columns.reshape(len(columns), -1), labels, groups, rng)
    cells_of = np.arange(columns.shape[1] * columns.shape[2]).reshape(columns.shape[1], -1)
    return greedy(columns.shape[1], lambda chosen: -fits.error(cells_of[chosen].ravel()))


def greedy(count: int, worth: Callable[[list[int]], float]) -> list[int]:
    """Order the numbers 0 to count - 1 so that each one adds most to the worth of those before it.

    After the first 64, the others follow by their worth alone.

    Examples:
        >>> greedy(3, lambda chosen: len({"aba"[one] for one in chosen}) + 0.5 * (1 in chosen))
        [1, 0, 2]
    """
    chosen: list[int] = []
    remaining = list(range(count))
    while len(remaining) > 1 and len(chosen) < MOST_IN_ORDER:
        chosen.append(remaining.pop(int(np.argmax([worth([*chosen, one]) for one in remaining]))))
    alone = {one: worth([one]) for one in remaining}
    return chosen + sorted(remaining, key=lambda one: alone[one], reverse=True)


class LeastSquares:
    """Held-out errors of linear fits of the classes, for any choice of columns, from the Gram matrices of the folds.

    Args:
        x: (n, columns).
        labels: (n,) classes.
        groups: (n,) the group of each sample. A group lies in one fold.
        rng: Generator of the folds.
    """

    def __init__(self, x: np.ndarray, labels: np.ndarray, groups: np.ndarray, rng: np.random.Generator):
        x = x.astype(np.float64) - x.mean(axis=0)
        x /= np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
        y = (labels[:, None] == np.unique(labels)).astype(np.float64)
        x, y = np.concatenate([x, np.ones((len(x), 1))], axis=1), y - y.mean(axis=0)
        names, group = np.unique(groups, return_inverse=True)
        fold = (rng.permutation(len(names)) % FOLDS)[group]
        self.counts = np.bincount(fold, minlength=FOLDS)
        self.grams = np.stack([x[fold == f].T @ x[fold == f] for f in range(FOLDS)])
        self.cross = np.stack([x[fold == f].T @ y[fold == f] for f in range(FOLDS)])
        self.square = (y**2).sum()

    def error(self, columns: np.ndarray) -> float:
        """Compute the mean squared error of the classes. The fit for each sample uses the other folds."""
        at = np.append(columns, self.grams.shape[1] - 1)
        grams, cross = self.grams[:, at[:, None], at], self.cross[:, at]
        ridge = RIDGE * (self.counts.sum() - self.counts)[:, None, None] * np.eye(len(at))
        fits = np.linalg.solve(grams.sum(axis=0) - grams + ridge, cross.sum(axis=0) - cross)
        return float((self.square - 2 * (fits * cross).sum() + (fits * (grams @ fits)).sum()) / self.counts.sum())
