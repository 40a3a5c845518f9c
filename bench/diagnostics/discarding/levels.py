"""Levels: how far noise can rise in all cells alike until the realised distortion is β."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import log

import torch
from torch import Tensor

from bench.diagnostics.discarding.problem import Problem

STEPS = 40
RANGE = 100.0  # nats of a level, or of a distortion, that are told apart


@dataclass
class Levels:
    """Noise √(exp(level) / norms) up to the cap, and the level at which it distorts by β on the draws of a seed."""

    problem: Problem
    norms: Tensor
    seed: int

    @property
    def top(self) -> Tensor:
        """The level from which on every cell is capped, (n,)."""
        return 2 * log(self.problem.sigma_max) + self.norms.amax(1).log()

    def sigma(self, level: Tensor, images=slice(None)) -> Tensor:
        most, capped = self.problem.sigma_max, (level >= self.top[images])[:, None]  # there rounding leaves none below
        return (level[:, None].exp() / self.norms[images]).sqrt().clamp(max=most).masked_fill(capped, most)

    def realised(self, level: Tensor, images: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        return self.problem.distortion(self.sigma(level, images), images, self.seed, draws)

    def at_beta(
        self, start: Tensor, draws: int, within: float, stride: float = 1.0, known_to: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """The level at which the realised distortion is β, top where it stays below, and its standard error; (n,).

        within: a share of β, or known_to standard errors where that is more.
        """
        errors = torch.zeros_like(start)

        def above(level: Tensor, images: Tensor) -> Tensor:
            ratio, errors[images] = self.realised(level, images, draws)
            known = known_to * errors[images] / self.problem.beta
            off = (ratio / self.problem.beta).log()
            return torch.where(off.abs() > known, off, 0.0)

        return bisected(above, start, self.top, within, stride), errors


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


def bisected(
    measure: Callable[[Tensor, Tensor], Tensor], start: Tensor, top: Tensor, within: float, stride: float = 1.0
) -> Tensor:
    """Where each of several rising functions is 0, (n,); top where it is below 0 even there.

    measure(at, rows) gives the values of the functions of these indices. Secant steps inside the bracket, halving it
    where they creep; from the start outwards by stride, 1 over a slope that is expected, and ever further.

    >>> cube = lambda at, rows: at**3 - torch.tensor([8.0, 27.0])[rows]
    >>> bisected(cube, torch.ones(2), torch.full((2,), 9.0), 1e-3).round(decimals=2)
    tensor([2., 3.])
    """
    at = torch.minimum(start, top)
    low, high = torch.full_like(at, -torch.inf), torch.full_like(at, torch.inf)
    below, above = torch.zeros_like(at), torch.zeros_like(at)
    rows = torch.arange(len(at), device=at.device)
    for step in range(STEPS):
        value = measure(at[rows], rows).clamp(-RANGE, RANGE)
        rises = value < 0
        low[rows[rises]], below[rows[rises]] = at[rows[rises]], value[rises]
        high[rows[~rises]], above[rows[~rises]] = at[rows[~rises]], value[~rises]
        rows = rows[(value.abs() > within) & ~(rises & (at[rows] >= top[rows]))]
        if not len(rows):
            break
        width = high - low
        secant = low + width * (-below / (above - below)).clamp(0.05, 0.95)
        inside = (low + high) / 2 if step % 3 == 2 else secant
        reach = stride * 2.0**step
        outside = torch.where(low.isinf(), high - reach * above, low - reach * below)
        at[rows] = torch.where(width.isfinite(), inside, outside).clamp(top - RANGE, top)[rows]
    return at
