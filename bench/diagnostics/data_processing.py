"""Data-processing inequalities: does information fall along each chain, and where does it not?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd
from torch.nn import Module

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings, of_each_estimator
from bench.errors import EstimationError
from bench.information.reductions import Distances
from bench.information.tables import I_XT, LAYERS, LayerTable, Moment, Weights
from bench.information.variables import Variable
from bench.layers.capture import Captured
from bench.layers.probe import INPUT, Probe
from bench.layers.selection import named_rng

I_CUT = "I(X;cut)"
I_ERROR = "I(δK;δT)"
COLUMNS = [
    "estimator", "chain", "tap", "bits", "low", "high", "null_mean", "excess", "saturation", "reliable",
    "rise", "violation", "rise_excess", "violation_excess",
]  # fmt: skip


class DataProcessing(Diagnostic):
    """Three orderings that true information would obey, read of every estimator's numbers on the best checkpoint.

    forward: I(X;T) along the layers; in a U-Net along the encoder to the bottleneck, since a decoder's tap also sees
    what skips carry. cut: from there on over cut sets, each a tap together with the skips that are not yet merged.
    error: I(δK;δT) of the errors that back-propagation brings to the output and to each tap, from the output backward;
    in a U-Net to the bottleneck. They are no theorems about estimates: kernels and noise differ between layers, and
    errors depend on activations too. `rise` is a number less the one before it in its chain, which should not be above
    0. A violation is a number above any before it, so far that their intervals separate. `_excess` is the same of
    excess over the null. A violation of the error chain marks a layer that a gradient by-pass might help.

    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537; by-passes after Shen et al. 2016, arXiv 1512.05830; cut sets, nulls
    and intervals are ours.
    """

    logged = tuple(
        f"summary/dpi_violations.{chain}{of}" for chain in ("forward", "cut", "error") for of in ("", "_excess")
    )

    def measure(self, network: Module, probe: Probe, moment: Moment) -> dict[str, Iterable[dict]]:
        if moment.weights == Weights.EPOCH or "image" not in probe.views:
            return {}
        rows = [*_cuts(network, probe), *_errors(network, probe)]
        return {LAYERS: [moment.row() | row for row in rows]}

    def __call__(self, table: LayerTable) -> Findings:
        best = table.select(weights=Weights.BEST, view="image")
        chains = [
            _rises(chain).assign(estimator=name, chain=kind)
            for name in table.estimators
            for kind, chain in _chains(best[best["estimator"] == name]).items()
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
        figures = of_each_estimator("data_processing", found, plots.chains)
        return Findings(metrics, {"data_processing": found}, figures)


def _cuts(network: Module, probe: Probe) -> Iterator[dict]:
    """I(X;cut) for the bottleneck's last tap and every tap after it, each with the skips that are merged later."""
    skips = [tap for tap in network.taps() if tap.role == "skip"]
    bottleneck = max((tap.order for tap in probe.taps if tap.role == "bottleneck"), default=None)
    if not skips or bottleneck is None:
        return
    input_ = Captured(INPUT, probe.samples.images.shape[1], probe.views["image"].input)
    branches = list(probe.views["image"].capture(network, skips, (Distances(),)))
    ends = [tap for tap in probe.taps if tap.order >= bottleneck and tap.role != "skip"]
    for end in probe.views["image"].capture(network, ends, (Distances(),)):
        later = [branch for branch in branches if branch.tap.order > end.tap.order]
        yield from _answers(probe, I_CUT, [end, *later], input_)


def _errors(network: Module, probe: Probe) -> Iterator[dict]:
    """I(δK;δT) of every tap before the output."""
    output = [tap for tap in network.taps() if tap.role == "output"][-1:]
    (at_output,) = probe.views["image"].capture(network, output, (Distances(),), probe.loss)
    before = [tap for tap in probe.taps if tap.role not in ("output", "skip")]
    for captured in probe.views["image"].capture(network, before, (Distances(),), probe.loss):
        yield from _answers(probe, I_ERROR, [captured], at_output)


def _answers(probe: Probe, quantity: str, parts: Sequence[Captured], target: Captured) -> Iterator[dict]:
    """What each estimator says of several taps together, the first of which the row is named after."""
    tap, channels = parts[0].tap, parts[0].channels
    for name, estimator in probe.estimators.items():
        row = probe.row(tap, channels, quantity, "image", None, name)
        rng = named_rng(probe.seed, tap.name, name, quantity)
        try:
            joined = Variable.joined([part.present for part in parts])
            yield row | estimator.estimate(joined, target.present, rng=rng).row()
        except EstimationError as error:
            yield row | {"reason": str(error)}


def _chains(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """The rows of each chain in its order; with cut sets, those of a chain end or begin at the bottleneck."""
    of = {quantity: rows[rows["quantity"] == quantity] for quantity in (I_XT, I_CUT, I_ERROR)}
    forward, cut, errors = (each[each["bits"].notna() & (each["role"] != "input")] for each in of.values())
    if len(of[I_CUT]):
        forward = forward[forward["role"].isin(("encoder", "bottleneck"))]
        errors = errors[errors["role"] != "encoder"]
    return {"forward": forward, "cut": cut, "error": errors.iloc[::-1]}


def _rises(chain: pd.DataFrame) -> pd.DataFrame:
    """A chain's numbers, each one's rise over the one before, and whether it violates the order."""
    low, high = (chain[side] - chain["null_mean"] for side in ("low", "high"))
    return chain.assign(
        rise=chain["bits"].diff(),
        violation=chain["low"] > chain["high"].cummin().shift(),
        rise_excess=chain["excess"].diff(),
        violation_excess=low > high.cummin().shift(),
    )
