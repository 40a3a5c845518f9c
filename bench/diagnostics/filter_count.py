"""Filter count: the information of the first maps of each layer about X and Y, and the number that is enough."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from torch.nn import Module

from bench import plots
from bench.datasets.progress import progress
from bench.diagnostics.base import Diagnostic, Findings, figures_by_estimator, renyi_estimators
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
    """Estimates the information of the first k feature maps of a layer together, and the k that is enough.

    The estimates are for the best checkpoint, with maps in random and in greedy order. Matrix-based estimators estimate
    information about X and Y in mini-batches. Half of the mini-batches choose the greedy order, and the other half
    evaluate it. Every other estimator estimates information about Y, from maps averaged over at most 4 cells per side.

    `enough` is the smallest number of maps whose excess over the null reaches a share of the largest excess of any
    number of maps, with a 95 % interval. It is undefined if the null has 95 % of the bits of all maps, or if these bits
    are not above the null. `enough_of_bits` and `enough_of_null` apply the same rule to the bits and to the mean of the
    null. If they agree, the estimator saturates and not the layer. `recommended` is the upper end of `enough` about Y
    in random order, because retrained filters are not a selection of the old ones.

    Args:
        mini_batches: Number of mini-batches, at most.
        orders: Number of random orders for estimates in mini-batches.
        permutations: Number of permutations of each null.
        share: Share of the largest excess that is enough, between 0 and 1.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537. The paper leaves the rule open. The rule and the safeguards are ours.
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
        taps = taps_with_maps(network, probe)
        for tap, channels in progress(taps.items(), "count filters", "layers", len(taps)):
            for (name, about), curves in self._curve_functions(network, probe, tap).items():
                where = {"estimator": name, "tap": tap.name, "channels": channels, "about": about}
                try:
                    rows += [where | row for curve in curves() for row in _rows(curve, self.share)]
                except EstimationError as error:
                    rows.append(where | {"reason": str(error)})
        return {CURVES: rows}

    def _curve_functions(
        self, network: Module, probe: Probe, tap: Tap
    ) -> dict[tuple[str, str], Callable[[], Iterator[Curve]]]:
        """Return functions that estimate the curves of a layer, by (estimator, target). A call may raise an error."""
        functions = {}
        for name, batches in in_mini_batches(network, probe, tap, self.mini_batches, least=1).items():
            for about, (_, target) in targets(probe).items():
                rng = named_rng(probe.seed, "filters", tap.name, name, about)
                functions[name, about] = partial(self._in_mini_batches, batches, target, rng)
        columns = averaged(network, probe.samples, [tap])[tap.name]
        for name in probe.estimators.keys() - renyi_estimators(probe).keys():
            rng = named_rng(probe.seed, "filters", tap.name, name)
            label = targets(probe)["Y"][1]
            functions[name, "Y"] = partial(
                of_all_samples, probe.estimators[name], columns, label, self.permutations, rng
            )
        return {key: functions[key] for key in sorted(functions, key=lambda key: list(probe.estimators).index(key[0]))}

    def _in_mini_batches(
        self, batches: Callable[[], MiniBatches], target: Variable, rng: np.random.Generator
    ) -> Iterator[Curve]:
        subsets = InMiniBatches(batches(), Partners(batches(), target, self.permutations, rng))
        return subsets.curves(self.orders, rng)

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
        figures = figures_by_estimator("filter_count", drawn, plots.filter_count, table.about)
        return Findings(metrics, {"filter_count": found}, figures)


def _rows(curve: Curve, share: float) -> Iterator[dict]:
    """Yield a row for each number of maps. Each row also has the numbers that are enough by the whole curve."""
    enough = _enough(curve, share)
    for count, estimate in zip(curve.counts.tolist(), curve.estimates, strict=True):
        yield {"order": curve.order, "count": count} | estimate.row() | enough


def _enough(curve: Curve, share: float) -> dict:
    """Return the numbers of maps that are enough by the excess, the bits and the null, or why there is none."""
    bits = np.array([estimate.bits for estimate in curve.estimates])
    null = np.array([estimate.null.mean for estimate in curve.estimates if estimate.null])  # each has one
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
    draws = np.array([reached(draw) for draw in curve.draws])
    low, high = percentile_interval(draws, method="nearest")
    return found | {"enough": reached(bits - null), "enough_low": int(low), "enough_high": int(high)}
