"""Replacements for a pricing and a retraining, whose costs and scores are known, for tests of rivals and searches."""

from types import SimpleNamespace

import pandas as pd
from omegaconf import OmegaConf

from bench.pruning.designs import SwapKind, UNetDesign
from bench.pruning.designs.costs import Costs
from bench.pruning.judging.results import Retrained
from bench.pruning.rivals.rivals import find_rivals
from bench.pruning.search.loss import Loss
from bench.pruning.search.proposals import Proposal

BASE = UNetDesign((8, 16, 32), (8, 16), ("cat", "cat"))
LEAN = BASE.with_widths([4, 4, 4, 4, 4])


class Sums:
    """Replacement for a Pricing: parameters are the sum of all widths, FLOPs the widths of the first level."""

    def __call__(self, design):
        return Costs(sum(design.widths) + sum(design.decoder_widths), design.widths[0] + design.decoder_widths[0])

    def find_widest(self, limits, make, most):
        grid = [make(most * step / 400) for step in range(400, -1, -1)]
        return next((found for found in grid if self.is_within(found, limits)), grid[-1])

    def is_within(self, design, limits):
        return all(self(design)[kind] <= most for kind, most in limits.items())


class KnownRetraining:
    """Replacement for a Retraining: a design scores by its depth and its first width. Some trainings can fail."""

    seeds, at_once = (3, 4, 5), 2

    def __init__(self, folds=(), failing=(), trained=()):
        self.base = SimpleNamespace(design=BASE, pricing=Sums())
        self.folds, self.failing = list(folds), failing
        self.designs, self.batches = {}, []
        for name, design, seeds in trained:
            self.designs[name] = (design, seeds)

    def __call__(self, designs, step, seeds=None):
        assert not set(designs) & set(self.designs), "trained twice"
        self.batches.append(list(designs))
        self.designs |= {name: (design, seeds) for name, design in designs.items() if name not in self.failing}
        return [f"{name} seed {seed}" for name in designs if name in self.failing for seed in seeds]

    def read(self, names, test):
        assert not test
        rows = [
            {"design": name, "seed": seed, "fold": fold, "val_score": score_of(self.designs[name][0]) + (fold or 0)}
            for name in names
            if name in self.designs
            for seed in self.designs[name][1]
            for fold in self.folds or [None]
        ]
        return Retrained(pd.DataFrame(rows, columns=["design", "seed", "fold", "val_score"]), pd.DataFrame())


def score_of(design):
    return design.depth + 0.001 * design.widths[0] - 0.1 * design.skips.count("off")


def config(rivals, params=0.25, flops=None, seed=0):
    return OmegaConf.create(
        {
            "seed": seed,
            "target": {"params": params, "flops": flops, "loss": 0.01},
            "ask": {"swaps": [str(kind) for kind in SwapKind]},
            "retrain": {"rivals": rivals},
        }
    )


def chosen(design=LEAN):
    return Proposal("lean_1", design, (), Sums()(design), *2 * [Loss(1, 1, 1, True)])


def run_rivals(rivals, trainings, retraining, trained=None, **settings):
    return find_rivals(config(rivals, **settings), chosen(), trained or {}, trainings, retraining)
