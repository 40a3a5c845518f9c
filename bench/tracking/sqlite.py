"""SQLite store: a database file and the folder `mlartifacts` beside it."""

from __future__ import annotations

import contextlib
import logging
import os
import sqlite3
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname

from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from bench.errors import InputError

ARTIFACTS = "mlartifacts"
LONGEST = 500  # maximal bytes of a path, which leaves room for the names of SQLite's own files beside the database
# Columns of MLflow's database with addresses of artifacts: table, column, and the address without the part of the run.
ADDRESSES = (
    ("experiments", "artifact_location", "artifact_location"),
    ("runs", "artifact_uri", "replace(artifact_uri, '/' || run_uuid || '/artifacts', '')"),
)

log = logging.getLogger(__name__)


def is_local(uri: str) -> bool:
    """Return whether an address is that of a SQLite database."""
    return uri.lower().startswith("sqlite")


def default_uri() -> str:
    """Return the address of mlflow.db in the working directory."""
    return address(Path.cwd() / "mlflow.db")


def address(database: Path) -> str:
    """Return the address of a database, which SQLAlchemy reads as this path.

    If characters must be quoted, the address names the driver. Without the driver MLflow creates a folder with the
    quoted name.

    Raises:
        InputError: The path is not UTF-8, is too long, or can't be written as an address.

    Examples:
        >>> address(Path("/data/o'brien/mlflow.db")), address(Path("/data/why?/mlflow.db"))
        ("sqlite:////data/o'brien/mlflow.db", 'sqlite+pysqlite:////data/why%3F/mlflow.db')
    """
    path = str(database)
    try:
        length = len(path.encode())
    except UnicodeEncodeError as error:
        raise InputError(
            f"tracking.uri: got {os.fsencode(path)!r}, wanted a path in UTF-8; rename the folder"
        ) from error
    if length > LONGEST:
        raise InputError(
            f"tracking.uri: got a path of {length} bytes, wanted at most {LONGEST}, which SQLite can open; start in a "
            f"folder with a shorter path than {database.parent}"
        )
    plain, quoted = f"sqlite:///{path}", URL.create("sqlite+pysqlite", database=path).render_as_string()
    for uri in (plain, quoted):
        url = make_url(uri)
        if url.database == path and "?" not in uri:
            return uri
    raise InputError(f"tracking.uri: got {path!r}, which can't be part of an address; rename the folder")


def read_only(database: Path) -> str:
    """Return the address that opens a database read-only."""
    file = database.as_uri().replace("file://", "file:", 1)
    return URL.create("sqlite+pysqlite", database=file, query={"mode": "ro", "uri": "true"}).render_as_string()


def database_of(uri: str) -> Path:
    """Return the path of a store's database, which may not exist yet. This is the inverse of `address`.

    Raises:
        InputError: The folder does not exist, the file is not a database, or the address contains more than a path.

    Examples:
        >>> str(database_of("sqlite+pysqlite:////why%3F.db"))
        '/why?.db'
    """
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"tracking.uri: got {uri!r}, wanted an address such as sqlite:////folder/mlflow.db") from error
    if "?" in uri or url.host:  # SQLAlchemy drops a query without =
        raise InputError(
            f"tracking.uri: got {uri!r}, wanted sqlite:/// and only a path; for a path with ? or %, begin with "
            "sqlite+pysqlite:/// and write %3F and %25"
        )
    if not url.database or url.database == ":memory:":
        raise InputError(f"tracking.uri: got {uri}, wanted a database in a file, such as sqlite:////folder/mlflow.db")
    database = Path(url.database).absolute()
    address(database)  # raises InputError for a path that has no address
    if not database.parent.is_dir():
        raise InputError(f"tracking.uri: got {uri}, wanted a folder that exists; create {database.parent}")
    if database.exists() and not _is_database(database):
        raise InputError(f"tracking.uri: got {uri}, wanted a SQLite database or a new file; {database} is neither")
    return database


