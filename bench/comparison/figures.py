"""Figures: the figures of a comparison."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench import plots
from bench.comparison.comparison import Comparison
from bench.sweeps.summary import profile


def draw_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw score against cost and, if layers were measured, their profiles and differences.

    Returns:
        The figures by name.
    """
    table, runs = comparison.designs, comparison.runs
    figures = {"pareto": plots.score_against_cost(table, comparison.metric, comparison.reference)}
    if comparison.shown_by is None:
        return figures
    estimator, view = comparison.shown_by
    profiles = {
        design: pd.concat(
            profile(runs.tables[run], estimator, view) for run in runs.frame.loc[runs.frame["design"] == design, "run"]
        )
        for design in table["design"]
    }
    title = f"{estimator}, {view} view"
    if any(len(frame) for frame in profiles.values()):
        figures["u_plot"] = plots.overlaid(profiles, f"{title}, mean over the runs of a design")
    rows = comparison.differences.query("estimator == @estimator and view == @view")
    labels = rows["label_view"].dropna().unique()
    rows = rows[rows["label_view"].isna() | rows["label_view"].isin(labels[:1])]
    if len(rows):
        heading = f"{title}: difference from {comparison.reference}"
        figures["differences"] = plots.layer_differences(rows, list(table["design"]), heading)
    return figures
