"""Evidence: what is known about each proposal before and after retraining, as tables of text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from bench.pruning.designs.costs import EQUAL
from bench.pruning.report.closing import SIMILAR, describe_ratio
from bench.pruning.retraining.protocol import metric_of
from bench.pruning.search.base import Base
from bench.pruning.verify import Verified


@dataclass(frozen=True)
class Evidence:
    """What is known about the proposals of a base.

    Attributes:
        base: The trained base.
        table: Result of `ranked`.
        parts: Information in each slot of the base: part, estimator, view, bits, low, high, reliable.
        peak: Information about the label in the most informative layer of the base, in bits.
        folder: Folder of the yaml files of the designs.
        latency_ms: Latency of the base on this machine.
        margin: Margin of the verdict "no worse".
        verified: Results of retraining; None before it.
        layers: Rows of a LayerTable, of one estimator and view, of each network that was measured after retraining, by
            the name of its design.
    """

    base: Base
    table: pd.DataFrame
    parts: pd.DataFrame
    peak: float
    folder: Path
    latency_ms: float
    margin: float
    verified: Verified | None = None
    layers: Mapping[str, pd.DataFrame] = field(default_factory=dict)

    @property
    def metric(self) -> str:
        """Name of the score."""
        return metric_of(self.base.data.task)

    def proposed(self, name: str) -> pd.Series:
        """Return the row of a proposal in the table of proposals."""
        return self.table.set_index("design").loc[name]

    def retrained(self, name: str) -> pd.Series | None:
        """Return the row of a design in the table of retrained designs, or None if it is not there."""
        if self.verified is None or name not in set(self.verified.designs["design"]):
            return None
        return self.verified.designs.set_index("design").loc[name]

    def gain(self, name: str) -> pd.Series | None:
        """Return the comparison of the chosen design with the base; None for other designs, which have no verdict."""
        if self.verified is None or name != self.verified.chosen.name:
            return None
        row = self.verified.comparisons.set_index("baseline").loc["base"]
        return None if row["verdict"] == "not run" else row


@dataclass(frozen=True)
class Table:
    """A table of text. The first cell of each row is its header; `marked` is the number of the row to highlight."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: int | None = None


def list_costs(name: str, evidence: Evidence) -> list[dict[str, str]]:
    """Return the costs of a proposal, and its score if it was retrained, each compared with the base."""
    row, base = evidence.proposed(name), evidence.base
    whole = base.pricing(base.design)
    faster = evidence.latency_ms / row["latency_ms"]
    speed = "about as fast" if max(faster, 1 / faster) < SIMILAR else f"{faster:.2g} times as fast"
    found = [
        {
            "name": words if kind == "params" else f"{words} an image",
            "value": _count(row[kind]),
            "compared": f"{describe_ratio(whole[kind] / row[kind], '').strip()} (base {_count(whole[kind])})",
        }
        for kind, words in EQUAL.items()
    ]
    found.append(
        {
            "name": "latency on this machine",
            "value": f"{row['latency_ms']:.3g} ms",
            "compared": f"{speed} (base {evidence.latency_ms:.3g} ms)",
        }
    )
    score, of_base = evidence.retrained(name), evidence.retrained("base")
    if score is not None and of_base is not None:
        found.append(
            {
                "name": f"{evidence.metric} on test data",
                "value": f"{score['score']:.3f}",
                "compared": f"{between(score)} (base {of_base['score']:.3f})",
            }
        )
    return found


def describe_losses(name: str, evidence: Evidence) -> Table:
    """Return the losses of a proposal: what was estimated before retraining, and what was measured after it."""
    row, metric = evidence.proposed(name), evidence.metric
    rows = []
    if pd.isna(row["information_loss"]):
        rows.append(["information loss", "unknown", "", "a part is replaced, or channels were moved after retraining"])
    else:
        allowed = "below the margin" if row["within_margin"] else "above the margin, for the target of cost"
        doubt = "" if row["reliable"] else "; not reliable"
        share = row["information_loss"] / evidence.peak
        remark = f"{share:.1%} of the most informative layer" if share > 0 else "no loss was found"
        remark += f"; {allowed}{doubt}"
        rows.append(["information loss", f"{row['information_loss']:.3f} bits", between(row), remark])
        charged = between(row, "score_low", "score_high")
        rows.append(["rank score", f"{row['rank_score']:.3f} bits", charged, "with a charge for the narrowest layer"])
    if pd.notna(row.get("predicted")):
        known = between(row, "predicted_low", "predicted_high")
        rows.append([f"predicted loss of {metric}", f"{row['predicted']:.3f}", f"{known} (90 %)", "before retraining"])
    else:
        rows.append([f"predicted loss of {metric}", "unknown", "", "needs the information loss of each part"])
    if pd.notna(row.get("failure")):
        rows.append(["predicted share of failed trainings", f"{row['failure']:.0%}", "", "before retraining"])
    return Table(("", "value", "interval", ""), rows + _measured(name, evidence))


