"""Store: reaches the MLflow tracking store, and makes it where it is missing."""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from queue import Empty, Queue

from filelock import FileLock
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from bench.addresses import refuse_secrets, refuse_strange, shown
from bench.errors import InputError, TrackingError
from bench.tracking import views
from bench.tracking.heartbeat import mark_all_dead
from bench.tracking.local import Local
from bench.tracking.remote import Remote, reason_of, refuse_old

os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")  # a run and a sweep end with their own
for chatty in ("mlflow", "alembic"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

ANSWER_SECONDS = 15
# Without this tag MLflow's UI takes a new experiment for one of generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"} | views.experiment_tags()

_looked_at: set[tuple[str, str]] = set()  # stores and experiments whose dead runs this process has marked


def default_uri() -> str:
    """The store beside which the command was started."""
    return f"sqlite:///{Path.cwd() / 'mlflow.db'}"


@dataclass(frozen=True)
class Store:
    """A tracking store that answered, and the experiment in it."""

    client: Local | Remote
    uri: str
    experiment_id: str


def connect(uri: str | None, experiment: str, parent: str | None = None) -> Store:
    """Reach the store, its experiment (made where it is missing) and, for a job of a sweep, the parent run.

    Marks runs as killed whose process is gone, once in a process.
    Raises InputError when the store does not answer a request within 15 s. Processes that start together on an empty
    folder wait for the first to make the database: its migrations do not bear company.
    """
    uri = uri or default_uri()
    refuse_secrets([f"tracking.uri={uri}"])
    opened: Queue[Store | Exception | None] = Queue()  # None for each request that was answered

    def attempt():
        try:
            opened.put(_open(uri, experiment, parent, partial(opened.put, None)))
        except Exception as error:  # handed to the caller's thread, below
            opened.put(error)

    if uri.startswith("sqlite:///"):
        database = _sqlite_file(uri)
        with FileLock(f"{database}.lock"):
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


def _sqlite_file(uri: str) -> Path:
    """The database's path; SQLite itself would retry for minutes on what is none."""
    database = Path(uri.removeprefix("sqlite:///")).absolute()
    if not database.parent.is_dir():
        raise InputError(f"tracking.uri: got {uri}, wanted a folder that exists; make {database.parent}")
    if database.exists():
        with contextlib.suppress(IsADirectoryError), database.open("rb") as file:
            if file.read(15) in (b"", b"SQLite format 3"):
                return database
        raise InputError(f"tracking.uri: got {uri}, wanted a SQLite database or a new file; {database} is neither")
    return database


def _make(database: Path) -> None:
    """A new database, which takes its name when it is whole: migrations that are cut off leave one broken for good."""
    unfinished = database.with_name(f"{database.name}.new")
    unfinished.unlink(missing_ok=True)
    made = SqlAlchemyStore(f"sqlite:///{unfinished}", (database.parent / "mlartifacts").as_uri())
    made.engine.dispose()
    unfinished.rename(database)


def client_of(uri: str) -> Local | Remote:
    """The client of a store that need not have answered yet."""
    refuse_secrets([f"tracking.uri={uri}"])
    return Local(MlflowClient(uri), uri) if uri.startswith("sqlite:///") else Remote(MlflowClient(uri), uri)


def _open(uri: str, experiment: str, parent: str | None, answered: Callable[[], None]) -> Store:
    if uri.startswith("sqlite:///") and not _sqlite_file(uri).exists():
        _make(_sqlite_file(uri))
    if uri.startswith(("http://", "https://")):
        refuse_old(uri)
        answered()
    client = client_of(uri)
    if parent:
        client.get_run(parent)
        answered()
    known = client.get_experiment_by_name(experiment)
    answered()
    if known is None:
        artifacts = (_sqlite_file(uri).parent / "mlartifacts").as_uri() if uri.startswith("sqlite:///") else None
        try:
            return Store(client, uri, client.create_experiment(experiment, artifacts, EXPERIMENT_TAGS))
        except MlflowException:  # another process may have been faster
            known = client.get_experiment_by_name(experiment)
            if known is None:
                raise
    if known.lifecycle_stage != "active":
        raise InputError(f"tracking.experiment: got {experiment!r}, which was deleted; restore it or take another name")
    if uri.startswith(("http://", "https://")) and known.artifact_location:
        refuse_strange(uri, known.artifact_location)  # before a run begins; its own files are checked again
    for key in EXPERIMENT_TAGS.keys() - known.tags.keys():  # made by others, or before there was a view
        client.set_experiment_tag(known.experiment_id, key, EXPERIMENT_TAGS[key])
        answered()
    return Store(client, uri, known.experiment_id)
