"""SQLite: the two parts of a tracking store in a folder, the database and the `mlartifacts` beside it."""

from __future__ import annotations

import contextlib
import logging
import os
import re
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

from bench.errors import InputError

SCHEME = "sqlite:///"
ARTIFACTS = "mlartifacts"
# columns of MLflow's database that hold the addresses of artifacts
ADDRESSES = {"experiments": "artifact_location", "runs": "artifact_uri"}

log = logging.getLogger(__name__)


def default_uri() -> str:
    """The store beside which the command was started."""
    return f"{SCHEME}{Path.cwd() / 'mlflow.db'}"


def database_of(uri: str) -> Path:
    """The path of a store's database, which need not exist.

    Raises InputError where there is no such folder, the file is no database, or the address can't hold the path.
    """
    database = Path(uri.removeprefix(SCHEME)).absolute()
    if found := re.search(r"\?|%[0-9A-Fa-f]{2}", str(database)):  # MLflow reads these in two ways
        raise InputError(
            f"tracking.uri: got {uri}, whose path has {found[0]!r}, which an address can't hold; rename the folder, "
            "start the command in another one, or set tracking.uri=sqlite:////PATH/mlflow.db"
        )
    if not database.parent.is_dir():
        raise InputError(f"tracking.uri: got {uri}, wanted a folder that exists; make {database.parent}")
    if database.exists():
        try:
            with database.open("rb") as file:
                if file.read(15) in (b"", b"SQLite format 3"):
                    return database
        except PermissionError as error:
            raise InputError(f"tracking.uri: got {uri}, which may not be read; change its permissions") from error
        except IsADirectoryError:
            pass  # which is said below
        raise InputError(f"tracking.uri: got {uri}, wanted a SQLite database or a new file; {database} is neither")
    return database


def make(database: Path) -> None:
    """Make a database, which takes its name when it is whole: an interrupted migration leaves one broken for good."""
    unfinished = database.with_name(f"{database.name}.new")
    unfinished.unlink(missing_ok=True)
    made = SqlAlchemyStore(f"{SCHEME}{unfinished}", artifacts_of(database).as_uri())
    made.engine.dispose()
    unfinished.rename(database)


def artifacts_of(database: Path) -> Path:
    """The folder of a database's artifacts."""
    return database.parent / ARTIFACTS


def fault(database: Path) -> str | None:
    """Why nothing can be logged to a store, in words; None where it can be written."""
    for path in (database, database.parent, artifacts_of(database)):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            return f"nothing may be written in {path}" if path.is_dir() else f"{path} may not be written"
    if artifacts_of(database).exists() and not artifacts_of(database).is_dir():
        return f"{artifacts_of(database)} is no folder"
    return None


def follow_move(database: Path) -> None:
    """Have the addresses in a database name the artifacts beside it, where both were moved or copied together.

    MLflow keeps absolute addresses: after a move it would miss the artifacts of old runs, and make the old folder anew
    for those of new ones; of a copy it would write into the original.
    Raises InputError where the database may not be written.
    """
    here = artifacts_of(database)
    with contextlib.closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True)) as connection:
        strange = {root for address in _addresses(connection) if (root := _root(address)) and _has_moved(root, here)}
    if not strange:
        return
    places = ", ".join(map(str, sorted(strange)))
    if fault(database):
        raise InputError(
            f"tracking.uri: {database} was moved or copied, and its artifacts from {places} to {here}; "
            f"{fault(database)}, so that their addresses can't be corrected; make it writable once"
        )
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, column in ADDRESSES.items():
            for root in strange:
                old, new = root.as_uri(), here.as_uri()
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {column} = ? OR {column} GLOB ?",
                    (new, len(old) + 1, old, f"{_plain(old)}/*"),
                )
    log.warning("%s was moved or copied; the addresses of its artifacts, from %s, are now %s", database, places, here)


def _addresses(connection: sqlite3.Connection) -> set[str]:
    """The addresses that experiments have for the artifacts of their runs; none where the database is still empty."""
    try:
        return {address for (address,) in connection.execute("SELECT artifact_location FROM experiments") if address}
    except sqlite3.OperationalError:  # no such table
        return set()


def _root(address: str) -> Path | None:
    """The folder `mlartifacts` of an address; None for one that was chosen by somebody."""
    if urlsplit(address).scheme != "file":
        return None
    path = Path(url2pathname(urlsplit(address).path))
    return next((folder for folder in (path, path.parent) if folder.name == ARTIFACTS), None)


def _has_moved(root: Path, here: Path) -> bool:
    """Whether the artifacts of `root` are `here` now, or can only be there."""
    if root == here or (root.exists() and here.exists() and root.samefile(here)):
        return False
    return here.is_dir() or not root.exists()


def _plain(text: str) -> str:
    """The text as a pattern of GLOB that fits it alone."""
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in text)
