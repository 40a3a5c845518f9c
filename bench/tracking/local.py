"""Local tracking store: a SQLite file, which other processes may lock, move or remove."""

from __future__ import annotations

import contextlib
import errno
import functools
import logging
import os
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.tracking.dbmodels.models import SqlRun
from sqlalchemy import Executable, event, select
from sqlalchemy.engine import Engine

from bench.errors import TrackingError
from bench.signals import STOPS
from bench.tracking.sqlite import home

logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)  # it logs a traceback for each error it raises

BUSY_MS = 500  # time that SQLite waits for a lock; it handles no signal in this time
LOCKED_SECONDS = 20  # time that a call waits for a lock, in attempts of BUSY_MS


@event.listens_for(Engine, "before_cursor_execute", retval=True)
def _shorten(connection, cursor, statement, parameters, context, executemany):
    """Let SQLite wait BUSY_MS for a lock. MLflow requests 20 s in each session."""
    if statement.startswith("PRAGMA busy_timeout"):
        statement = f"PRAGMA busy_timeout = {BUSY_MS};"
    return statement, parameters


class Local:
    """A client of a SQLite file.

    A signal is handled after the current call ends, because an interrupted write leaves SQLite locked. If the file is
    locked, the call is repeated for 20 s in short attempts. Signals are handled between the attempts. Artifacts are
    read from the folder beside the file, even if the project was moved and is read-only.

    Args:
        client: MLflow's client of the file.
        uri: Address of the store, for messages.
        database: Path of the file.

    Raises:
        TrackingError: By each method, if the file stays locked.
        FileNotFoundError: By each method, if the file was removed or replaced.
    """

    def __init__(self, client: MlflowClient, uri: str, database: Path):
        self._client = client
        self._uri = uri
        self._seconds = LOCKED_SECONDS
        self._database = database
        self._opened = os.stat(self._database)

    @contextlib.contextmanager
    def short_timeouts(self) -> Iterator[None]:
        """Try each call only once within this context, because the process is stopping."""
        before, self._seconds = self._seconds, 0
        try:
            yield
        finally:
            self._seconds = before

    def __getattr__(self, name: str):
        method = getattr(self._client, name)
        return functools.wraps(method)(functools.partial(self._call, method))

    def execute(self, *statements: Executable) -> list[Sequence]:
        """Execute statements of SQL, see `execute`."""
        return self._call(execute, self._client, *statements)

    def _call(self, method, *arguments, **options):
        """Call a method of MLflow's client, again as long as the file is locked."""
        ends = time.monotonic() + self._seconds
        while True:
            with delay_signals() as came:
                self._refuse_another_file()
                try:
                    return method(*arguments, **options)
                except MlflowException as error:
                    if "database is locked" not in str(error):
                        raise
                    if came or time.monotonic() >= ends:
                        raise TrackingError(f"tracking.uri: {self._uri} is locked by another process") from error

    def download_artifacts(self, run_id: str, path: str, dst_path: str | None = None) -> str:
        """Copy an artifact to a folder and return the path of the copy."""
        return self._artifacts(run_id).download_artifacts(path, dst_path)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list:
        """List the artifacts of a run."""
        return self._artifacts(run_id).list_artifacts(path)

    def _artifacts(self, run_id: str):
        (found,) = self.execute(select(SqlRun.artifact_uri).where(SqlRun.run_uuid == run_id))  # get_run reads all
        stored = found[0].artifact_uri if found else self.get_run(run_id).info.artifact_uri
        return get_artifact_repository(home(stored, self._database))

    def _refuse_another_file(self) -> None:
        """Raise FileNotFoundError if the database is not the file that was opened."""
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.stat(self._database), self._opened):
                return
        raise FileNotFoundError(errno.ENOENT, "the database was removed or replaced", str(self._database))


def execute(client: MlflowClient, *statements: Executable) -> list[Sequence]:
    """Execute statements of SQL in the database of a client, in one transaction.

    Returns:
        The rows of each statement; none for a statement that changes rows.
    """
    with client._tracking_client.store.ManagedSessionMaker() as session:
        rows = []
        for statement in statements:
            result = session.execute(statement)
            rows.append(result.all() if statement.is_select else [])
        return rows


@contextlib.contextmanager
def delay_signals() -> Iterator[list[int]]:
    """Collect the signals that stop the process within this context, and raise the first one at its end."""
    came: list[int] = []
    if threading.current_thread() is not threading.main_thread():  # signals interrupt only the main thread
        yield came
        return
    handlers = {sent: signal.signal(sent, lambda sent, _: came.append(sent)) for sent in STOPS}
    try:
        yield came
    finally:
        for sent, handler in handlers.items():
            signal.signal(sent, handler)
        if came:
            signal.raise_signal(came[0])
