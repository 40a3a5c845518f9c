"""Store: connect to the MLflow tracking store, and create it if it is missing."""

from __future__ import annotations

import contextlib
import logging
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
from bench.tracking.addresses import refuse_secrets, refuse_strange, without_password
from bench.tracking.local import Local
from bench.tracking.offline.heartbeat import mark_all_dead
from bench.tracking.remote import Remote, reason_of, refuse_old
from bench.tracking.sqlite import default_uri

logging.getLogger("mlflow").setLevel(logging.WARNING)

ANSWER_SECONDS = 15
PAGE = 1000  # experiments per request
# Without this tag MLflow's UI shows a new experiment as one of generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"} | views.experiment_tags()

_checked: set[tuple[str, tuple[str, ...]]] = set()  # stores and experiments whose dead runs this process has marked


@dataclass(frozen=True)
class Store:
    """A tracking store that answered, with the experiments in which runs are searched."""

    client: Local | Remote
    uri: str
    experiment_ids: tuple[str, ...]

    @property
    def experiment_id(self) -> str:
        """Return the id of the only experiment, to which new runs belong."""
        (only,) = self.experiment_ids
        return only

    @property
    def fault(self) -> str | None:
        """Return the reason why the store is not writable, or None if no reason is known before a write."""
        return sqlite.fault(sqlite.database_of(self.uri)) if sqlite.is_local(self.uri) else None


def connect(uri: str | None, experiment: str | None, parent: str | None = None, *, read_only: bool = False) -> Store:
    """Connect to the store and its experiment, or to all experiments of a store that exists.

    Runs whose process has ended are marked as killed, once in each process. If several processes start in an empty
    folder, they wait until the first one has created the database, because migrations can't run in parallel.

    Args:
        uri: Address of the store, by default mlflow.db in the working directory.
        experiment: Name of the experiment, which is created if it is missing. None = every experiment; a store that is
            missing is then not created.
        parent: Id of the parent run of a sweep, which must exist.
        read_only: Create and change nothing.

    Raises:
        InputError: The store does not exist, does not answer a request within 15 s, or is not writable.
    """
    uri = uri or default_uri()
    if experiment is None or read_only:
        refuse_missing(uri)
    refuse_secrets([f"tracking.uri={uri}"])
    opened: Queue[Store | Exception | None] = Queue()  # gets None after each answered request

    def attempt():
        try:
            opened.put(_open(uri, experiment, parent, read_only, partial(opened.put, None)))
        except Exception as error:  # the thread of the caller raises it below
            opened.put(error)

    if sqlite.is_local(uri):
        database = sqlite.database_of(uri)
        if not read_only and (fault := sqlite.fault(database)):
            raise InputError(f"tracking.uri: got {uri}, and {fault}; change its permissions or take another store")
        uri = sqlite.address(database)  # absolute, because commands may start in another folder later
        with contextlib.nullcontext() if read_only else FileLock(f"{database}.lock"):
            attempt()
    else:
        logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)  # otherwise it logs every retry
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
            f"tracking.uri: got {without_password(uri)}, wanted a tracking store that answers ({reason}); "
            "start it or fix the address"
        )
    if (uri, result.experiment_ids) not in _checked:
        _checked.add((uri, result.experiment_ids))
        mark_all_dead(result.client, result.experiment_ids)
    return result


def client_of(uri: str) -> Local | Remote:
    """Return the client of a store, without a request to it.

    Raises:
        InputError: The address contains a secret, or the database of a local store does not exist.
    """
    refuse_missing(uri)
    if not sqlite.is_local(uri):
        return Remote(MlflowClient(uri), uri)
    database = sqlite.database_of(uri)
    opened = sqlite.read_only(database) if sqlite.fault(database) else sqlite.address(database)
    return Local(MlflowClient(opened), uri, database)


def refuse_missing(uri: str | None) -> None:
    """Refuse a local store that does not exist.

    Args:
        uri: Address of the store, by default mlflow.db in the working directory.

    Raises:
        InputError: The address contains a secret, or the database of a local store does not exist.
    """
    uri = uri or default_uri()
    refuse_secrets([f"tracking.uri={uri}"])
    if sqlite.is_local(uri) and not sqlite.database_of(uri).exists():
        raise InputError(
            f"tracking.uri: there is no store at {uri}; start in the folder of your runs, or set tracking.uri"
        )


def _check_parent(client: Local | Remote, parent: str, uri: str) -> None:
    """Raise InputError if the parent run does not exist or was deleted."""
    try:
        found = client.get_run(parent)
    except MlflowException as error:
        if error.error_code != ErrorCode.Name(RESOURCE_DOES_NOT_EXIST):
            raise
        raise InputError(f"tracking.parent: got {parent}, which {uri} does not have; give the id of a run") from error
    if found.info.lifecycle_stage != LifecycleStage.ACTIVE:
        raise InputError(f"tracking.parent: got {parent}, which was deleted; restore it or give the id of another run")


def _open(uri: str, experiment: str | None, parent: str | None, read_only: bool, answered: Callable[[], None]) -> Store:
    """Connect as `connect` does. Call `answered` after each request that the store answered."""
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
        _check_parent(client, parent, without_password(uri))
        answered()
    if experiment is None:
        return Store(client, uri, experiment_ids(client))
    known = client.get_experiment_by_name(experiment)
    answered()
    if known is None and read_only:
        raise InputError(
            f"tracking.experiment: got {experiment!r}, which {without_password(uri)} does not have; take another"
        )
    if known is None:
        artifacts = sqlite.artifacts_of(database).as_uri() if database else None
        try:
            return Store(client, uri, (client.create_experiment(experiment, artifacts, EXPERIMENT_TAGS),))
        except MlflowException:  # another process may have created it at the same time
            known = client.get_experiment_by_name(experiment)
            if known is None:
                raise
    if known.lifecycle_stage != "active":
        raise InputError(f"tracking.experiment: got {experiment!r}, which was deleted; restore it or take another name")
    if known.artifact_location:
        refuse_strange(uri, known.artifact_location)  # before a run begins; the location of its files is checked again
    missing = set() if read_only else EXPERIMENT_TAGS.keys() - known.tags.keys()
    for key in missing:  # in an experiment of another program, or one that is older than the view
        client.set_experiment_tag(known.experiment_id, key, EXPERIMENT_TAGS[key])
        answered()
    return Store(client, uri, (known.experiment_id,))


def experiment_ids(client: Local | Remote) -> tuple[str, ...]:
    """Return the ids of all experiments that are not deleted."""
    experiments = page = client.search_experiments(max_results=PAGE)
    while page.token:
        page = client.search_experiments(max_results=PAGE, page_token=page.token)
        experiments = experiments + page
    return tuple(sorted(each.experiment_id for each in experiments))
