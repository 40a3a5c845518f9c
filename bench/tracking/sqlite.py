"""SQLite: the two parts of a tracking store in a folder, the database and the `mlartifacts` beside it."""

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
LONGEST = 500  # bytes of a path that SQLite opens, with room for the names of its own files beside it
# columns of MLflow's database that hold the addresses of artifacts, each without the part of a run's own
ADDRESSES = (
    ("experiments", "artifact_location", "artifact_location"),
    ("runs", "artifact_uri", "replace(artifact_uri, '/' || run_uuid || '/artifacts', '')"),
)

log = logging.getLogger(__name__)


def is_local(uri: str) -> bool:
    """Whether an address is that of a SQLite database."""
    return uri.lower().startswith("sqlite")


def default_uri() -> str:
    """Return the address of mlflow.db in the working directory."""
    return address(Path.cwd() / "mlflow.db")


def address(database: Path) -> str:
    """Return the address of a database, which SQLAlchemy reads as this path.

    It names the driver where characters must be quoted. Without the driver MLflow makes a folder with the quoted name.

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
    raise InputError(f"tracking.uri: got {path!r}, which an address can't hold; rename the folder")


def read_only(database: Path) -> str:
    """Return the address that opens a database for reading alone."""
    file = database.as_uri().replace("file://", "file:", 1)
    return URL.create("sqlite+pysqlite", database=file, query={"mode": "ro", "uri": "true"}).render_as_string()


def database_of(uri: str) -> Path:
    """Return the path of a store's database, which need not exist; the inverse of `address`.

    Raises InputError where there is no such folder, the file is no database, or the address holds more than a path.

    >>> str(database_of("sqlite+pysqlite:////why%3F.db"))
    '/why?.db'
    """
    try:
        url = make_url(uri)
    except (ArgumentError, ValueError) as error:
        raise InputError(f"tracking.uri: got {uri!r}, wanted an address such as sqlite:////folder/mlflow.db") from error
    if "?" in uri or url.host:  # a query without = is empty to SQLAlchemy
        raise InputError(
            f"tracking.uri: got {uri!r}, wanted sqlite:/// and a path alone; in a path with ? or %, begin with "
            "sqlite+pysqlite:/// and write %3F and %25"
        )
    if not url.database or url.database == ":memory:":
        raise InputError(f"tracking.uri: got {uri}, wanted a database in a file, such as sqlite:////folder/mlflow.db")
    database = Path(url.database).absolute()
    address(database)  # or InputError
    if not database.parent.is_dir():
        raise InputError(f"tracking.uri: got {uri}, wanted a folder that exists; make {database.parent}")
    if database.exists() and not _is_database(database):
        raise InputError(f"tracking.uri: got {uri}, wanted a SQLite database or a new file; {database} is neither")
    return database


def _is_database(path: Path) -> bool:
    """Whether a path is a file that SQLite opens; InputError where it may not be read."""
    if not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(15) in (b"", b"SQLite format 3")
    except PermissionError as error:
        raise InputError(f"tracking.uri: {path} may not be read; change its permissions") from error


def make(database: Path) -> None:
    """Make a database, which takes its name when it is whole: an interrupted migration leaves one broken for good."""
    unfinished = database.with_name(f"{database.name}.new")
    unfinished.unlink(missing_ok=True)
    made = SqlAlchemyStore(address(unfinished), artifacts_of(database).as_uri())
    made.engine.dispose()
    unfinished.rename(database)


def artifacts_of(database: Path) -> Path:
    """The folder of a database's artifacts."""
    return database.parent / ARTIFACTS


def fault(database: Path) -> str | None:
    """Why nothing can be logged to a store, in words; None where it can be written."""
    for path in (database, database.parent, database.with_name(f"{database.name}.lock"), artifacts_of(database)):
        if path.exists() and not os.access(path, os.W_OK | (os.X_OK if path.is_dir() else 0)):
            return f"nothing may be written in {path}" if path.is_dir() else f"{path} may not be written"
    if artifacts_of(database).exists() and not artifacts_of(database).is_dir():
        return f"{artifacts_of(database)} is no folder"
    return None


def follow_move(database: Path) -> None:
    """Have the addresses in a database name the artifacts beside it, where both were moved or copied together.

    MLflow keeps absolute addresses. Where they are old, its UI does not find the artifacts, and other clients than the
    one here make the old folder anew or write into the original of a copy.
    Raises InputError where the artifacts did not come along.
    """
    here, left = artifacts_of(database), set()
    with contextlib.closing(sqlite3.connect(database)) as connection, connection:
        for table, column, folder in ADDRESSES:
            stored = {each for (each,) in connection.execute(f"SELECT DISTINCT {folder} FROM {table}") if each}
            for old in sorted(each for each in stored if home(each, database) != each):
                _refuse_without_artifacts(connection, old, here)
                left.add(str(_root(old)))
                connection.execute(
                    f"UPDATE {table} SET {column} = ? || substr({column}, ?) WHERE {folder} = ?",
                    (home(old, database), len(old) + 1, old),
                )
    if left:
        places = ", ".join(sorted(left))
        log.warning(
            "%s was moved or copied; the addresses of its artifacts, from %s, now name %s", database, places, here
        )


def home(stored: str, database: Path) -> str:
    """Return the address of artifacts in the folder beside a database, for one stored before a move or a copy."""
    root, here = _root(stored), artifacts_of(database)
    if root is None or root == here or not _is_left(root, database):
        return stored
    return here.as_uri() + stored[stored.rindex(ARTIFACTS) + len(ARTIFACTS) :]


def _refuse_without_artifacts(connection: sqlite3.Connection, old: str, here: Path) -> None:
    prefix = f"{old}/"
    found = connection.execute("SELECT count(*) FROM runs WHERE substr(artifact_uri, 1, ?) = ?", (len(prefix), prefix))
    runs = found.fetchone()[0]
    if runs and not here.is_dir():
        raise InputError(
            f"tracking.uri: the database in {here.parent} was moved or copied without the artifacts of its {runs} runs "
            f"in {_root(old)}; copy them to {here}, or make that folder empty if they are lost"
        )


def _root(stored: str) -> Path | None:
    """The folder `mlartifacts` of an address; None for one that was chosen by somebody."""
    scheme = urlsplit(stored).scheme
    if scheme not in ("", "file"):
        return None
    path = Path(url2pathname(urlsplit(stored).path) if scheme else stored)
    return next((folder for folder in (path, *path.parents) if folder.name == ARTIFACTS), None)


def _is_left(root: Path, database: Path) -> bool:
    """Whether a folder of artifacts is where the project was before: gone, or of another database beside it."""
    owner = root.parent / database.name
    if os.path.exists(owner):
        return not os.path.samefile(owner, database)
    return not os.path.exists(root)
