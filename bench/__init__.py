"""InfoFlow Bench: how information flows through networks for medical images, and how far each number can be believed.

The Python API, which loads heavy packages when a function is used:

    measure(network, images, labels)    information in each layer of any network: a LayerTable
    plot_u(table)                       the U-plot of a LayerTable: a matplotlib Figure
    estimate(t, y, "ksg")               mutual information of two variables: an Estimate
    discarding(network, images)         maps of the information that layers discard
    load(run)                           the network of a tracked run
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bench.config.load import load
    from bench.diagnostics.layer_maps import discarding
    from bench.diagnostics.u_plot import plot_u
    from bench.layers.measure import estimate, measure

__all__ = ["discarding", "estimate", "load", "measure", "plot_u"]

HOMES = {
    "discarding": "bench.diagnostics.layer_maps",
    "estimate": "bench.layers.measure",
    "load": "bench.config.load",
    "measure": "bench.layers.measure",
    "plot_u": "bench.diagnostics.u_plot",
}


def __getattr__(name: str):
    """Import a function of the API when it is first used."""
    if name == "estimators":
        return import_module("bench.estimators")
    if name not in HOMES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(HOMES[name]), name)
