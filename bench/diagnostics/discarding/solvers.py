"""Solvers: noise of the greatest entropy that distorts an activation by β."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil, log

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.sensitivity import sensitivity
from bench.estimators.base import at_least

WITHIN = 0.02  # of β: where the realised distortion counts as met
FEW, WANTED_ERROR = 16, WITHIN / 3  # draws to begin with; standard error, as a share of β, that more are spent on
STEPS, CHECKS = 40, 4


@dataclass(frozen=True)
class Problem:
    """Distortion β of an activation, noise of at most sigma_max in each cell; seeds come from the generator."""

    distortion: Distortion
    beta: float
    sigma_max: float
    rng: torch.Generator

    def seed(self) -> int:
        return int(torch.randint(2**62, (), generator=self.rng, device=self.rng.device))

    def of(self, image: int, seed: int) -> Problem:
        """Of one of the images, with seeds of its own."""
        return replace(self, distortion=self.distortion.of(image), rng=torch.Generator().manual_seed(seed))


@dataclass(frozen=True)
class Solution:
    """sigma: (n, cells). distortion: realised on fresh draws, with its standard error; unit: δ² on them, (n,)."""

    sigma: Tensor
    distortion: Tensor
    error: Tensor
    unit: Tensor


@dataclass(frozen=True)
class WaterFilling:
    """Closed form from the Jacobian, capped by water-filling, scaled by bisection to the realised distortion.

    probes: random signs of Hutchinson's estimate. draws: of noise at most, where the bisection ends; fewer where the
    standard error is 0.7 % of β before. refine: steps of gradient ascent before that, of 4 draws each, for networks
    that are far from linear at the scale of the noise; the result is taken where its entropy is greater. 24 of them,
    scaled by the curvature that a linear f has, find what 600 steps of Adam find, and more steadily.
    """

    probes: int = 32
    draws: int = 1024
    refine: int = 0

    def __post_init__(self):
        at_least("probes", self.probes, 1)
        at_least("draws", self.draws, FEW)
        at_least("refine", self.refine, 0)

    def __call__(self, problem: Problem) -> Solution:
        d = problem.distortion
        found = sensitivity(d.f, d.x, d.grid, d.tau, self.probes, problem.seed())
        d.rows = found.rows
        dead = found.norms.sum(1, keepdim=True) == 0  # at x, though noise moves it: cells begin as equals
        norms = torch.where(dead, 1.0, found.norms)
        scale = Scale(problem, norms, problem.seed())
        start = torch.where(dead[:, 0], 2 * log(d.tau), level_for(norms, scale.target, problem.sigma_max))
        level = scale.level(start, FEW, WITHIN)
        if self.refine:
            refined = Scale(problem, self._refined(scale, level), scale.seed)
            relevel = refined.level(torch.zeros_like(level), FEW, WITHIN)
            more = refined.sigma(relevel).log().mean(1) > scale.sigma(level).log().mean(1)
            level, norms = torch.where(more, relevel, level), torch.where(more[:, None], refined.norms, norms)
        return self._finished(problem, norms, level, scale.seed)

    def _refined(self, scale: Scale, level: Tensor) -> Tensor:
        """Norms by which water-filling gives noise of which every cell below the cap adds as much."""
        logs, most = scale.sigma(level).log(), log(scale.problem.sigma_max)
        for step in range(self.refine):
            rate = 0.5 * 0.1 ** (step / max(self.refine - 1, 1))
            moved, parts = scale.problem.distortion.by_cell(logs.exp(), scale.problem.seed(), draws=4)
            share = parts / parts.abs().mean(1, keepdim=True)
            excess = (moved / scale.target).log()[:, None]
            logs = (logs - rate / 2 * (share.clamp(-1, 3) - 1 + excess)).clamp(max=most)
        return (-2 * logs).exp()

    def _finished(self, problem: Problem, norms: Tensor, level: Tensor, seed: int) -> Solution:
        """Image by image, with as many draws as the error asks for; fresh draws then say what was reached."""
        own = problem.seed()  # the same for every image, whatever images are asked with it
        ends = [self._end(problem.of(i, own), norms[i : i + 1], level[i : i + 1], seed) for i in range(len(norms))]
        return Solution(*(torch.cat(parts) for parts in zip(*ends, strict=True)))

    def _end(self, problem: Problem, norms: Tensor, level: Tensor, seed: int) -> tuple[Tensor, ...]:
        beta, one = problem.beta, torch.zeros(1, dtype=torch.long, device=norms.device)
        scale = Scale(problem, norms, seed)
        _, error = scale.realised(level, one, FEW)
        draws = min(self.draws, FEW * ceil(max(1.0, float(error) / beta / WANTED_ERROR) ** 2))
        for _ in range(CHECKS):
            level = scale.level(level, draws, max(WITHIN / 10, float(error) / beta / 2))
            check = Scale(problem, norms, problem.seed())
            ratio, error = check.realised(level, one, draws)
            met = (ratio - beta).abs() <= (3 * error).clamp(min=WITHIN * beta)
            if (met | (level >= scale.top)).all():
                break
            draws, scale = min(2 * draws, self.draws), Scale(problem, norms, problem.seed())
        return scale.sigma(level), ratio, error, problem.distortion.unit(check.seed, draws).mean(1)


@dataclass
class Scale:
    """Noise √(exp(level) / norms) up to the cap, and the level at which it distorts by β on the draws of a seed."""

    problem: Problem
    norms: Tensor
    seed: int

    @property
    def target(self) -> Tensor:
        """β δ², (n,)."""
        return self.problem.beta * self.problem.distortion.unit(self.seed, FEW).mean(1)

    @property
    def top(self) -> Tensor:
        """The level from which on every cell is capped, (n,)."""
        return 2 * log(self.problem.sigma_max) + self.norms.amax(1).log()

    def sigma(self, level: Tensor, images=slice(None)) -> Tensor:
        return (level[:, None].exp() / self.norms[images]).sqrt().clamp(max=self.problem.sigma_max)

    def realised(self, level: Tensor, images: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        return self.problem.distortion(self.sigma(level, images), images, self.seed, draws)

    def level(self, start: Tensor, draws: int, within: float) -> Tensor:
        """Where the realised distortion is β, (n,); where it stays below, top."""

        def above(level: Tensor, images: Tensor) -> Tensor:
            return (self.realised(level, images, draws)[0] / self.problem.beta).log()

        return bisected(above, start, self.top, within)


def level_for(norms: Tensor, target: Tensor, most: float) -> Tensor:
    """Level at which a linear f's distortion, Σ norm σ², is the target; (n, cells), (n,) to (n,).

    >>> norms, target = torch.tensor([[4.0, 1.0, 0.0]]), torch.tensor([3.0])
    >>> level_for(norms, target, most=1.0).exp()  # the second is capped and adds 1, the last adds nothing
    tensor([2.])
    """
    rising = norms.sort(dim=1).values
    capped = most**2 * torch.cat([torch.zeros_like(rising[:, :1]), rising.cumsum(1)[:, :-1]], dim=1)
    left = torch.arange(norms.shape[1], 0, -1, device=norms.device)
    levels = (target[:, None] - capped) / left  # with the j least sensitive cells capped
    fits = levels <= most**2 * rising  # then the next is not
    first = fits.to(torch.int8).argmax(1)
    level = levels.gather(1, first[:, None])[:, 0]
    return torch.where(fits.any(1), level, most**2 * rising[:, -1]).log()


def bisected(measure: Callable[[Tensor, Tensor], Tensor], start: Tensor, top: Tensor, within: float) -> Tensor:
    """Where each of several rising functions is 0, (n,); top where it is below 0 even there.

    measure(at, rows) gives the values of the functions of these indices. Secant steps inside the bracket, halving it
    where they creep.

    >>> cube = lambda at, rows: at**3 - torch.tensor([8.0, 27.0])[rows]
    >>> bisected(cube, torch.ones(2), torch.full((2,), 9.0), 1e-3).round(decimals=2)
    tensor([2., 3.])
    """
    at = torch.minimum(start, top)
    low, high = torch.full_like(at, -torch.inf), torch.full_like(at, torch.inf)
    below, above = torch.zeros_like(at), torch.zeros_like(at)
    rows = torch.arange(len(at), device=at.device)
    for step in range(STEPS):
        value = measure(at[rows], rows)
        rises = value < 0
        low[rows[rises]], below[rows[rises]] = at[rows[rises]], value[rises]
        high[rows[~rises]], above[rows[~rises]] = at[rows[~rises]], value[~rises]
        rows = rows[(value.abs() > within) & ~(rises & (at[rows] >= top[rows]))]
        if not len(rows):
            break
        width = high - low
        secant = low + width * (-below / (above - below)).clamp(0.05, 0.95)
        inside = (low + high) / 2 if step % 3 == 2 else secant
        reach = 2.0**step  # where one side is still open, ever further
        outside = torch.where(low.isinf(), high - reach * above, low - reach * below)
        at[rows] = torch.minimum(torch.where(width.isfinite(), inside, outside), top)[rows]
    return at
