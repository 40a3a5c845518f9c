"""What trained estimators share: parts of whole groups, features on one scale, stopping on samples of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from bench.information.variables import Variable


def split(groups: np.ndarray, rows: np.ndarray, shares: Sequence[float], rng: np.random.Generator) -> list[np.ndarray]:
    """Rows cut at random into parts that hold about these shares of the groups, each group whole.

    >>> groups = np.repeat([0, 1, 2, 3], 2)
    >>> [len(part) for part in split(groups, np.arange(8), (0.75, 0.25), np.random.default_rng(0))]
    [6, 2]
    """
    names = rng.permutation(np.unique(groups[rows]))
    ends = np.floor(np.cumsum(shares) / np.sum(shares) * len(names) + 1e-9).astype(int)
    return [rows[np.isin(groups[rows], part)] for part in np.split(names, ends[:-1])]


def features(side: Variable, components: int, training: np.ndarray) -> np.ndarray:
    """(n, k) float64, arcsinh of what the training rows centre and scale: what a network reads of samples.

    Linear near the centre and logarithmic far from it, so that a held-out sample far outside those trained on doesn't
    decide alone; a column of ReLUs may be 0 in all samples but one.
    Own columns are standardised one by one. Principal coordinates share one scale: with a variance of 1 each, all
    samples would be equally far apart where there are about as many coordinates as samples.
    """
    columns = side.coordinates(components)
    variance = columns[training].var(axis=0)
    if len(variance) and (side.samples is None or side.dim > components):  # none where no column varies
        variance = variance.mean(keepdims=True)
    return np.arcsinh((columns - columns[training].mean(axis=0)) / np.sqrt(np.where(variance > 0, variance, 1)))


def generator_of(rng: np.random.Generator) -> torch.Generator:
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
    """Fit many networks at once, in place: set s owns weights[...][s], and loss()[s] depends on them alone.

    Each set ends with its weights at the step where its stopping loss was lowest, step 0 included; training ends when
    no set has improved for `patience` steps. Adam with one second moment for each weight matrix: with one for each
    weight, columns of noise would move as fast as those that tell something. Its rate falls from lr along a cosine; a
    gradient larger than `spike` times its recent size is cut to that.
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