def _is_database(path: Path) -> bool:
    """Return whether a path is a file that SQLite can open. Raise InputError if it is not readable."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(15) in (b"", b"SQLite format 3")
    except PermissionError as error:
        raise InputError(f"tracking.uri: {path} is not readable; change its permissions") from error


def make(database: Path) -> None:
    """Create a database under a temporary name and rename it when it is complete.

    An interrupted migration would leave a database that can't be repaired.
    """
    unfinished = database.with_name(f"{database.name}.new")
    unfinished.unlink(missing_ok=True)
    made = SqlAlchemyStore(address(unfinished), artifacts_of(database).as_uri())
    made.engine.dispose()
    unfinished.rename(database)


def artifacts_of(database: Path) -> Path:
    """Return the folder of a database's artifacts."""
    return database.parent / ARTIFACTS


def fault(database: Path) -> str | None:
    """Return the reason why a store is not writable, or None if it is writable."""
    for path in (database, database.parent, database.with_name(f"{database.name}.lock"), artifacts_of(database)):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            return f"the folder {path} is not writable" if path.is_dir() else f"{path} is not writable"
    if artifacts_of(database).exists() and not artifacts_of(database).is_dir():
        return f"{artifacts_of(database)} is not a folder"
    return None


def follow_move(database: Path) -> None:
    """Update the addresses of artifacts in a database that was moved or copied together with its artifacts.

    MLflow stores absolute addresses. With outdated addresses its UI does not find the artifacts. Other clients would
    create the old folder again, or write into the original of a copy.

    Raises:
        InputError: The artifacts were not moved or copied with the database.
    """
    here, outdated = artifacts_of(database), set()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, column, folder in ADDRESSES:
            stored = {each for (each,) in connection.execute(f"SELECT DISTINCT {folder} FROM {table}") if each}
            for old in sorted(each for each in stored if home(each, database) != each):
                _refuse_without_artifacts(connection, old, here)
                outdated.add(str(_root(old)))
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {folder} = ?",
                    (home(old, database), len(old) + 1, old),
                )
    if outdated:
        folders = ", ".join(sorted(outdated))
        log.warning(
            "%s was moved or copied; the addresses of its artifacts changed from %s to %s", database, folders, here
        )


def home(stored: str, database: Path) -> str:
    """Return the current address of artifacts: in the folder beside the database if the stored one is outdated."""
    root, here = _root(stored), artifacts_of(database)
    if root is None or root == here or not _is_outdated(root, database):
        return stored
    return here.as_uri() + stored[stored.rindex(ARTIFACTS) + len(ARTIFACTS) :]


def _refuse_without_artifacts(connection: sqlite3.Connection, old: str, here: Path) -> None:
    """Raise InputError if runs have artifacts at the old address and there is no folder beside the database."""
    prefix = f"{old}/"
    found = connection.execute("SELECT count(*) FROM runs WHERE substr(artifact_uri, 1, ?) = ?", (len(prefix), prefix))
    runs = found.fetchone()[0]
    if runs and not here.is_dir():
        raise InputError(
            f"tracking.uri: the database in {here.parent} was moved or copied without the artifacts of its {runs} runs "
            f"in {_root(old)}; copy them to {here}, or create this folder empty if they are lost"
        )


def _root(stored: str) -> Path | None:
    """Return the folder `mlartifacts` of an address, or None if the user chose another folder."""
    scheme = urlsplit(stored).scheme
    if scheme not in ("", "file"):
        return None
    path = Path(url2pathname(urlsplit(stored).path) if scheme else stored)
    return next((folder for folder in (path, *path.parents) if folder.name == ARTIFACTS), None)


def _is_outdated(root: Path, database: Path) -> bool:
    """Return whether a folder of artifacts is the former one: it is missing, or another database lies beside it."""
    owner = root.parent / database.name
    if os.path.exists(owner):
        return not os.path.samefile(owner, database)
    return not os.path.exists(root)
