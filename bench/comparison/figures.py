"""Figures: the figures of a comparison."""

from __future__ import annotations

import pandas as pd
from matplotlib.figure import Figure

from bench import plots
from bench.comparison.comparison import Comparison


def draw_figures(comparison: Comparison) -> dict[str, Figure]:
    """Draw score against cost and, if layers were measured, their profiles and differences.

    Returns:
        The figures by name.
    """
    table, runs, styles = comparison.designs, comparison.runs, comparison.styles
    about = f"{runs.card['name']} · {len(table)} designs, {runs.frame['seed'].nunique()} seeds"
    scores = plots.score_against_cost(table, comparison.metric, styles, f"{about}, 95 % intervals")
    figures = {"pareto": scores}
    if comparison.shown_by is None:
        return figures
    estimator, view = comparison.shown_by
    profiles = {
        design: pd.concat(
            runs.tables[run].profile_and_untrained(estimator, view)
            for run in runs.frame.loc[runs.frame["design"] == design, "run"]
        )
        for design in table["design"]
    }
    title = f"estimator {estimator}, {view} view"
    if any(len(frame) for frame in profiles.values()):
        heading = plots.heading(about, f"{title}, mean over the runs of a design")
        figures["u_plot"] = plots.overlaid(profiles, heading, styles)
    rows = comparison.differences.query("estimator == @estimator and view == @view")
    labels = rows["label_view"].dropna().unique()
    rows = rows[rows["label_view"].isna() | rows["label_view"].isin(labels[:1])]
    if len(rows):
        heading = plots.heading(f"{about}, minus {styles[comparison.reference]['label']}", f"{title}, 95 % intervals")
        figures["differences"] = plots.layer_differences(rows, styles, heading)
    return figures
