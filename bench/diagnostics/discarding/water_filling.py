"""Water-filling: the noise that a linear activation would bear, brought to what the real one bears."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from bench.diagnostics.discarding.ascent import ascended
from bench.diagnostics.discarding.convergence import unevenness
from bench.diagnostics.discarding.levels import Levels, level_for
from bench.diagnostics.discarding.problem import FEW, WITHIN, Problem, Solution
from bench.diagnostics.discarding.sensitivity import hutchinson, sensitivity
from bench.estimators.base import at_least

WANTED_ERROR = WITHIN / 3  # standard error, as a share of β, that draws are spent on where the bisection ends
CHECKS = 4
EVEN = 0.2  # unevenness of the closed form that leaves 0.01 nats to gain by refinement
STEEP = 1 / 8  # stride of levels after refinement, where a distortion may rise eight times as steeply as a linear one
SOME = 64  # draws for the level of refined noise, whose distortion has the heavier tail
ASLEEP = 1e-8  # of the mean sensitivity, below which a cell counts as asleep


@dataclass(frozen=True)
class WaterFilling:
    """Closed form from the Jacobian, capped by water-filling, scaled by bisection to the realised distortion.

    probes: random signs of Hutchinson's estimate. draws: of noise at most, where the bisection ends; fewer where the
    standard error is 0.7 % of β before. refine: steps of ascent before that, of 8 draws each (of 64 where outputs are
    up to 128), for images of which cells add unevenly, f being far from linear at the scale of the noise; kept where
    the noise so reached has more entropy.
    """

    probes: int = 32
    draws: int = 1024
    refine: int = 0

    def __post_init__(self):
        at_least("probes", self.probes, 1)
        at_least("draws", self.draws, FEW)
        at_least("refine", self.refine, 0)

    def __call__(self, problem: Problem) -> Solution:
        norms, seed, d = self._norms(problem), problem.seed(), problem.distortion
        draws = SOME if self.refine else FEW
        target = problem.beta * d.unit(seed, draws).mean(1)
        found = raised(Levels(problem, norms, seed), level_for(norms, target, problem.sigma_max), draws)
        lowest = log(d.tau) + log(problem.beta) / 2  # a linear f bears as much; any bears τ, the unit of the distortion
        if d.normaliser is None and (found.entropy < lowest).any():
            even = Levels(problem, torch.ones_like(norms), seed)
            found = found.or_better(raised(even, torch.full_like(target, 2 * log(d.tau)), draws))
        if self.refine:
            found = self._refined(problem, found, seed, draws)
        return self._finished(problem, found, seed)

    def _norms(self, problem: Problem) -> Tensor:
        """Sensitivity of each cell, (n, cells); 0 where the most noise does not wake it."""
        d = problem.distortion
        found = sensitivity(d.f, d.x, d.grid, d.tau, self.probes, problem.seed())
        d.rows, norms = found.rows, found.norms
        asleep = norms <= ASLEEP * norms.mean(1, keepdim=True)
        if asleep.any():
            noise = d.pixels(torch.where(asleep, problem.sigma_max, d.tau).double())
            norms = torch.where(asleep, hutchinson(d.f, d.x, d.grid, noise, self.probes, problem.seed()), norms)
        flat = norms.sum(1, keepdim=True) == 0  # without slope everywhere, as steps have: cells begin as equals
        return torch.where(flat, 1.0, norms)

    def _refined(self, problem: Problem, found: Raised, seed: int, draws: int) -> Raised:
        """By ascent, where what cells add is uneven."""
        uneven = unevenness(problem.distortion, found.sigma, problem.sigma_max, problem.rng) > EVEN
        own, images = problem.seed(), uneven.nonzero()[:, 0]
        if not len(images):
            return found
        some, before = problem.of(images, own), found.of(images)
        refined = raised_from(some, ascended(some, before.sigma, self.refine), seed, draws)
        return found.put(images, before.or_better(refined))

    def _finished(self, problem: Problem, found: Raised, seed: int) -> Solution:
        """Image by image, with as many draws as the error asks for; fresh draws then say what was reached."""
        own = problem.seed()  # the same for every image, whatever images are asked with it
        each = torch.arange(len(found.norms), device=found.norms.device).split(1)
        ends = [self._end(problem.of(image, own), found.of(image), seed) for image in each]
        return Solution(*(torch.cat(parts) for parts in zip(*ends, strict=True)))

    def _end(self, problem: Problem, found: Raised, seed: int) -> tuple[Tensor, ...]:
        beta, one = problem.beta, torch.zeros(1, dtype=torch.long, device=found.norms.device)
        level, error, levels = found.level, found.error, Levels(problem, found.norms, seed)
        stride = STEEP if self.refine else 1.0
        draws = min(self.draws, FEW * ceil(max(1.0, float(error) / beta / WANTED_ERROR) ** 2))
        for check in range(CHECKS):
            if check or draws > FEW:
                level, _ = levels.at_beta(level, draws, max(WITHIN / 10, float(error) / beta / 2), stride)
            fresh = Levels(problem, found.norms, problem.seed())
            ratio, error = fresh.realised(level, one, draws)
            met = (ratio - beta).abs() <= (3 * error).clamp(min=WITHIN * beta)
            if (met | (level >= levels.top)).all():
                break
            draws, levels = min(2 * draws, self.draws), Levels(problem, found.norms, problem.seed())
        return levels.sigma(level), ratio, error, problem.distortion.unit(fresh.seed, draws).mean(1)


def raised(levels: Levels, start: Tensor, draws: int, **search) -> Raised:
    """Noise of these levels, as far as draws say that it can rise, from a start, (n,)."""
    level, error = levels.at_beta(start, draws, WITHIN / 4, **search)
    return Raised(levels.norms, level, error * (draws / FEW) ** 0.5, levels.sigma(level))


def raised_from(problem: Problem, sigma: Tensor, seed: int, draws: int) -> Raised:
    """Noise of this shape, (n, cells), by strides short enough for valleys of the distortion."""
    levels = Levels(problem, 1 / sigma.square(), seed)
    return raised(levels, torch.zeros_like(sigma[:, 0]), draws, stride=STEEP, known_to=0.5)


@dataclass(frozen=True)
class Raised:
    """Noise sigma, (n, cells), of a level by norms, and the standard error of its distortion by few draws, (n,)."""

    norms: Tensor
    level: Tensor
    error: Tensor
    sigma: Tensor

    @property
    def entropy(self) -> Tensor:
        """Mean over cells, nats, but for what all noise has, (n,)."""
        return self.sigma.log().mean(1)

    def of(self, images: Tensor) -> Raised:
        """Of some of the images."""
        return Raised(*(values[images] for values in vars(self).values()))

    def put(self, images: Tensor, some: Raised) -> Raised:
        """With this noise in place of its own for some of the images."""
        pairs = zip(vars(self).values(), vars(some).values(), strict=True)
        return Raised(*(mine.index_copy(0, images, theirs) for mine, theirs in pairs))

    def or_better(self, other: Raised) -> Raised:
        """Of each image the noise of the greater entropy."""
        better = other.entropy > self.entropy
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Raised(*(torch.where(better.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs))
