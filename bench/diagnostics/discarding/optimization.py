"""Optimisation of the noise: the problem, the published descent, and the tools that solvers share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import log

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion
from bench.estimators.base import above_zero, at_least

TOLERANCE = 0.02  # of β: the realised distortion counts as met within this share
MIN_DRAWS = 16  # draws of noise of a first estimate

# Entropy ascent
ASCENT_DRAWS, FEW_OUTPUTS_DRAWS = 8, 64  # of noise per step; the estimate varies more with few outputs
UNIT_DRAWS = 256  # of δ², whose distribution may have a heavy tail too
RESERVE = 0.2  # of β: the ascent ends below the bound, because later the noise can always rise but not always shrink
FIRST_RATE, LAST_RATE = 0.3, 0.05  # largest change of log σ of a cell in one step, nats
PRICE_RANGE = (0.1, 10.0)  # without bounds the price diverges if no noise nearby reduces the distortion

UNEVENNESS_DRAWS = 32  # of each of the two independent sets
MAX_ROOT_STEPS = 40
MAX_NATS = 100.0  # range of a level, and of the logarithm of a distortion, in the search for a root


@dataclass(frozen=True)
class Problem:
    """Maximise the mean entropy of noise of at most sigma_max while the distortion of an activation is β.

    Args:
        distortion: Distortion of the activation.
        beta: Bound β on the distortion.
        sigma_max: Largest noise of a cell.
        rng: Source of the seeds of all draws.
    """

    distortion: Distortion
    beta: float
    sigma_max: float
    rng: torch.Generator

    def draw_seed(self) -> int:
        return int(torch.randint(2**62, (), generator=self.rng, device=self.rng.device))

    def select(self, images: Tensor, seed: int) -> Problem:
        """Return the problem of the images with these indices, with a generator of its own."""
        return replace(self, distortion=self.distortion.select(images), rng=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Solution:
    """Noise that a solver found.

    Attributes:
        sigma: Noise of each cell, (n, cells).
        distortion: Realised distortion on new draws, (n,).
        error: Monte-Carlo standard error of the distortion, (n,).
        unit: δ² on the same draws, (n,).
    """

    sigma: Tensor
    distortion: Tensor
    error: Tensor
    unit: Tensor


@dataclass(frozen=True)
class PublishedDescent:
    """Minimise D/δ² - λ H by stochastic gradient descent on log σ, where D/δ² is the distortion and H the mean entropy.

    The noise starts as τ in every cell. The solution is the step whose distortion is nearest to β.

    Args:
        weight: Weight λ of the mean entropy in nats.
        steps: Number of steps.
        rate: Learning rate for the sum of both terms over cells, so that one value fits any grid. The source gives
            no rate.
        draws: Draws of noise per step. The source gives no number.

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109. The optimum has D/δ² = λ/2, which 100 steps do not reach.
    """

    weight: float = 5.0
    steps: int = 100
    rate: float = 0.004
    draws: int = 16

    def __post_init__(self):
        above_zero("weight", self.weight)
        above_zero("rate", self.rate)
        at_least("steps", self.steps, 1)
        at_least("draws", self.draws, 2)

    def __call__(self, problem: Problem) -> Solution:
        d = problem.distortion
        n, cells = len(d.x), torch.Size(d.grid).numel()
        every = torch.arange(n, device=d.x.device)
        logs = torch.full((n, cells), d.tau, dtype=torch.float64, device=d.x.device).log()
        best, nearest = logs, torch.full((n,), torch.inf, dtype=torch.float64, device=d.x.device)
        unit = d.unit(problem.draw_seed(), 16 * self.draws).mean(1)
        for _ in range(self.steps):
            change, parts = d.by_cell(logs.exp(), problem.draw_seed(), self.draws)
            gap = (change / unit - problem.beta).abs()
            best = torch.where((gap < nearest)[:, None], logs, best)
            nearest = torch.minimum(gap, nearest)
            slope = 2 * parts / unit[:, None] * cells - self.weight
            logs = (logs - self.rate * slope).clamp(max=log(problem.sigma_max))
        seed, draws = problem.draw_seed(), 16 * self.draws
        return Solution(best.exp(), *d(best.exp(), every, seed, draws), d.unit(seed, draws).mean(1))


def entropy_ascent(problem: Problem, sigma: Tensor, steps: int) -> Tensor:
    """Find noise at which every cell below the cap contributes equally to a distortion a little below β.

    The ascent maximises Σ log σ under the bound by steps on log σ and on the price λ of distortion. Let s_k be the
    contribution of cell k in units of the mean size of all contributions. A step changes log σ_k by
    rate · (1 - λ s_k) / (1 + λ |s_k|). Its size never exceeds the rate, even if s_k has a heavy tail. The price rises
    while the distortion exceeds its target. At a fixed point every λ s_k is 1: a local optimum.

    Args:
        problem: The problem.
        sigma: Initial noise, (n, cells).
        steps: Number of steps.

    Returns:
        Noise, (n, cells): the geometric mean over the second half of the steps.
    """
    logs, max_log = sigma.log(), log(problem.sigma_max)
    target = (1 - RESERVE) * problem.beta * problem.distortion.unit(problem.draw_seed(), UNIT_DRAWS).mean(1)
    few_outputs = problem.distortion.jacobian is not None  # the whole Jacobian is computed only then
    draws = FEW_OUTPUTS_DRAWS if few_outputs else ASCENT_DRAWS
    price, parts, visited = torch.ones_like(target), None, []
    for step in range(steps):
        rate = FIRST_RATE * (LAST_RATE / FIRST_RATE) ** (step / max(steps - 1, 1))
        change, now = problem.distortion.by_cell(logs.exp(), problem.draw_seed(), draws)
        parts = now if parts is None else (parts + now) / 2
        excess = (change / target - 1).clamp(max=3)
        price = (price * (2 * rate * excess).exp()).clamp(*PRICE_RANGE)
        size = parts.abs().mean(1, keepdim=True).clamp(min=torch.finfo(parts.dtype).tiny)  # 0 without any slope
        cost = (price * (2 * excess).exp())[:, None] * parts / size
        logs = (logs + rate * (1 - cost) / (1 + cost.abs())).clamp(max=max_log)
        visited.append(logs)
    return torch.stack(visited[steps // 2 :]).mean(0).exp()


def unevenness(distortion: Distortion, sigma: Tensor, sigma_max: float, rng: torch.Generator) -> Tensor:
    """Measure how far noise is from an optimum, where all cells below the cap contribute equally.

    For a linear f a small value u leaves u²/4 nats of mean entropy to gain.

    Args:
        distortion: Distortion of the activation.
        sigma: Noise of each cell, (n, cells).
        sigma_max: Largest noise of a cell.
        rng: Source of the seeds of two independent sets of draws.

    Returns:
        Standard deviation of the contributions in units of their mean size, (n,). NaN if every cell is capped or if
        sigma is NaN.
    """
    seeds = torch.randint(2**62, (2,), generator=rng, device=rng.device).tolist()
    first, second = (distortion.by_cell(sigma, seed, UNEVENNESS_DRAWS)[1] for seed in seeds)
    return relative_spread(first, second, sigma < sigma_max)


def relative_spread(first: Tensor, second: Tensor, free: Tensor) -> Tensor:
    """Compute the standard deviation of the free cells in units of their mean size, (n,).

    The variance is the covariance of two independent estimates, (n, cells), because their errors are uncorrelated.

    >>> parts, free = torch.tensor([[1.0, 3.0, 9.0]]), torch.tensor([[True, True, False]])
    >>> relative_spread(parts, parts, free)
    tensor([0.5000])
    """
    count, both = free.sum(1), (first + second) / 2 * free
    mean, size = both.sum(1) / count, both.abs().sum(1) / count
    product = (first - mean[:, None]) * (second - mean[:, None]) * free
    return (product.sum(1) / count).clamp(min=0).sqrt() / size


def find_roots(
    measure: Callable[[Tensor, Tensor], Tensor], start: Tensor, top: Tensor, tolerance: float, stride: float = 1.0
) -> Tensor:
    """Find the root of each of several increasing functions.

    Each search first moves outwards from its start with growing steps until it brackets the root. It then takes secant
    steps inside the bracket, and halves the bracket in every third step.

    Args:
        measure: `measure(at, rows)` returns the values of the functions with these indices.
        start: First points, (n,).
        top: Upper ends of the search, (n,).
        tolerance: Absolute value below which a function counts as 0.
        stride: First step outwards per unit of the function's value: the inverse of the expected slope.

    Returns:
        Roots, (n,); `top` where the function is negative even there.

    >>> cube = lambda at, rows: at**3 - torch.tensor([8.0, 27.0])[rows]
    >>> find_roots(cube, torch.ones(2), torch.full((2,), 9.0), 1e-3).round(decimals=2)
    tensor([2., 3.])
    """
    at = torch.minimum(start, top)
    low, high = torch.full_like(at, -torch.inf), torch.full_like(at, torch.inf)
    below, above = torch.zeros_like(at), torch.zeros_like(at)
    rows = torch.arange(len(at), device=at.device)
    for step in range(MAX_ROOT_STEPS):
        value = measure(at[rows], rows).clamp(-MAX_NATS, MAX_NATS)
        negative = value < 0
        low[rows[negative]], below[rows[negative]] = at[rows[negative]], value[negative]
        high[rows[~negative]], above[rows[~negative]] = at[rows[~negative]], value[~negative]
        rows = rows[(value.abs() > tolerance) & ~(negative & (at[rows] >= top[rows]))]
        if not len(rows):
            break
        width = high - low
        secant = low + width * (-below / (above - below)).clamp(0.05, 0.95)
        inside = (low + high) / 2 if step % 3 == 2 else secant
        reach = stride * 2.0**step
        outside = torch.where(low.isinf(), high - reach * above, low - reach * below)
        at[rows] = torch.where(width.isfinite(), inside, outside).clamp(top - MAX_NATS, top)[rows]
    return at