def _measured(name: str, evidence: Evidence) -> list[list[str]]:
    """Return the rows of the losses that retraining measured."""
    score, of_base, gain = evidence.retrained(name), evidence.retrained("base"), evidence.gain(name)
    if score is None or of_base is None:
        return [[f"measured loss of {evidence.metric}", "", "", "not retrained from 2 seeds or more"]]
    test = f"measured loss of {evidence.metric}, test data"
    if gain is None:
        lost = [test, f"{of_base['score'] - score['score']:.3f}", "", "difference of the means"]
    else:
        lost = [test, f"{-gain['gain']:.3f}", between(-gain[["low", "high"]], "high", "low"), gain["verdict"]]
    validated = f"{of_base['val_score'] - score['val_score']:.3f}"
    return [
        lost,
        [f"measured loss of {evidence.metric}, validation data", validated, "", "by which the design is chosen"],
        ["failed trainings", f"{score['collapsed']:.0f} of {score['seeds']:.0f} seeds", "", ""],
    ]


def named_comparisons(evidence: Evidence) -> pd.DataFrame:
    """Return the comparisons of the chosen design, with the words for each other design as `name`."""
    assert evidence.verified is not None  # pages before retraining compare nothing
    words = {each.name: each.words for each in evidence.verified.baselines}
    table = evidence.verified.comparisons
    return table.assign(name=[words.get(name, name) for name in table["baseline"]])


def compare_chosen(evidence: Evidence) -> Table:
    """Return the comparisons of the chosen design with the base and the baseline designs."""
    assert evidence.verified is not None  # pages before retraining compare nothing
    rows = []
    for row in named_comparisons(evidence).to_dict("records"):
        score = evidence.retrained(row["baseline"])
        known = "" if score is None else f"{score['score']:.3f} ({between(score)})"
        gain = "" if pd.isna(row["gain"]) else f"{row['gain']:+.3f} ({between(row)})"
        ratios = ["" if pd.isna(row.get(f"{kind}_ratio")) else f"{row[f'{kind}_ratio']:.3g}" for kind in EQUAL]
        p_value = "" if pd.isna(row.get("p_value")) else f"{row['p_value']:.3f}"
        rows.append([row["name"], known, gain, row["verdict"], p_value, *ratios])
    chosen = evidence.verified.chosen.name
    ratio = [f"{words} / those of {chosen}" for words in EQUAL.values()]
    return Table((f"{chosen} against", evidence.metric, f"gain of {chosen}", "verdict", "p value", *ratio), rows)


def compare_designs(name: str, evidence: Evidence) -> Table:
    """Return the scores and costs of all retrained designs, with that of one design marked."""
    assert evidence.verified is not None  # pages before retraining compare nothing
    table = evidence.verified.designs
    rows = [
        [
            row.design,
            row.kind,
            f"{row.score:.3f} ({between(row._asdict())})",
            f"{row.val_score:.3f}",
            _count(row.params),
            _count(row.flops),
            f"{row.latency_ms:.3g} ms",
            f"{row.collapsed:.0f} of {row.seeds:.0f}",
        ]
        for row in table.itertuples()
    ]
    columns = ("design", "kind", f"{evidence.metric}, test", "validation", *EQUAL.values(), "latency", "failed")
    names = table["design"].tolist()
    return Table(columns, rows, names.index(name) if name in names else None)


def describe_layers(drawn: Mapping[str, pd.DataFrame]) -> Table:
    """Return channels and information of each slot, of the base and of the proposal."""
    (_, before), (name, after) = drawn.items()
    known = after["bits"].notna().any()
    rows = []
    for one, other in zip(before.to_dict("records"), after.to_dict("records"), strict=True):
        row = [one["slot"], str(one["whole"]), str(other["channels"] or "removed"), _bits(one)]
        rows.append([*row, *([_bits(other)] if known else [])])
    measured = ["base, bits", *([f"{name}, bits"] if known else [])]
    return Table(("layer", "base, channels", f"{name}, channels", *measured), rows)


def between(row: Mapping, low: str = "low", high: str = "high") -> str:
    """Format an interval.

    Examples:
        >>> between({"low": -0.0021, "high": 0.0104})
        '-0.002 to 0.010'
    """
    return "no interval" if pd.isna(row[low]) else f"{row[low]:.3f} to {row[high]:.3f}"


def _bits(slot: Mapping) -> str:
    """Format the information in a slot."""
    if pd.isna(slot["bits"]):
        return "–"
    return f"{slot['bits']:.3f} ({between(slot)}){'' if slot['reliable'] else ', not reliable'}"


def _count(number: float) -> str:
    """Format a cost.

    Examples:
        >>> _count(486409), _count(5_348_000_000)
        ('486,409', '5,348.0 M')
    """
    return f"{number:,.0f}" if number < 1e6 else f"{number / 1e6:,.1f} M"
