"""Records: read tables, curves, data cards and networks of tracked runs."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import torch
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig

from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.tracking import stored
from bench.tracking.addresses import without_password
from bench.tracking.remote import reason_of
from bench.tracking.sqlite import default_uri
from bench.tracking.store import Store, client_of
from bench.tracking.trust import check_stored


def table_of(store: Store, run_id: str, path: str) -> pd.DataFrame:
    """Read a table that a run logged.

    Raises:
        InputError: The run has no table at this path, or the table has a wrong format.
    """
    missing = f"wanted one with {path}; repeat it with the diagnostic that writes this table"
    return stored.read(store.client, run_id, path, stored.table, missing)


def layers_of(store: Store, run_id: str) -> LayerTable:
    """Read the table of information in the layers of a run."""
    return LayerTable(table_of(store, run_id, "layers.csv").to_dict("records"))


def curve(store: Store, run_id: str, key: str) -> list[tuple[int, float]]:
    """Read the points (step, value) of a metric."""
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, key)]


def run_of(store: Store, run_id: str) -> Run:
    """Read the tags, metrics and status of a run.

    Raises:
        InputError: There is no such run.
    """
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        raise InputError(
            f"run: got {run_id}, wanted a run of {without_password(store.uri)} ({reason_of(error)})"
        ) from error


def card_of(store: Store, run_id: str) -> dict:
    """Read the data card of a finished run.

    Raises:
        InputError: There is no such run, it has not finished, or it has no data card.
    """
    status = run_of(store, run_id).info.status
    if status != RunStatus.to_string(RunStatus.FINISHED):
        raise InputError(f"run: got {run_id}, which is {status}, wanted a finished one; train it to its end")
    missing = "wanted a run that trained a network: it has no data card"
    return stored.read(store.client, run_id, "dataset.json", stored.card, missing)


def saved_network(
    run_id: str, uri: str | None = None, trust: Sequence[str] = ()
) -> tuple[DictConfig, dict[str, torch.Tensor]]:
    """Read the config and the weights of a tracked run. All parts of the config are safe to build.

    Args:
        run_id: Id of the run.
        uri: Address of the store, by default mlflow.db in the working directory.
        trust: Packages or full names that the user permits for this call.

    Returns:
        The config and the state dict.

    Raises:
        InputError: The run, its config or its weights are missing or damaged, or the config names unknown parts.
    """
    uri = uri or default_uri()
    client, missing = client_of(uri), f"wanted a finished run of {without_password(uri)} that trained a network"
    plain = stored.read(client, run_id, "config.yaml", stored.config, missing)
    weights = stored.read(client, run_id, "weights.pt", stored.weights, missing)
    return check_stored(plain, f"run: config.yaml of {run_id}", trust), weights
