"""Information of pairs of feature maps about X and Y: rows of the LayerTable, and a row for each pair."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
from torch.nn import Module

from bench.datasets.progress import progress
from bench.diagnostics.mini_batches import MiniBatches, Partners, in_mini_batches, taps_with_maps, targets
from bench.errors import EstimationError
from bench.estimators.pairs import READINGS, Maps, over_pairs
from bench.information.statistics import standard_error
from bench.layers.probe import Probe
from bench.layers.selection import named_rng


@dataclass(frozen=True)
class PairInformation:
    """Applies every matrix-based estimator to the pairs of maps of each layer, in mini-batches and with nulls.

    Attributes:
        mini_batches: Number of mini-batches, at most.
        permutations: Number of permutations of each null.
    """

    mini_batches: int
    permutations: int

    def of(self, network: Module, probe: Probe) -> Iterator[tuple[dict, list[dict]]]:
        """Yield rows of the LayerTable, each with a list of rows of pairs. A missing estimate has its reason."""
        taps = taps_with_maps(network, probe)
        for tap, channels in progress(taps.items(), "measure pairs of maps", "layers", len(taps)):
            for name, batches in in_mini_batches(network, probe, tap, self.mini_batches, least=2).items():
                pairs_of = cache(_Pairs)
                for about, (label, target) in targets(probe).items():
                    try:
                        rng = named_rng(probe.seed, "pairs", about)
                        partners = Partners(batches(), target, self.permutations, rng)
                        answers = pairs_of(batches()).answers(partners)
                    except EstimationError as error:
                        answers = {quantity: ({"reason": str(error)}, []) for quantity in READINGS}
                    for quantity, (values, details) in answers.items():
                        row = probe.row(tap, channels, quantity.format(about), "image", label, name)
                        where = {key: row[key] for key in ("estimator", "tap", "quantity")}
                        yield row | values, [where | detail for detail in details]


class _Pairs:
    """Entropies of the maps of a layer and of their pairs in every mini-batch, computed once for all targets."""

    def __init__(self, batches: MiniBatches):
        alpha = batches.estimator.alpha
        self.batches = batches
        self.maps = [Maps(*of_batch, alpha) for of_batch in zip(batches.squared, batches.widths, strict=True)]

    def answers(self, partners: Partners) -> dict[str, tuple[dict, list[dict]]]:
        """Return the columns of the LayerTable and a row for each pair, for each quantity."""
        started = time.perf_counter()
        informations = [
            [maps.information(partners.side, codes) for codes in of_batch]
            for maps, of_batch in zip(self.maps, partners.codes.swapaxes(0, 1), strict=True)
        ]  # (B, 1 + permutations), the true partners first
        ceiling = float(np.mean([over_pairs(row[0].ceiling) for row in informations]))
        answers, joint = {}, None
        for quantity, reading in READINGS.items():
            # (B, 1 + permutations, C, C)
            matrices = np.array([[reading(each) for each in row] for row in informations])
            means = over_pairs(matrices)
            estimate = self.batches.estimate(means[:, 0], means[:, 1:].mean(axis=0), ceiling)
            joint = joint or estimate
            rests_on = {"saturation": joint.saturation, "reliable": None if joint.reliable else False}
            seconds = {"seconds": time.perf_counter() - started, "target_dim": partners.dim}
            answers[quantity] = (estimate.row() | rests_on | seconds, self._details(matrices))
        return answers

    def _details(self, matrices: np.ndarray) -> list[dict]:
        """Return a row for each pair: bits, their spread between mini-batches, and the mean and spread of the null."""
        first, second = np.triu_indices(len(self.batches.names), 1)
        of_pairs = matrices[..., first, second]  # (B, 1 + permutations, pairs)
        nulls = of_pairs[:, 1:].mean(axis=0)
        columns = {
            "map": self.batches.names[first],
            "other": self.batches.names[second],
            "bits": of_pairs[:, 0].mean(axis=0),
            "spread": standard_error(of_pairs[:, 0]),
            "null_mean": nulls.mean(axis=0),
            "null_spread": nulls.std(axis=0, ddof=1),
        }
        return pd.DataFrame(columns).to_dict("records")
