"""Records: read tables, curves, data cards and networks of tracked runs."""

from __future__ import annotations

import re
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
from bench.tracking.listing import status_of
from bench.tracking.local import Local
from bench.tracking.remote import Remote, reason_of
from bench.tracking.sqlite import default_uri
from bench.tracking.store import Store, client_of, experiment_ids
from bench.tracking.trust import check_stored

WHOLE, SHORT = 32, 12  # characters of an id, and of an id in a message
CANDIDATES = 10  # maximal number of runs in a message


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


def find_run(client: Local | Remote, uri: str, text: str) -> str:
    """Return the id of the run whose id begins with a text. A text of 32 characters is an id and is not searched.

    Args:
        client: Client of the store.
        uri: Address of the store, for messages.
        text: An id, or its first 4 characters or more.

    Raises:
        InputError: The text is not the beginning of an id, or of no run, or of several runs.
    """
    if len(text) >= WHOLE:
        return text
    wanted = f"run: got {text}, wanted a run of {without_password(uri)}"
    if not re.fullmatch(r"[0-9a-f]{4,}", text):
        number = "; quote an id that reads as a number: \"run='12e4'\"" if re.match(r"[\d.]+$|inf$", text) else ""
        raise InputError(f"{wanted}: its id, or 4 characters or more of the beginning of its id{number}")
    experiments = [*experiment_ids(client)]
    found = client.search_runs(experiments, f"attributes.run_id LIKE '{text}%'", max_results=CANDIDATES)
    if not found:
        raise InputError(f"{wanted}, in which no run has an id that begins so")
    if len(found) > 1:
        listed = ", ".join(f"{run.info.run_id[:SHORT]} ({run.info.run_name})" for run in found)
        raise InputError(f"{wanted}, in which several ids begin so: {listed}; give more characters")
    return found[0].info.run_id


def whole_id(text: str, uri: str | None = None) -> str:
    """Return the id of a run in a store, by default mlflow.db in the working directory, as `find_run` does."""
    uri = uri or default_uri()
    return find_run(client_of(uri), uri, text)


def card_of(store: Store, run_id: str) -> dict:
    """Read the data card of a finished run.

    Raises:
        InputError: There is no such run, it has not finished, or it has no data card.
    """
    status = status_of(store, run_id) or run_of(store, run_id).info.status
    if status != RunStatus.to_string(RunStatus.FINISHED):
        raise InputError(f"run: got {run_id}, which is {status}, wanted a finished one; train it to its end")
    missing = "wanted a run that trained a network: it has no data card"
    return stored.read(store.client, run_id, "dataset.json", stored.card, missing)


def saved_network(
    run_id: str, uri: str | None = None, trust: Sequence[str] = ()
) -> tuple[DictConfig, dict[str, torch.Tensor]]:
    """Read the config and the weights of a tracked run. All parts of the config are safe to build.

    Args:
        run_id: Id of the run, or its unique beginning.
        uri: Address of the store, by default mlflow.db in the working directory.
        trust: Packages or full names that the user permits for this call.

    Returns:
        The config and the state dict.

    Raises:
        InputError: The run, its config or its weights are missing or damaged, or the config names unknown parts.
    """
    uri = uri or default_uri()
    client, missing = client_of(uri), f"wanted a finished run of {without_password(uri)} that trained a network"
    run_id = find_run(client, uri, run_id)
    plain = stored.read(client, run_id, "config.yaml", stored.config, missing)
    weights = stored.read(client, run_id, "weights.pt", stored.weights, missing)
    return check_stored(plain, f"run: config.yaml of {run_id}", trust), weights
