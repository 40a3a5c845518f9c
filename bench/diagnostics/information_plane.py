"""The information plane of each tap, and its two axes against epochs."""

from __future__ import annotations

import pandas as pd

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings
from bench.diagnostics.phases import phases
from bench.information.tables import I_TY, I_XT, LayerTable


class InformationPlane(Diagnostic):
    """Draws I(T;Y) against I(X;T) per tap over training, and both against epochs.

    The figures show the primary estimator and label view. If the estimator can't estimate one of the two, such as a
    probe I(X;T), only the other is drawn, against epochs. The table `phases` holds the slopes of the curves of every
    estimator before and after their peaks.

    References:
        Tishby & Zaslavsky 2015, arXiv 1503.02406. Per tap of a U-Net: Lee & Bajić 2021, arXiv 2101.08427.
    """

    def __call__(self, table: LayerTable) -> Findings:
        rows = table.primary()
        rows = rows[rows["bits"].notna()]
        title = plots.heading(table.about, f"estimator {table.estimators[0]}, {table.views[0]} view")
        figures = {}
        if {I_XT, I_TY} <= set(rows["quantity"]):
            figures["information_plane"] = plots.information_plane(rows, title, axes_of=(I_XT, I_TY))
        if len(rows):
            figures["information_epochs"] = plots.information_over_epochs(rows, title)
        curves = pd.concat([table.primary(name) for name in table.estimators])
        return Findings(tables=phases(curves), figures=figures)
