"""The U-plot: information against the layer, from input to output."""

from __future__ import annotations

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings
from bench.information.tables import LayerTable


class UPlot(Diagnostic):
    """A U-plot per estimator, with the untrained band and the null; the primary estimator's is `u_plot`.

    Source: Lee & Bajić 2021, arXiv 2101.08427, figure 4; the controls are ours.
    """

    def __call__(self, table: LayerTable) -> Findings:
        figures = {}
        for name in table.estimators:
            figure = plots.u_plot(table.layers(name), title=name)
            figures["u_plot" if name == table.estimators[0] else f"u_plot.{name}"] = figure
        return Findings(figures=figures)
