"""Water-filling: the optimal noise of a linear activation, scaled to the distortion of the real one."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from bench.diagnostics.discarding.distortion import hutchinson, jacobian_norms
from bench.diagnostics.discarding.optimization import (
    MIN_DRAWS,
    TOLERANCE,
    Problem,
    Solution,
    entropy_ascent,
    find_roots,
    unevenness,
)
from bench.estimators.base import at_least

WANTED_ERROR = TOLERANCE / 3  # standard error, as a share of β, that determines the number of draws at the end
MAX_CHECKS = 4  # of the final level on new draws
MAX_UNEVENNESS = 0.2  # above it refinement starts; 0.2 leaves 0.01 nats to gain
SHORT_STRIDE = 1 / 8  # of the search after refinement: a distortion may rise 8 times as steeply as a linear one
REFINED_DRAWS = 64  # for the level of refined noise, whose distortion has the heavier tail
INSENSITIVE = 1e-8  # of the mean sensitivity: a cell below this share counts as insensitive


@dataclass(frozen=True)
class WaterFilling:
    """Find noise by the closed form of a linear f, capped by water-filling and scaled to the realised distortion.

    The closed form takes its sensitivities from the Jacobian. A search for the water level then brings the realised
    distortion to β. Refinement by `entropy_ascent` comes before the last search. It applies to images whose cells
    contribute unevenly because f is far from linear at the scale of the noise, and its result is kept only where
    the entropy is greater.

    Args:
        probes: Number of random sign vectors of Hutchinson's estimate.
        draws: Most draws of noise in the last search; fewer if the standard error is 0.7 % of β before.
        refine: Steps of refinement, with 8 draws each, or 64 if f has at most 128 outputs; 0 for none.
    """

    probes: int = 32
    draws: int = 1024
    refine: int = 0

    def __post_init__(self):
        at_least("probes", self.probes, 1)
        at_least("draws", self.draws, MIN_DRAWS)
        at_least("refine", self.refine, 0)

    def __call__(self, problem: Problem) -> Solution:
        norms, seed, d = self._sensitivity(problem), problem.draw_seed(), problem.distortion
        draws = REFINED_DRAWS if self.refine else MIN_DRAWS
        target = problem.beta * d.unit(seed, draws).mean(1)
        found = WaterLevels(problem, norms, seed).fill(linear_level(norms, target, problem.sigma_max), draws)
        lowest = log(d.tau) + log(problem.beta) / 2  # a linear f reaches this; noise τ is always within the bound
        if d.normaliser is None and (found.entropy < lowest).any():
            uniform = WaterLevels(problem, torch.ones_like(norms), seed)
            found = found.better_of(uniform.fill(torch.full_like(target, 2 * log(d.tau)), draws))
        if self.refine:
            found = self._refine(problem, found, seed, draws)
        return self._finish(problem, found, seed)

    def _sensitivity(self, problem: Problem) -> Tensor:
        """Return the sensitivity of each cell, (n, cells); 0 if the activation ignores even the largest noise."""
        d = problem.distortion
        norms, d.jacobian = jacobian_norms(d.f, d.x, d.grid, d.tau, self.probes, problem.draw_seed())
        insensitive = norms <= INSENSITIVE * norms.mean(1, keepdim=True)
        if insensitive.any():
            noise = d.expand(torch.where(insensitive, problem.sigma_max, d.tau).double())
            strong = hutchinson(d.f, d.x, d.grid, noise, self.probes, problem.draw_seed())
            norms = torch.where(insensitive, strong, norms)
        flat = norms.sum(1, keepdim=True) == 0  # no slope anywhere, as for step functions: all cells start as equals
        return torch.where(flat, 1.0, norms)

    def _refine(self, problem: Problem, found: Filling, seed: int, draws: int) -> Filling:
        """Refine the noise of the images whose cells contribute unevenly."""
        uneven = unevenness(problem.distortion, found.sigma, problem.sigma_max, problem.rng) > MAX_UNEVENNESS
        own, images = problem.draw_seed(), uneven.nonzero()[:, 0]
        if not len(images):
            return found
        some, before = problem.select(images, own), found.select(images)
        sigma = entropy_ascent(some, before.sigma, self.refine)
        levels = WaterLevels(some, 1 / sigma.square(), seed)
        refined = levels.fill(torch.zeros_like(sigma[:, 0]), draws, stride=SHORT_STRIDE, standard_errors=0.5)
        return found.replace(images, before.better_of(refined))

    def _finish(self, problem: Problem, found: Filling, seed: int) -> Solution:
        """Search the final level of each image with as many draws as its error requires."""
        own = problem.draw_seed()  # the same for every image, so that the result does not depend on the batch
        each = torch.arange(len(found.norms), device=found.norms.device).split(1)
        ends = [self._finish_image(problem.select(image, own), found.select(image), seed) for image in each]
        return Solution(*(torch.cat(parts) for parts in zip(*ends, strict=True)))

    def _finish_image(self, problem: Problem, found: Filling, seed: int) -> tuple[Tensor, ...]:
        """Return the fields of a Solution. New draws check the level; more draws follow if it misses β."""
        beta, one = problem.beta, torch.zeros(1, dtype=torch.long, device=found.norms.device)
        level, error, levels = found.level, found.error, WaterLevels(problem, found.norms, seed)
        stride = SHORT_STRIDE if self.refine else 1.0
        draws = min(self.draws, MIN_DRAWS * ceil(max(1.0, float(error) / beta / WANTED_ERROR) ** 2))
        for check in range(MAX_CHECKS):
            if check or draws > MIN_DRAWS:
                level, _ = levels.search(level, draws, max(TOLERANCE / 10, float(error) / beta / 2), stride)
            new = WaterLevels(problem, found.norms, problem.draw_seed())
            ratio, error = new.distortion(level, one, draws)
            met = (ratio - beta).abs() <= (3 * error).clamp(min=TOLERANCE * beta)
            if (met | (level >= levels.top)).all():
                break
            draws, levels = min(2 * draws, self.draws), WaterLevels(problem, found.norms, problem.draw_seed())
        return levels.sigma(level), ratio, error, problem.distortion.unit(new.seed, draws).mean(1)


@dataclass
class WaterLevels:
    """Noise √(exp(level) / norms), capped at sigma_max, as a function of the level, with the draws of one seed."""

    problem: Problem
    norms: Tensor
    seed: int

    @property
    def top(self) -> Tensor:
        """The level at which every cell is capped, (n,)."""
        return 2 * log(self.problem.sigma_max) + self.norms.amax(1).log()

    def sigma(self, level: Tensor, images=slice(None)) -> Tensor:
        """Return the noise of each cell at these levels, (n, cells)."""
        # Rounding must not leave a cell below the cap at the top.
        largest, capped = self.problem.sigma_max, (level >= self.top[images])[:, None]
        return (level[:, None].exp() / self.norms[images]).sqrt().clamp(max=largest).masked_fill(capped, largest)

    def distortion(self, level: Tensor, images: Tensor, draws: int) -> tuple[Tensor, Tensor]:
        """Estimate the distortion at these levels and its standard error, (n,) each."""
        return self.problem.distortion(self.sigma(level, images), images, self.seed, draws)

    def search(
        self, start: Tensor, draws: int, tolerance: float, stride: float = 1.0, standard_errors: float = 0.0
    ) -> tuple[Tensor, Tensor]:
        """Find the level at which the distortion is β, or `top` if the distortion stays below β.

        Args:
            start: First levels, (n,).
            draws: Draws of noise per estimate.
            tolerance: Accepted relative deviation from β.
            stride: First step of `find_roots`.
            standard_errors: A deviation of this many standard errors is accepted too.

        Returns:
            The levels and the standard errors of the distortion, (n,) each.
        """
        errors = torch.zeros_like(start)

        def log_ratio(level: Tensor, images: Tensor) -> Tensor:
            ratio, errors[images] = self.distortion(level, images, draws)
            accepted = standard_errors * errors[images] / self.problem.beta
            deviation = (ratio / self.problem.beta).log()
            return torch.where(deviation.abs() > accepted, deviation, 0.0)

        return find_roots(log_ratio, start, self.top, tolerance, stride), errors

    def fill(self, start: Tensor, draws: int, **search) -> Filling:
        """Raise the noise from the start, (n,), to the largest level that an estimate with these draws allows."""
        level, error = self.search(start, draws, TOLERANCE / 4, **search)
        return Filling(self.norms, level, error * (draws / MIN_DRAWS) ** 0.5, self.sigma(level))


@dataclass(frozen=True)
class Filling:
    """Noise at a water level.

    Attributes:
        norms: Sensitivity of each cell, (n, cells).
        level: Water level, (n,).
        error: Standard error of the distortion, scaled to MIN_DRAWS draws, (n,).
        sigma: Noise of each cell, (n, cells).
    """

    norms: Tensor
    level: Tensor
    error: Tensor
    sigma: Tensor

    @property
    def entropy(self) -> Tensor:
        """Mean entropy over cells without the constant ½ log 2πe, nats, (n,)."""
        return self.sigma.log().mean(1)

    def select(self, images: Tensor) -> Filling:
        """Return the noise of the images with these indices."""
        return Filling(*(values[images] for values in vars(self).values()))

    def replace(self, images: Tensor, some: Filling) -> Filling:
        """Return a copy in which `some` replaces the noise of the images with these indices."""
        pairs = zip(vars(self).values(), vars(some).values(), strict=True)
        return Filling(*(mine.index_copy(0, images, theirs) for mine, theirs in pairs))

    def better_of(self, other: Filling) -> Filling:
        """Return for each image the noise with the greater entropy."""
        better = other.entropy > self.entropy
        pairs = zip(vars(self).values(), vars(other).values(), strict=True)
        return Filling(*(torch.where(better.reshape(-1, *[1] * (a.ndim - 1)), b, a) for a, b in pairs))


def linear_level(norms: Tensor, target: Tensor, sigma_max: float) -> Tensor:
    """Compute the level at which Σ norm σ², the distortion of a linear f, equals the target.

    Args:
        norms: Sensitivity of each cell, (n, cells).
        target: Distortion, (n,).
        sigma_max: Largest noise of a cell.

    >>> norms, target = torch.tensor([[4.0, 1.0, 0.0]]), torch.tensor([3.0])
    >>> linear_level(norms, target, sigma_max=1.0).exp()  # the second is capped and adds 1, the last adds nothing
    tensor([2.])
    """
    rising = norms.sort(dim=1).values
    capped = sigma_max**2 * torch.cat([torch.zeros_like(rising[:, :1]), rising.cumsum(1)[:, :-1]], dim=1)
    left = torch.arange(norms.shape[1], 0, -1, device=norms.device)
    levels = (target[:, None] - capped) / left  # if the j least sensitive cells are capped
    fits = levels <= sigma_max**2 * rising  # then the next cell is not capped
    first = fits.to(torch.int8).argmax(1)
    level = levels.gather(1, first[:, None])[:, 0]
    return torch.where(fits.any(1), level, sigma_max**2 * rising[:, -1]).log()
