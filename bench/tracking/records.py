"""Records: what runs left in MLflow, read back."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pandas as pd
import torch
from mlflow.entities import Run, RunStatus
from mlflow.exceptions import MlflowException
from omegaconf import DictConfig, OmegaConf

from bench.errors import InputError
from bench.tracking.store import Store, client_of, default_uri


def table_of(store: Store, run_id: str, path: str) -> pd.DataFrame:
    """A table that a run logged; InputError where it has none of this path."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return pd.read_csv(store.client.download_artifacts(run_id, path, folder))
        except (MlflowException, OSError) as error:
            raise InputError(f"run: got {run_id}, wanted one with {path}; run it with the diagnostic of it") from error


def curve(store: Store, run_id: str, key: str) -> list[tuple[int, float]]:
    """(step, value) of a metric."""
    return [(point.step, point.value) for point in store.client.get_metric_history(run_id, key)]


def run_of(store: Store, run_id: str) -> Run:
    """A run's tags, metrics and state; InputError where there is no such run."""
    try:
        return store.client.get_run(run_id)
    except MlflowException as error:
        raise InputError(f"run: got {run_id}, wanted a run of {store.uri} ({error})") from error


def card_of(store: Store, run_id: str) -> dict:
    """The data card of a finished run; InputError where there is no such run or it has not finished."""
    status = run_of(store, run_id).info.status
    if status != RunStatus.to_string(RunStatus.FINISHED):
        raise InputError(f"run: got {run_id}, which is {status}, wanted a finished one; train it to its end")
    with tempfile.TemporaryDirectory() as folder:
        try:
            return json.loads(Path(store.client.download_artifacts(run_id, "dataset.json", folder)).read_text())
        except (MlflowException, OSError) as error:
            raise InputError(f"run: got {run_id}, wanted a run that trained a network: it has no data card") from error


def saved_network(run_id: str, uri: str | None = None) -> tuple[DictConfig, dict[str, torch.Tensor]]:
    """Config and weights of a tracked run; InputError where the run or its weights are missing."""
    client = client_of(uri or default_uri())
    with tempfile.TemporaryDirectory() as folder:
        try:
            config = OmegaConf.load(client.download_artifacts(run_id, "config.yaml", folder))
            weights = client.download_artifacts(run_id, "weights.pt", folder)
        except (MlflowException, OSError) as error:
            raise InputError(f"run: got {run_id}, wanted a finished run of {uri or default_uri()} ({error})") from error
        return config, torch.load(weights, weights_only=True, map_location="cpu")
