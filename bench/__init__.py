"""InfoFlow Bench: how information flows through networks for medical images, and how far to believe it."""

from __future__ import annotations


def load(run: str, uri: str | None = None):
    """The network of a tracked run, with its best checkpoint's weights, on the CPU and in evaluation mode.

    run: id of an MLflow run. uri: of the tracking store, by default mlflow.db in the current folder.
    Raises bench.types.InputError where the run or its weights are missing.
    """
    from bench.build import build_network
    from bench.tracking.records import saved_network

    config, weights = saved_network(run, uri)
    if config.model.get("encoder_weights"):
        config.model.encoder_weights = None  # the run's own come in their place
    network = build_network(config.model, config.seed)
    network.load_state_dict(weights)
    return network.eval()
