"""Load: the network of a tracked run."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from bench.config.build import build_stored
from bench.tracking.records import saved_network


def load(run: str, uri: str | None = None, trust: Sequence[str] = ()) -> torch.nn.Module:
    """Load the network of a tracked run with the weights of its best checkpoint, on the CPU, in evaluation mode.

    Args:
        run: The id of an MLflow run.
        uri: The tracking store; by default mlflow.db in the current folder.
        trust: Packages, or full names of classes and functions, that the config of the run may name in addition to
            those of this suite, torch.nn, MONAI, segmentation-models-pytorch and timm. Their code is executed.

    Raises:
        InputError: The run or its weights are missing or damaged, or its config names other classes or functions.
    """
    config, weights = saved_network(run, uri, trust)
    return build_stored(config, weights, run, trust)
