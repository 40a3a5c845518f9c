"""Addresses: of tracking stores and of the folders for a run's files; no secret is kept, no strange folder written."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from bench.errors import InputError

ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\",{}\[\]]*")
SECRET = re.compile(r"(pass|pwd|secret|token|api_?key|access_?key|credential|signature|\bsig)\w*=", re.IGNORECASE)
WEB = ("http", "https")
# where a server may keep files, beside its own address: object stores, which ask for credentials of the user's own
OBJECT_STORES = ("s3", "gs", "wasbs", "abfss", "r2", "b2", "hdfs")


def has_secret(address: str) -> bool:
    """Whether an address holds a password or a token.

    >>> has_secret("http://me:word@host"), has_secret("http://host?token=1"), has_secret("postgresql://me@host/db")
    (True, True, False)
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower().startswith("sqlite"):  # whose path may hold any character
        return False
    host = re.split(r"[/?#]", rest)[0]
    user, at, _ = host.rpartition("@")
    if at and (":" in user or scheme.lower() in WEB):
        return True
    cut_off = "@" in rest and re.search(r":(?!\d*$)(?![^\[]*\])", host.rpartition("@")[2])  # a / ? or # in a password
    return bool(cut_off) or bool(SECRET.search(unquote(rest)))


def shown(address: str) -> str:
    """An address for a message, without user, password, token and query.

    >>> shown("http://me:word@host:5000/mlflow?token=1"), shown("sqlite:///a@b.db")
    ('http://host:5000/mlflow', 'sqlite:///a@b.db')
    """
    scheme, found, rest = address.partition("://")
    if not found or scheme.lower().startswith("sqlite"):
        return address
    if has_secret(address):
        rest = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme}://{rest}"


def refuse_secrets(texts: Iterable[str]) -> None:
    """Raise InputError, which does not repeat it, where an override or an address holds a password or a token."""
    for text in texts:
        name = "tracking.uri" if "://" in text.partition("=")[0] else text.partition("=")[0].lstrip("+~")
        for address in ADDRESS.findall(text):
            if has_secret(address):
                raise InputError(
                    f"{name}: got an address with a password or a token, which would be stored; {_fix(address)}"
                )


def _fix(address: str) -> str:
    scheme = address.partition("://")[0].lower()
    if scheme in WEB:
        return "leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if scheme.startswith("postgres"):
        return "leave it out and set PGPASSWORD, or PGPASSFILE to a file that holds it"
    return "leave it out and keep it in a file of the database's client or in the environment"


def refuse_strange(store: str, files: str) -> None:
    """Raise InputError where a server over the network keeps a run's files anywhere but behind itself.

    store: its address; that of a database is not checked. files: where it says that the files of a run are. A folder of
    this machine is refused, except `mlartifacts` below the current one where the server runs on this machine.
    """
    where, here = urlsplit(files), urlsplit(store)
    if here.scheme not in WEB or where.scheme in OBJECT_STORES:
        return
    if where.scheme in (here.scheme, "mlflow-artifacts") and where.hostname in (None, here.hostname):
        return
    own = (Path.cwd() / "mlartifacts").resolve()
    if where.scheme in ("", "file") and where.hostname in (None, "localhost") and _is_local(here.hostname):
        folder = url2pathname(where.path) if where.scheme else files
        if Path(folder).is_absolute() and Path(folder).resolve().is_relative_to(own):
            return
    raise InputError(
        f"tracking.uri: got {shown(store)}, whose run has its files in {shown(files)[:200]!r}, wanted them behind the "
        "server; start it with --serve-artifacts, or take an experiment that was made so"
    )


def _is_local(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")
