"""Plots: figures from tables, independent of models."""

from bench.plots.calibration import calibration
from bench.plots.chains import chains
from bench.plots.comparisons import layer_differences, score_against_cost
from bench.plots.designs import COSTS, pareto, predicted_loss, training_curves
from bench.plots.discarding import discarding, discarding_maps, over_epochs
from bench.plots.filter_counts import filter_count
from bench.plots.pairs import pairs
from bench.plots.planes import information_over_epochs, information_plane
from bench.plots.u_plots import overlaid, u_plot

__all__ = [
    "COSTS",
    "calibration",
    "chains",
    "discarding",
    "discarding_maps",
    "filter_count",
    "information_over_epochs",
    "information_plane",
    "layer_differences",
    "over_epochs",
    "overlaid",
    "pairs",
    "pareto",
    "predicted_loss",
    "score_against_cost",
    "training_curves",
    "u_plot",
]
