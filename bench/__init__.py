"""InfoFlow Bench: how information flows through networks for medical images, and how far to believe it."""

from __future__ import annotations

from collections.abc import Sequence


def load(run: str, uri: str | None = None, trust: Sequence[str] = ()):
    """The network of a tracked run, with its best checkpoint's weights, on the CPU and in evaluation mode.

    run: id of an MLflow run. uri: of the tracking store, by default mlflow.db in the current folder. trust: packages,
    or full names of classes and functions, that the run's config may name beside those of this suite, torch.nn, MONAI,
    segmentation-models-pytorch and timm; code of these is run.
    Raises bench.errors.InputError where the run or its weights are missing or damaged, or its config names other parts.
    """
    from bench.build import build_stored
    from bench.tracking.records import saved_network

    config, weights = saved_network(run, uri, trust)
    return build_stored(config, weights, run, trust)
