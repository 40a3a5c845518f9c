"""Store: reaches the MLflow tracking store, and makes it where it is missing."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from queue import Empty, Queue

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.entities import LifecycleStage
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import RESOURCE_DOES_NOT_EXIST, ErrorCode

from bench.errors import InputError, TrackingError
from bench.tracking import sqlite, views
from bench.tracking.addresses import refuse_secrets, refuse_strange, shown
from bench.tracking.local import Local
from bench.tracking.offline.heartbeat import mark_all_dead
from bench.tracking.remote import Remote, reason_of, refuse_old
from bench.tracking.sqlite import default_uri

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a run and a sweep end with their own
logging.getLogger("mlflow").setLevel(logging.WARNING)

ANSWER_SECONDS = 15
# Without this tag MLflow's UI takes a new experiment for one of generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"} | views.experiment_tags()

_looked_at: set[tuple[str, str]] = set()  # stores and experiments whose dead runs this process has marked


@dataclass(frozen=True)
class Store:
    """A tracking store that answered, and the experiment in it."""

    client: Local | Remote
    uri: str
    experiment_id: str

    @property
    def fault(self) -> str | None:
        """Why nothing can be logged, in words; None where that is not known beforehand."""
        return sqlite.fault(sqlite.database_of(self.uri)) if sqlite.is_local(self.uri) else None


def connect(uri: str | None, experiment: str, parent: str | None = None, *, read_only: bool = False) -> Store:
    """Reach the store, its experiment (made where it is missing) and, for a job of a sweep, the parent run.

    Marks runs as killed whose process is gone, once in a process.
    read_only: make nothing, neither the store nor the experiment, and change nothing.
    Raises InputError when the store does not answer a request within 15 s, or can't be written. Processes that start
    together on an empty folder wait for the first to make the database, because migrations can't run side by side.
    """
    uri = uri or default_uri()
    refuse_secrets([f"tracking.uri={uri}"])
    opened: Queue[Store | Exception | None] = Queue()  # None for each request that was answered

    def attempt():
        try:
            opened.put(_open(uri, experiment, parent, read_only, partial(opened.put, None)))
        except Exception as error:  # handed to the caller's thread, below
            opened.put(error)

    if sqlite.is_local(uri):
        database = sqlite.database_of(uri)
        if not read_only and (fault := sqlite.fault(database)):
            raise InputError(f"tracking.uri: got {uri}, and {fault}; change its permissions or take another store")
        with contextlib.nullcontext() if read_only else FileLock(f"{database}.lock"):
            attempt()
    else:
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # it would tell of every retry
        threading.Thread(target=attempt, daemon=True).start()
    try:
        while (result := opened.get(timeout=ANSWER_SECONDS)) is None:
            pass
    except Empty:
        result = TimeoutError(f"no answer within {ANSWER_SECONDS} s")
    if isinstance(result, InputError):
        raise result
    if isinstance(result, Exception):
        reason = reason_of((isinstance(result, TrackingError) and result.__cause__) or result)
        raise InputError(
            f"tracking.uri: got {shown(uri)}, wanted a tracking store that answers ({reason}); "
            "start it or fix the address"
        )
    if (uri, result.experiment_id) not in _looked_at:
        _looked_at.add((uri, result.experiment_id))
        mark_all_dead(result.client, result.experiment_id)
    return result


def client_of(uri: str) -> Local | Remote:
    """The client of a store that need not have answered yet."""
    refuse_secrets([f"tracking.uri={uri}"])
    if not sqlite.is_local(uri):
        return Remote(MlflowClient(uri), uri)
    database = sqlite.database_of(uri)
    if not database.exists():
        raise InputError(f"tracking.uri: got {uri}, where no run was ever logged; start where the runs were made")
    opened = sqlite.read_only(database) if sqlite.fault(database) else sqlite.address(database)
    return Local(MlflowClient(opened), uri, database)


def _check_parent(client: Local | Remote, parent: str, uri: str) -> None:
    try:
        found = client.get_run(parent)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        raise InputError(f"tracking.parent: got {parent}, which {uri} does not have; give the id of a run") from error
    if found.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InputError(f"tracking.parent: got {parent}, which was deleted; restore it or give the id of another run")


def _open(uri: str, experiment: str, parent: str | None, read_only: bool, answered: Callable[[], None]) -> Store:
    database = sqlite.database_of(uri) if sqlite.is_local(uri) else None
    if database and not read_only:
        if not database.exists():
            sqlite.make(database)
        sqlite.follow_move(database)
    if uri.startswith(("http://", "https://")):
        refuse_old(uri)
        answered()
    client = client_of(uri)
    if parent:
        _check_parent(client, parent, shown(uri))
        answered()
    known = client.get_experiment_by_name(experiment)
    answered()
    if known is None and read_only:
        raise InputError(f"tracking.experiment: got {experiment!r}, which {shown(uri)} does not have; take another")
    if known is None:
        artifacts = sqlite.artifacts_of(database).as_uri() if database else None
        try:
            return Store(client, uri, client.create_experiment(experiment, artifacts, EXPERIMENT_TAGS))
        except MlflowException:  # another process may have been faster
            known = client.get_experiment_by_name(experiment)
            if known is None:
                raise
    if known.lifecycle_stage != "active":
        raise InputError(f"tracking.experiment: got {experiment!r}, which was deleted; restore it or take another name")
    if known.artifact_location:
        refuse_strange(uri, known.artifact_location)  # before a run begins; its own files are checked again
    missing = set() if read_only else EXPERIMENT_TAGS.keys() - known.tags.keys()
    for key in missing:  # of an experiment that others made, or that is older than the view
        client.set_experiment_tag(known.experiment_id, key, EXPERIMENT_TAGS[key])
        answered()
    return Store(client, uri, known.experiment_id)
