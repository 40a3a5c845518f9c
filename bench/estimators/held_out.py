"""Helpers of trained estimators: parts of whole groups, scaled features, and training with early stopping."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import ArrayLike

from bench.information.variables import Variable


def split(groups: np.ndarray, rows: np.ndarray, shares: ArrayLike, rng: np.random.Generator) -> list[np.ndarray]:
    """Split rows at random into parts that hold about these shares of the groups. Each group stays whole.

    >>> groups = np.repeat([0, 1, 2, 3], 2)
    >>> [len(part) for part in split(groups, np.arange(8), (0.75, 0.25), np.random.default_rng(0))]
    [6, 2]
    """
    names = rng.permutation(np.unique(groups[rows]))
    ends = np.floor(np.cumsum(shares) / np.sum(shares) * len(names) + 1e-9).astype(int)
    return [rows[np.isin(groups[rows], part)] for part in np.split(names, ends[:-1])]


def features(side: Variable, components: int, training: np.ndarray) -> np.ndarray:
    """Return the input of a network: arcsinh of columns that are centred and scaled by the training rows.

    The arcsinh is linear near the centre and logarithmic far from it. A held-out sample far outside the training
    samples then does not dominate the estimate. A column of ReLU outputs may be 0 in all samples except one.

    Columns are scaled one by one. Principal coordinates share one scale. If each had variance 1, and there were about
    as many coordinates as samples, all samples would have the same distance from each other.

    Args:
        side: The variable.
        components: Largest number of columns. A wider variable enters by its leading principal coordinates.
        training: Rows that define the centre and the scale.

    Returns:
        (n, k) float64, k <= components.
    """
    columns = side.coordinates(components)
    variance = columns[training].var(axis=0)
    if len(variance) and (side.samples is None or side.dim > components):  # none where no column varies
        variance = variance.mean(keepdims=True)
    return np.arcsinh((columns - columns[training].mean(axis=0)) / np.sqrt(np.where(variance > 0, variance, 1)))


def generator_of(rng: np.random.Generator) -> torch.Generator:
    """Return a PyTorch generator with a seed drawn from rng."""
    return torch.Generator().manual_seed(int(rng.integers(2**63)))


def trained(
    weights: list[torch.Tensor],
    loss: Callable[[], torch.Tensor],
    stopping: Callable[[], torch.Tensor],
    steps: int,
    lr: float,
    patience: int = 40,
    every: int = 1,
    spike: float | None = None,
) -> None:
    """Train many networks at once, in place.

    Each set of weights ends at the step where its stopping loss was lowest, step 0 included. Training ends when no set
    has improved for `patience` steps. The optimiser is Adam with one second moment for each weight matrix. With one for
    each weight, columns of noise would move as fast as informative ones. The learning rate falls along a cosine.

    Args:
        weights: Tensors (sets, ...). Set s has weights[...][s].
        loss: Returns the training loss (sets,). loss()[s] depends on the weights of set s alone.
        stopping: Returns the stopping loss (sets,).
        steps: Largest number of steps.
        lr: Initial learning rate.
        patience: Steps without improvement after which training ends.
        every: Steps between two evaluations of the stopping loss.
        spike: A gradient larger than this multiple of its recent size is scaled down to it. None scales no gradient.
    """
    best = [weight.clone() for weight in weights]
    first = [torch.zeros_like(weight) for weight in weights]
    second = [torch.zeros_like(weight[:, :1, :1]) for weight in weights]
    lowest = torch.full((len(weights[0]),), np.inf, dtype=weights[0].dtype)
    last = torch.zeros(len(lowest))
    for step in range(steps + 1):
        if step % every == 0:
            with torch.no_grad():
                reached = stopping()
            better = reached < lowest  # False where it is NaN
            lowest, last = torch.where(better, reached, lowest), torch.where(better, step, last)
            for kept, weight in zip(best, weights, strict=True):
                kept[better] = weight[better]
            if step - last.max() >= patience:
                break
        for weight in weights:
            weight.requires_grad_()
        gradients = torch.autograd.grad(loss().sum(), weights)
        falling = lr * (1 + np.cos(np.pi * step / steps)) / 2
        for weight, gradient, mean, square in zip(weights, gradients, first, second, strict=True):
            weight.requires_grad_(False)
            size = gradient.square().mean(dim=(1, 2), keepdim=True)
            if spike is not None and step > 0:
                usual = square / (1 - 0.99**step)
                gradient = gradient * (spike * (usual / size.clamp(min=1e-300)).sqrt()).clamp(max=1)
                size = size.minimum(spike**2 * usual)
            mean.lerp_(gradient, 0.1)
            square.lerp_(size, 0.01)
            scale = (square / (1 - 0.99 ** (step + 1))).sqrt() + 1e-12
            weight.sub_(falling / (1 - 0.9 ** (step + 1)) * mean / scale)
    for kept, weight in zip(best, weights, strict=True):
        weight.copy_(kept)
