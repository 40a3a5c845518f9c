"""Comparison: all that is said of the designs of some runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig

from bench.comparison import layers
from bench.comparison.designs import believed, costliest, designs_table, profile_of, unplanted
from bench.comparison.runs import Runs
from bench.pruning.retraining.protocol import metric_of


@dataclass(frozen=True)
class Comparison:
    """Designs against one of them, the reference.

    metric: the score's name. shown_by: estimator and view of curves and summary, None where no layers were measured.
    designs: a row for each (`designs_table`). differences: of layers (`layers.differences`). missing: taps without a
    counterpart. notes: what must be said beside the tables.
    """

    runs: Runs
    metric: str
    reference: str
    shown_by: tuple[str, str] | None
    designs: pd.DataFrame
    differences: pd.DataFrame
    missing: pd.DataFrame
    notes: list[str]

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        return {
            "comparison": self.designs.assign(metric=self.metric),
            "differences": self.differences,
            "without_counterpart": self.missing,
            "runs": self.runs.frame,
        }

    @property
    def facts(self) -> dict[str, str]:
        """What was compared, in words."""
        card, seeds = self.runs.card, sorted(self.runs.frame["seed"].unique())
        said = {
            "data": f"{card['name']}, {card['task']}; {card['n']['test']} test images of {card['groups']['test']} "
            f"groups; fingerprint {card['fingerprint']}",
            "runs": f"{len(self.runs.frame)}, seeds {', '.join(map(str, seeds))}",
            "reference": self.reference,
        }
        return said | ({"information by": f"{self.shown_by[0]}, {self.shown_by[1]} view"} if self.shown_by else {})


def compared(runs: Runs, config: DictConfig) -> Comparison:
    """The comparison that a config asks for; InputError for a reference, or an estimator and view, that runs lack."""
    metric, reference = metric_of(runs.card["task"]), costliest(runs, config.reference)
    shown_by = profile_of(runs.tables, config.by)
    pooled = layers.pooled(layers.best_rows(runs.tables, runs.frame))
    table = designs_table(runs, metric, pooled, shown_by, reference, config.margin)
    differences, missing = layers.differences(pooled, reference), layers.without_counterpart(pooled, reference)
    said = notes(runs, reference, table, missing)
    return Comparison(runs, metric, reference, shown_by, table, differences, missing, said)


def notes(runs: Runs, reference: str, table: pd.DataFrame, missing: pd.DataFrame) -> list[str]:
    """What a reader must know beside the table, each thing once."""
    said = []
    others = table[table["design"] != reference]
    if runs.repeats:
        said.append(f"{runs.repeats} runs repeat a design and seed; the newest stands for them.")
    if table["low"].isna().any():
        said.append("The test data are of one image or patient: there are no intervals of the score and no gains.")
    elif len(unsaid := others[others["gain"].isna()]):
        names = "; ".join(unsaid["design"])
        said.append(
            f"No gain: fewer than 2 seeds in common with {reference}, without which there is no spread: {names}."
        )
    if len(alone := table[table["over"] == layers.IMAGES]):
        said.append(f"Of one seed, so that intervals are over images alone: {'; '.join(alone['design'])}.")
    if table["rows"].sum() == 0:
        said.append("No run measured its layers: there is nothing to say of information.")
    else:
        said.append(f"Reliable by {'; by '.join(believed(runs.tables.values()))}.")
        if unplanted(runs.tables.values()):
            said.append("Of some of them no truth was planted (calibration=false), so that reliable says less.")
        if "narrowest" not in table:
            said.append("Without I(X;T) in this view no layer is the narrowest.")
    for design, rows in missing.groupby("design", sort=False):
        for where, taps in rows.groupby("missing_in", sort=False)["tap"]:
            other = reference if where == design else design
            said.append(f"No counterpart in {where}: {', '.join(taps)} of {other}.")
    return said
