"""Records: what runs left in MLflow, read back."""

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
from bench.tracking.addresses import shown
from bench.tracking.remote import reason_of
from bench.tracking.sqlite import default_uri
from bench.tracking.store import Store, client_of
from bench.tracking.trust import check_stored


def table_of(store: Store, run_id: str, path: str) -> pd.DataFrame:
    """A table that a run logged; InputError where it has none of this path, or one that no run writes."""
    return stored.read(
        store.client, run_id, path, stored.table, f"wanted one with {path}; run it with the diagnostic of it"
    )


def layers_of(store: Store, run_id: str) -> LayerTable:
    """What a run measured of its layers."""
    return LayerTable(table_of(store, run_id, "layers.csv").to_dict("records"))


def curve(store: Store, run_id: str, key: str) -> list[tuple[int, float]]:
    """(step, value) of a metric."""
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, key)]


def run_of(store: Store, run_id: str) -> Run:
    """A run's tags, metrics and state; InputError where there is no such run."""
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        raise InputError(f"run: got {run_id}, wanted a run of {shown(store.uri)} ({reason_of(error)})") from error


def card_of(store: Store, run_id: str) -> dict:
    """The data card of a finished run; InputError where there is no such run or it has not finished."""
    status = run_of(store, run_id).info.status
    if status != RunStatus.to_string(RunStatus.FINISHED):
        raise InputError(f"run: got {run_id}, which is {status}, wanted a finished one; train it to its end")
    missing = "wanted a run that trained a network: it has no data card"
    return stored.read(store.client, run_id, "dataset.json", stored.card, missing)


def saved_network(
    run_id: str, uri: str | None = None, trust: Sequence[str] = ()
) -> tuple[DictConfig, dict[str, torch.Tensor]]:
    """Config and weights of a tracked run; all parts of the config may be built.

    trust: packages or full names that the user permits for this call.
    Raises InputError where the run or one of them is missing or damaged, or the config names other parts.
    """
    uri = uri or default_uri()
    client, missing = client_of(uri), f"wanted a finished run of {shown(uri)} that trained a network"
    plain = stored.read(client, run_id, "config.yaml", stored.config, missing)
    weights = stored.read(client, run_id, "weights.pt", stored.weights, missing)
    return check_stored(plain, f"run: config.yaml of {run_id}", trust), weights
