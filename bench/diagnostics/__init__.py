"""Diagnostics, one file each. A diagnostic reads the LayerTable and the rows that it has measured itself."""

from bench.diagnostics.base import Diagnostic, Findings
from bench.diagnostics.bottleneck import Bottleneck
from bench.diagnostics.data_processing import DataProcessing
from bench.diagnostics.discarding.diagnostic import InformationDiscarding
from bench.diagnostics.filter_count import FilterCount
from bench.diagnostics.information_plane import InformationPlane
from bench.diagnostics.modified_information_plane import ModifiedInformationPlane
from bench.diagnostics.u_plot import UPlot

__all__ = [
    "Bottleneck",
    "DataProcessing",
    "Diagnostic",
    "FilterCount",
    "Findings",
    "InformationDiscarding",
    "InformationPlane",
    "ModifiedInformationPlane",
    "UPlot",
]
