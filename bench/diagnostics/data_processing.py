"""Data-processing inequalities: the layers at which information increases along a chain."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from torch.nn import Module

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings, figures_by_estimator
from bench.errors import EstimationError
from bench.information.reductions import Distances
from bench.information.tables import I_XT, LAYERS, LayerTable, Moment, Weights
from bench.information.variables import Variable
from bench.layers.capture import Captured
from bench.layers.probe import INPUT, Probe
from bench.layers.selection import named_rng, taps_of

I_CUT = "I(X;cut)"
I_ERROR = "I(δK;δT)"
COLUMNS = [
    "estimator", "chain", "tap", "bits", "low", "high", "null_mean", "excess", "saturation", "reliable",
    "rise", "violation", "rise_excess", "violation_excess",
]  # fmt: skip


class DataProcessing(Diagnostic):
    """Tests three orderings of information on the best checkpoint, with the estimates of every estimator.

    True information obeys the orderings. Estimates need not: kernels and noise differ between layers, and errors depend
    on activations too. The chains are:

    - `forward`: I(X;T) along the layers. In a U-Net the chain is the encoder to the bottleneck, because a tap of the
      decoder also receives the skips.
    - `cut`: I(X;cut) from the bottleneck on, in networks with skips. A cut set is a tap together with the skips that
      are not yet merged.
    - `error`: I(δK;δT) of the errors of back-propagation at the output and at each tap, from the output backward. In a
      U-Net the chain ends at the bottleneck. A violation marks a layer that a gradient by-pass might help.

    `rise` is an estimate minus the estimate before it in the chain. It should not be above 0. A violation is an
    estimate whose interval lies above the interval of at least one estimate before it. `rise_excess` and
    `violation_excess` are the same for the excess over the null.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537. By-passes: Shen et al. 2016, arXiv 1512.05830. Cut sets, nulls and
        intervals are ours.
    """

    logged = tuple(
        f"summary/dpi_violations.{chain}{of}" for chain in ("forward", "cut", "error") for of in ("", "_excess")
    )

    def measure(self, network: Module, probe: Probe, moment: Moment) -> dict[str, Iterable[dict]]:
        if moment.weights == Weights.EPOCH or "image" not in probe.views:
            return {}
        rows = [*_estimate_cuts(network, probe), *_estimate_errors(network, probe)]
        return {LAYERS: [moment.row() | row for row in rows]}

    def __call__(self, table: LayerTable) -> Findings:
        best = table.select(weights=Weights.BEST, view="image")
        chains = [
            _add_rises(chain).assign(estimator=name, chain=kind)
            for name in table.estimators
            for kind, chain in _split_chains(best[best["estimator"] == name]).items()
            if len(chain) > 1
        ]
        if not chains:
            return Findings()
        found = pd.concat(chains, ignore_index=True)[COLUMNS]
        metrics = {}
        for kind, chain in found[found["estimator"] == found["estimator"].iloc[0]].groupby("chain"):
            metrics[f"summary/dpi_violations.{kind}"] = float(chain["violation"].sum())
            if chain["excess"].notna().all():
                metrics[f"summary/dpi_violations.{kind}_excess"] = float(chain["violation_excess"].sum())
        figures = figures_by_estimator("data_processing", found, plots.chains, table.about)
        return Findings(metrics, {"data_processing": found}, figures)


def _estimate_cuts(network: Module, probe: Probe) -> Iterator[dict]:
    """Yield I(X;cut) for the last tap of the bottleneck and each tap after it, with the skips that are merged later."""
    skips = [tap for tap in taps_of(network) if tap.role == "skip"]
    bottleneck = max((tap.order for tap in probe.taps if tap.role == "bottleneck"), default=None)
    if not skips or bottleneck is None:
        return
    input_ = Captured(INPUT, probe.samples.images.shape[1], probe.image_view.input)
    branches = list(probe.image_view.capture(network, skips, (Distances(),)))
    ends = [tap for tap in probe.taps if tap.order >= bottleneck and tap.role != "skip"]
    for end in probe.image_view.capture(network, ends, (Distances(),)):
        later = [branch for branch in branches if branch.tap.order > end.tap.order]
        yield from _estimate_all(probe, I_CUT, [end, *later], input_)


def _estimate_errors(network: Module, probe: Probe) -> Iterator[dict]:
    """Yield I(δK;δT) of every tap before the output."""
    output = [tap for tap in taps_of(network) if tap.role == "output"][-1:]
    (at_output,) = probe.image_view.capture(network, output, (Distances(),), probe.loss)
    before = [tap for tap in probe.taps if tap.role not in ("output", "skip")]
    for captured in probe.image_view.capture(network, before, (Distances(),), probe.loss):
        yield from _estimate_all(probe, I_ERROR, [captured], at_output)


def _estimate_all(probe: Probe, quantity: str, parts: Sequence[Captured], target: Captured) -> Iterator[dict]:
    """Yield a row of each estimator for several taps together. The row has the name of the first tap."""
    tap, channels = parts[0].tap, parts[0].channels
    for name, estimator in probe.estimators.items():
        row = probe.row(tap, channels, quantity, "image", None, name)
        rng = named_rng(probe.seed, tap.name, name, quantity)
        try:
            joined = Variable.joined([part.present for part in parts])
            yield row | estimator.estimate(joined, target.present, rng=rng).row()
        except EstimationError as error:
            yield row | {"reason": str(error)}


def _split_chains(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Return the rows of each chain in its order. With cut sets, every chain ends or begins at the bottleneck."""
    of = {quantity: rows[rows["quantity"] == quantity] for quantity in (I_XT, I_CUT, I_ERROR)}
    forward, cut, errors = (each[each["bits"].notna() & (each["role"] != "input")] for each in of.values())
    if len(of[I_CUT]):
        forward = forward[forward["role"].isin(("encoder", "bottleneck"))]
        errors = errors[errors["role"] != "encoder"]
    return {"forward": forward, "cut": cut, "error": errors.iloc[::-1]}


def _add_rises(chain: pd.DataFrame) -> pd.DataFrame:
    """Add to each estimate of a chain its rise over the one before, and whether it violates the order."""
    low, high = (chain[side] - chain["null_mean"] for side in ("low", "high"))
    return chain.assign(
        rise=chain["bits"].diff(),
        violation=chain["low"] > chain["high"].cummin().shift(),
        rise_excess=chain["excess"].diff(),
        violation_excess=low > high.cummin().shift(),
    )
