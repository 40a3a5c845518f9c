"""Comparison: the results of comparing the designs of several runs."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd
from omegaconf import DictConfig

from bench import plots
from bench.comparison import layers
from bench.comparison.designs import (
    choose_reference,
    describe_reliability,
    designs_table,
    lacks_planted_truth,
    profile_of,
)
from bench.comparison.runs import Runs
from bench.pruning.judging import judge
from bench.pruning.judging.failures import missing_classes
from bench.pruning.retraining.protocol import metric_of

POOLED = "their test images are pooled, and each image is a test image of one fold"


@dataclass(frozen=True)
class Comparison:
    """Designs compared with one of them, the reference.

    Attributes:
        runs: The compared runs.
        metric: Name of the score.
        reference: Name of the reference.
        shown_by: Estimator and view of the curves and the summary, or None if no layers were measured.
        designs: One row for each design (`designs_table`).
        differences: Differences between layers (`layers.differences`).
        missing: Taps without a counterpart.
        notes: Sentences that qualify the tables.
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
        """Return all tables by the names of their files."""
        return {
            "comparison": self.designs.assign(metric=self.metric),
            "differences": self.differences,
            "without_counterpart": self.missing,
            "runs": self.runs.frame,
        }

    @property
    def styles(self) -> dict[str, dict[str, str]]:
        """Return colour and marker of each design, in the order of the table. Colours are those of MLflow's UI."""
        styles = plots.design_styles(self.designs["design"], self.runs.colours)
        return {design: styles[design] for design in self.designs["design"]}

    @property
    def facts(self) -> dict[str, str]:
        """Describe the data, the runs, the reference, and the estimator and view of the summary."""
        card, seeds = self.runs.card, sorted(self.runs.frame["seed"].unique())
        facts = {
            "data": f"{card['name']}, {card['task']}; {card['n']['test']} test images of {card['groups']['test']} "
            f"groups; fingerprint {card['fingerprint']}",
            **({"sweep": self.runs.sweep.words} if self.runs.sweep else {}),
            "runs": f"{len(self.runs.frame)}, seeds {', '.join(map(str, seeds))}",
            **({"folds": f"{', '.join(map(str, self.runs.folds))}; {POOLED}"} if self.runs.folds else {}),
            "reference": self.reference,
        }
        if self.shown_by:
            facts["information by"] = f"{self.shown_by[0]}, {self.shown_by[1]} view"
        return facts


def compare_runs(runs: Runs, config: DictConfig) -> Comparison:
    """Compare the designs of runs, with the settings of a config of `compare`.

    Raises:
        InputError: If no run has the reference of the config, or if the runs do not share its estimator and view.
    """
    metric, reference = metric_of(runs.card["task"]), choose_reference(runs, config.reference)
    shown_by = profile_of(runs.tables, config.by)
    pooled = layers.pool_seeds(layers.best_rows(runs.tables, runs.frame))
    table = designs_table(runs, metric, pooled, shown_by, reference, config.margin)
    differences, missing = layers.differences(pooled, reference), layers.without_counterpart(pooled, reference)
    remarks = notes(runs, reference, table, missing)
    return Comparison(runs, metric, reference, shown_by, table, differences, missing, remarks)


def notes(runs: Runs, reference: str, table: pd.DataFrame, missing: pd.DataFrame) -> list[str]:
    """Write the sentences that qualify the table.

    Args:
        runs: The compared runs.
        reference: Name of the reference.
        table: Result of `designs_table`.
        missing: Result of `layers.without_counterpart`.
    """
    remarks = []
    others = table[table["design"] != reference]
    if runs.repeats:
        remarks.append(f"{runs.repeats} runs repeat a design and seed; only the newest of them is used.")
    if table["low"].isna().any():
        remarks.append(
            "The test data have only one image or patient, so that scores have no intervals and there are no gains."
        )
    elif len(without_gain := others[others["gain"].isna()]):
        names = "; ".join(without_gain["design"])
        remarks.append(
            f"These designs have no gain, because they have fewer than 2 seeds in common with {reference}: {names}."
        )
    if len(alone := table[table["over"] == judge.IMAGES]):
        names = "; ".join(alone["design"])
        remarks.append(
            f"These designs have fewer than {judge.LEAST_SEEDS} seeds, so that the intervals of their scores and "
            f"bits are over images alone: {names}."
        )
    if missing_folds := runs.missing_folds:
        remarks.append(
            "These designs have not been trained on all folds. Their scores and gains are of the test images that all "
            f"of their seeds have in common: {'; '.join(missing_folds)}."
        )
    trained = "trainings" if "trainings" in table else "seeds"
    if len(failed := table[table["collapsed"] > 0]):
        names = "; ".join(
            f"{design} ({count} of {all_})"
            for design, count, all_ in failed[["design", "collapsed", trained]].to_numpy()
        )
        remarks.append(
            "These designs have trainings that have taught the network nothing. The tag `collapsed` of their runs has "
            f"the reason. They remain in the means: {names}."
        )
    if missed := missing_classes(runs.frame):
        remarks.append(
            f"These designs have trainings whose network never predicts a class of the validation data: {missed}."
        )
    if table["rows"].sum() == 0:
        remarks.append("No run measured its layers, so that there are no results about information.")
    else:
        remarks.append(f"Reliable numbers: {'; '.join(describe_reliability(runs.tables.values()))}.")
        if lacks_planted_truth(runs.tables.values()):
            remarks.append("For some of them no truth was planted (calibration=false): reliable is then a weaker test.")
        if "narrowest" not in table:
            remarks.append("There is no I(X;T) in this view and no bottleneck, so that no layer is the narrowest.")
    for design, rows in missing.groupby("design", sort=False):
        for where, taps in rows.groupby("missing_in", sort=False)["tap"]:
            other = reference if where == design else design
            remarks.append(f"No counterpart in {where}: {', '.join(taps)} of {other}.")
    return remarks
