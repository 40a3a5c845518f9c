"""How many filters are enough: what the first maps of each layer tell of X and Y, and where more add nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from torch.nn import Module

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings, of_each_estimator, renyis
from bench.diagnostics.mini_batches import MiniBatches, Partners, in_mini_batches, taps_with_maps, targets
from bench.diagnostics.subsets import Curve, InMiniBatches, of_all_samples
from bench.errors import EstimationError
from bench.estimators.base import at_least
from bench.information.estimate import SATURATED
from bench.information.statistics import percentile_interval
from bench.information.tables import LayerTable, Moment, Weights
from bench.information.variables import Variable
from bench.layers.maps import averaged
from bench.layers.probe import Probe
from bench.layers.selection import named_rng
from models import Tap

CURVES = "filters"
KEYS = ["estimator", "tap", "channels", "about", "order"]
ENOUGH = ["enough", "enough_low", "enough_high", "enough_of_bits", "enough_of_null", "why_none"]


class FilterCount(Diagnostic):
    """Information of a layer's first k feature maps together against k, and the k that is enough.

    Asked of the best checkpoint, of maps in random and in greedy order: matrix-based estimators about X and Y, in
    mini-batches of which half choose the greedy order and the others read it; every other estimator about Y, of maps
    averaged over at most 4 cells a side. `enough` maps are the fewest whose excess over the null reaches a share of the
    most that any number of them has, with a 95 % interval; none where the null has 95 % of all maps' bits, or they are
    not above it. Beside it stand where the bits alone and where their null's mean reach that share: where these agree,
    it is the estimator that saturates, not the layer. `recommended` is the upper end of what is enough about Y in
    random order, since filters that are trained anew are no selection of the old ones.

    mini_batches: at most. orders: random ones, of mini-batches. permutations: of each null. share: between 0 and 1.
    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537, who left the rule open; rule and safeguards are ours.
    """

    matrix_based = True
    logged = ("filters/*",)

    def __init__(self, mini_batches: int = 8, orders: int = 8, permutations: int = 5, share: float = 0.95):
        self.mini_batches = at_least("mini_batches", mini_batches, 4)
        self.orders = at_least("orders", orders, 1)
        self.permutations = at_least("permutations", permutations, 2)
        if not 0 < share < 1:
            raise ValueError(f"share: got {share!r}, wanted a number between 0 and 1, such as 0.95")
        self.share = share

    def measure(self, network: Module, probe: Probe, moment: Moment) -> dict[str, list[dict]]:
        if moment.weights != Weights.BEST:
            return {}
        rows = []
        for tap, channels in taps_with_maps(network, probe).items():
            for (name, about), curves in self._asked(network, probe, tap).items():
                where = {"estimator": name, "tap": tap.name, "channels": channels, "about": about}
                try:
                    rows += [where | row for curve in curves() for row in _rows(curve, self.share)]
                except EstimationError as error:
                    rows.append(where | {"reason": str(error)})
        return {CURVES: rows}

    def _asked(self, network: Module, probe: Probe, tap: Tap) -> dict[tuple[str, str], Callable[[], Iterator[Curve]]]:
        """What gives the curves about a layer, of each estimator and target; called, it may raise EstimationError."""
        asked = {}
        for name, batches in in_mini_batches(network, probe, tap, self.mini_batches, least=1).items():
            for about, (_, target) in targets(probe).items():
                rng = named_rng(probe.seed, "filters", tap.name, name, about)
                asked[name, about] = partial(self._in_mini_batches, batches, target, rng)
        columns = averaged(network, probe.samples, [tap])[tap.name]
        for name in probe.estimators.keys() - renyis(probe).keys():
            rng = named_rng(probe.seed, "filters", tap.name, name)
            label = targets(probe)["Y"][1]
            asked[name, "Y"] = partial(of_all_samples, probe.estimators[name], columns, label, self.permutations, rng)
        return {key: asked[key] for key in sorted(asked, key=lambda key: list(probe.estimators).index(key[0]))}

    def _in_mini_batches(
        self, batches: Callable[[], MiniBatches], target: Variable, rng: np.random.Generator
    ) -> Iterator[Curve]:
        asked = InMiniBatches(batches(), Partners(batches(), target, self.permutations, rng))
        return asked.curves(self.orders, rng)

    def __call__(self, table: LayerTable) -> Findings:
        curves = table.detail(CURVES)
        if curves.empty:
            return Findings()
        found = curves.reindex(columns=[*KEYS, *ENOUGH, "reason"]).drop_duplicates(KEYS, ignore_index=True)
        enough = found.query("about == 'Y' and order == 'random'").set_index(["estimator", "tap"])["enough_high"]
        found["recommended"] = [enough.get((row.estimator, row.tap), np.nan) for row in found.itertuples()]
        first = found[found["estimator"] == found["estimator"].iloc[0]].drop_duplicates("tap")
        metrics = {f"filters/{row.tap}": float(row.recommended) for row in first.itertuples() if row.recommended > 0}
        drawn = curves.dropna(subset=["bits"]) if "bits" in curves else curves[:0]
        figures = of_each_estimator("filter_count", drawn, plots.filter_count)
        return Findings(metrics, {"filter_count": found}, figures)


def _rows(curve: Curve, share: float) -> Iterator[dict]:
    """A row for each number of maps, and in each what is enough by the whole curve."""
    enough = _enough(curve, share)
    for count, estimate in zip(curve.counts.tolist(), curve.estimates, strict=True):
        yield {"order": curve.order, "count": count} | estimate.row() | enough


def _enough(curve: Curve, share: float) -> dict:
    """How many maps are enough by the excess, by the bits and by the null, or why that can't be said."""
    bits, null = (np.array(each) for each in zip(*((e.bits, e.null.mean) for e in curve.estimates), strict=True))
    every = curve.estimates[-1]

    def reached(values: np.ndarray) -> int:
        return int(curve.counts[np.argmax(values >= share * values.max())])

    found = dict.fromkeys(ENOUGH, np.nan) | {
        "enough_of_bits": reached(bits),
        "enough_of_null": reached(null),
        "why_none": None,
    }
    if not every.significant or null[-1] >= SATURATED * bits[-1]:
        return found | {"why_none": f"of all maps' {bits[-1]:.3f} bits {null[-1]:.3f} are their null's"}
    draws = [reached(draw) for draw in curve.draws]
    low, high = percentile_interval(draws, method="nearest")
    return found | {"enough": reached(bits - null), "enough_low": int(low), "enough_high": int(high)}
