"""Bases of four families without a trained network, and known information in their layers, for pages and drawings."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
from omegaconf import OmegaConf

from bench.config.build import build
from bench.information.tables import COLUMNS
from bench.pruning.designs import design_of
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.base import Base

MODELS = {
    "UNet": {"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch", "widths": [4, 8, 16]},
    "CNN": {"_target_": "models.CNN", "in_channels": 1, "num_classes": 3, "filters": [4, 8], "hidden": [12]},
    "Monai": {
        "_target_": "models.Monai",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "input_size": [32, 32],
        "network": "UNet",
        "arguments": {"channels": [4, 6, 8]},
    },
    "Smp": {
        "_target_": "models.Smp",
        "in_channels": 1,
        "out_channels": 1,
        "input_size": [32, 32],
        "encoder_depth": 3,
        "decoder_channels": [12, 8, 4],
    },
}
SIZES = {"UNet": 5, "CNN": 3, "Monai": 3, "Smp": 3}  # numbers of slots


class Timed(Base):
    """A base whose latencies are known, so that no network is timed."""

    def latency_ms(self, design):
        return 8.0 if design == self.design else 2.0


def base_of(kind="UNet", name="phantoms"):
    config = OmegaConf.create(MODELS[kind])
    task = "classification" if kind == "CNN" else "segmentation"
    network, data = build(config, "model"), SimpleNamespace(name=name, task=task)
    return Timed("0123abcd", config, data, network, design_of(network), Pricing(config, (1, 32, 32)))


def layers_of(design, start):
    """Return rows of a LayerTable with start, start + 0.1, … bits above a null of 0.05 in the slots of a design."""
    rows = pd.DataFrame(index=range(len(design.slots())), columns=COLUMNS)
    bits = 0.05 + start + 0.1 * np.arange(len(rows))
    known = {"tap": [slot.tap for slot in design.slots()], "bits": bits, "low": bits - 0.01, "high": bits + 0.02}
    return rows.assign(**known, null_mean=0.05, quantity="I(T;Y)", estimator="ksg", view="pixel", reliable=True)
