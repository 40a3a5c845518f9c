"""Diagnostics, one file each; each reads the LayerTable."""

from bench.diagnostics.base import Diagnostic, Findings
from bench.diagnostics.bottleneck import Bottleneck
from bench.diagnostics.information_plane import InformationPlane
from bench.diagnostics.u_plot import UPlot

__all__ = ["Bottleneck", "Diagnostic", "Findings", "InformationPlane", "UPlot"]
