"""Ascent: noise of ever more entropy while a layer bears it, for layers that are far from linear."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from bench.diagnostics.discarding.problem import Problem

DRAWS, FEW_OUTPUTS_DRAWS = 8, 64  # of noise, each step; a few outputs scatter more than thousands do
UNIT_DRAWS = 256  # of δ², which may have a heavy tail too
BELOW = 0.2  # of β, that is left to rise by: in a valley of the distortion the noise can't shrink instead
FIRST, LAST = 0.3, 0.05  # nats that a cell's log σ moves by at most
PRICES = (0.1, 10.0)  # held within, or it would rise for as long as no noise near brings the distortion down


def ascended(problem: Problem, sigma: Tensor, steps: int) -> Tensor:
    """Noise, (n, cells), of which every cell below the cap adds as much to the distortion, a little less than β in all.

    Maximises Σ log σ under the distortion, by steps on σ and on its price λ. A cell that adds s_k, in units of the mean
    size of what cells add, moves its log σ_k by rate (1 - λ s_k) / (1 + λ |s_k|): however heavy the tail of s_k, by no
    more than the rate. The price rises while the distortion is above its target, below β. Where neither moves, all
    λ s_k are 1: an optimum, if not the best of several.
    """
    logs, most = sigma.log(), log(problem.sigma_max)
    target = (1 - BELOW) * problem.beta * problem.distortion.unit(problem.seed(), UNIT_DRAWS).mean(1)
    few_outputs = problem.distortion.rows is not None  # of which the whole Jacobian was taken
    draws = FEW_OUTPUTS_DRAWS if few_outputs else DRAWS
    price, parts, visited = torch.ones_like(target), None, []
    for step in range(steps):
        rate = FIRST * (LAST / FIRST) ** (step / max(steps - 1, 1))
        moved, now = problem.distortion.by_cell(logs.exp(), problem.seed(), draws)
        parts = now if parts is None else (parts + now) / 2
        excess = (moved / target - 1).clamp(max=3)
        price = (price * (2 * rate * excess).exp()).clamp(*PRICES)
        size = parts.abs().mean(1, keepdim=True).clamp(min=torch.finfo(parts.dtype).tiny)  # 0 without any slope
        cost = (price * (2 * excess).exp())[:, None] * parts / size
        logs = (logs + rate * (1 - cost) / (1 + cost.abs())).clamp(max=most)
        visited.append(logs)
    return torch.stack(visited[steps // 2 :]).mean(0).exp()  # the first half finds the place, the second its middle
