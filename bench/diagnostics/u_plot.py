"""The U-plot: information against the layer, from input to output."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings
from bench.errors import InputError
from bench.information.tables import LayerTable

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_u(table: LayerTable, estimator: str | None = None, *, epochs: bool = False) -> Figure:
    """Draw the U-plot of a LayerTable: information against the layer, with a panel for each quantity and view.

    The curve is the best checkpoint, or the network that was measured, with its 95 % interval.

    Args:
        table: The result of `bench.measure`, or `LayerTable.from_csv(path)` for the layers.csv of a run.
        estimator: One of `table.estimators`, by default the first.
        epochs: Also draw a curve for each epoch that was measured in training.

    Returns:
        A matplotlib Figure. Hollow points are not reliable. The grey band is the range of the untrained references, the
        dotted line is the null, and the dashed line is the ceiling, if it is near.

    Raises:
        InputError: The table has no rows, or no rows of this estimator.

    Examples:
        >>> plot_u(LayerTable())
        Traceback (most recent call last):
        bench.errors.InputError: table: got no rows, wanted the rows of bench.measure or of a run's layers.csv
    """
    if not table.rows:
        raise InputError("table: got no rows, wanted the rows of bench.measure or of a run's layers.csv")
    name = table.estimators[0] if estimator is None else estimator
    if name not in table.estimators:
        raise InputError(f"estimator: got {name!r}, wanted an estimator of the table: {', '.join(table.estimators)}")
    return plots.u_plot(table.layers(name), plots.heading(table.about, f"estimator {name}"), epochs=epochs)


class UPlot(Diagnostic):
    """Draws a U-plot of each estimator, with the band of untrained references and the null.

    The figure of the primary estimator is `u_plot`, and the others are `u_plot.ESTIMATOR`.

    Args:
        epochs: Also draw a curve for each measured epoch.

    References:
        Lee & Bajić 2021, arXiv 2101.08427, figure 4. The untrained references and the null are ours.
    """

    def __init__(self, epochs: bool = False):
        self.epochs = epochs

    def __call__(self, table: LayerTable) -> Findings:
        figures = {}
        for name in table.estimators:
            figures["u_plot" if name == table.estimators[0] else f"u_plot.{name}"] = plot_u(
                table, name, epochs=self.epochs
            )
        return Findings(figures=figures)
