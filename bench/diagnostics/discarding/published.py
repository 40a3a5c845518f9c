"""The published optimisation of information discarding, for comparison with ours."""

from __future__ import annotations

from dataclasses import dataclass
from math import log

import torch

from bench.diagnostics.discarding.problem import Problem, Solution
from bench.estimators.base import above_zero, at_least


@dataclass(frozen=True)
class PublishedDescent:
    """Stochastic gradient descent on D/δ² - λ H, H the mean entropy in nats; of its steps the one nearest β is taken.

    weight: λ. rate: of the descent on log σ, of the sum over cells of both terms, so that it is one for any grid; rate
    and draws of a step are ours. The noise begins as τ everywhere.
    Source: Ma et al. 2022, ICML, arXiv 1906.04109; the optimum lies at D/δ² = λ/2, which 100 steps don't reach.
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
        unit = d.unit(problem.seed(), 16 * self.draws).mean(1)
        for _ in range(self.steps):
            moved, parts = d.by_cell(logs.exp(), problem.seed(), self.draws)
            missed = (moved / unit - problem.beta).abs()
            best = torch.where((missed < nearest)[:, None], logs, best)
            nearest = torch.minimum(missed, nearest)
            slope = 2 * parts / unit[:, None] * cells - self.weight
            logs = (logs - self.rate * slope).clamp(max=log(problem.sigma_max))
        seed, draws = problem.seed(), 16 * self.draws
        return Solution(best.exp(), *d(best.exp(), every, seed, draws), d.unit(seed, draws).mean(1))
