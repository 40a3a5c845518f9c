"""Water-filling: the noise that a linear activation would bear, brought to what the real one bears."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log

import torch
from torch import Tensor

from bench.diagnostics.discarding.levels import Levels, level_for
from bench.diagnostics.discarding.problem import FEW, WITHIN, Problem, Solution
from bench.diagnostics.discarding.sensitivity import sensitivity
from bench.estimators.base import at_least

WANTED_ERROR = WITHIN / 3  # standard error, as a share of β, that draws are spent on where the bisection ends
CHECKS = 4


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
        levels = Levels(problem, norms, problem.seed())
        start = torch.where(dead[:, 0], 2 * log(d.tau), level_for(norms, levels.target, problem.sigma_max))
        level = levels.at_beta(start, FEW, WITHIN)
        if self.refine:
            refined = Levels(problem, self._refined(levels, level), levels.seed)
            relevel = refined.at_beta(torch.zeros_like(level), FEW, WITHIN)
            more = refined.sigma(relevel).log().mean(1) > levels.sigma(level).log().mean(1)
            level, norms = torch.where(more, relevel, level), torch.where(more[:, None], refined.norms, norms)
        return self._finished(problem, norms, level, levels.seed)

    def _refined(self, levels: Levels, level: Tensor) -> Tensor:
        """Norms by which water-filling gives noise of which every cell below the cap adds as much."""
        logs, most = levels.sigma(level).log(), log(levels.problem.sigma_max)
        for step in range(self.refine):
            rate = 0.5 * 0.1 ** (step / max(self.refine - 1, 1))
            moved, parts = levels.problem.distortion.by_cell(logs.exp(), levels.problem.seed(), draws=4)
            share = parts / parts.abs().mean(1, keepdim=True)
            excess = (moved / levels.target).log()[:, None]
            logs = (logs - rate / 2 * (share.clamp(-1, 3) - 1 + excess)).clamp(max=most)
        return (-2 * logs).exp()

    def _finished(self, problem: Problem, norms: Tensor, level: Tensor, seed: int) -> Solution:
        """Image by image, with as many draws as the error asks for; fresh draws then say what was reached."""
        own = problem.seed()  # the same for every image, whatever images are asked with it
        ends = [self._end(problem.of(i, own), norms[i : i + 1], level[i : i + 1], seed) for i in range(len(norms))]
        return Solution(*(torch.cat(parts) for parts in zip(*ends, strict=True)))

    def _end(self, problem: Problem, norms: Tensor, level: Tensor, seed: int) -> tuple[Tensor, ...]:
        beta, one = problem.beta, torch.zeros(1, dtype=torch.long, device=norms.device)
        levels = Levels(problem, norms, seed)
        _, error = levels.realised(level, one, FEW)
        draws = min(self.draws, FEW * ceil(max(1.0, float(error) / beta / WANTED_ERROR) ** 2))
        for _ in range(CHECKS):
            level = levels.at_beta(level, draws, max(WITHIN / 10, float(error) / beta / 2))
            check = Levels(problem, norms, problem.seed())
            ratio, error = check.realised(level, one, draws)
            met = (ratio - beta).abs() <= (3 * error).clamp(min=WITHIN * beta)
            if (met | (level >= levels.top)).all():
                break
            draws, levels = min(2 * draws, self.draws), Levels(problem, norms, problem.seed())
        return levels.sigma(level), ratio, error, problem.distortion.unit(check.seed, draws).mean(1)
