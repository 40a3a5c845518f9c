"""Figures from tables; knows nothing of models."""

from bench.plots.calibration import calibration
from bench.plots.planes import information_over_epochs, information_plane
from bench.plots.u_plots import overlaid, u_plot

__all__ = ["calibration", "information_over_epochs", "information_plane", "overlaid", "u_plot"]
