"""Addresses of tracking stores and of the folders with files of runs: refuse secrets and foreign folders."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import url2pathname

from bench.errors import InputError

ADDRESS = re.compile(r"[A-Za-z][\w+.-]*://[^\s'\",{}\[\]]*")
SECRET = re.compile(r"(pass|pwd|secret|token|api_?key|access_?key|credential|signature|\bsig)\w*=", re.IGNORECASE)
WEB = ("http", "https")
# variables from which the client of a store reads the user and the password, and how the address of such a store begins
CREDENTIALS = {
    **dict.fromkeys(("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD", "MLFLOW_TRACKING_TOKEN"), WEB),
    **dict.fromkeys(("PGUSER", "PGPASSWORD", "PGPASSFILE"), ("postgres",)),
}
# A server may also keep files in object stores, which require the user's own credentials.
OBJECT_STORES = ("s3", "gs", "wasbs", "abfss", "r2", "b2", "hdfs")


def has_secret(address: str) -> bool:
    """Return whether an address contains a password or a token.

    Examples:
        >>> has_secret("http://me:word@host"), has_secret("http://host?token=1"), has_secret("postgresql://me@host/db")
        (True, True, False)
    """
    scheme, _, rest = address.partition("://")
    if scheme.lower().startswith("sqlite"):  # its path may contain any character
        return False
    host = re.split(r"[/?#]", rest)[0]
    user, at, _ = host.rpartition("@")
    if at and (":" in user or scheme.lower() in WEB):
        return True
    # A password with / ? or # ends the host too early, after a colon that is not followed by a port.
    truncated = "@" in rest and re.search(r":(?!\d*$)(?![^\[]*\])", host.rpartition("@")[2])
    return bool(truncated) or bool(SECRET.search(unquote(rest)))


def without_password(address: str) -> str:
    """Format an address for a message: remove user, password, token and query if it contains a secret.

    Examples:
        >>> without_password("http://me:word@host:5000/mlflow?token=1"), without_password("sqlite:///a@b.db")
        ('http://host:5000/mlflow', 'sqlite:///a@b.db')
    """
    scheme, found, rest = address.partition("://")
    if not found or scheme.lower().startswith("sqlite"):
        return address
    if has_secret(address):
        rest = re.split(r"[?#]", rest.rpartition("@")[2])[0]
    return f"{scheme}://{rest}"


def refuse_secrets(texts: Iterable[str]) -> None:
    """Refuse overrides and addresses that contain a password or a token.

    Raises:
        InputError: A text contains a secret. The message does not repeat it.
    """
    for text in texts:
        name = "tracking.uri" if "://" in text.partition("=")[0] else text.partition("=")[0].lstrip("+~")
        for address in ADDRESS.findall(text):
            if has_secret(address):
                raise InputError(
                    f"{name}: got an address with a password or a token, which would be stored; {_fix(address)}"
                )


def with_credentials(uri: str, environment: Mapping[str, str] = os.environ) -> str:
    """Return the words that say with which variables a later command reaches a store, if this process needs them.

    Examples:
        >>> with_credentials("http://host", {"MLFLOW_TRACKING_TOKEN": "word"}), with_credentials("sqlite:////a.db")
        (' with MLFLOW_TRACKING_TOKEN set', '')
    """
    names = [name for name in CREDENTIALS if name in environment and uri.startswith(CREDENTIALS[name])]
    return f" with {' and '.join(names)} set" if names else ""


def _fix(address: str) -> str:
    """Return how the user can give the secret instead, which depends on the kind of address."""
    scheme = address.partition("://")[0].lower()
    if scheme in WEB:
        return "leave it out and set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
    if scheme.startswith("postgres"):
        return "leave it out and set PGPASSWORD, or PGPASSFILE to a file that holds it"
    return "leave it out and keep it in a file of the database's client or in the environment"


def refuse_strange(store: str, files: str) -> None:
    """Refuse a server that does not serve the files of its runs itself or keep them in an object store.

    A folder of this machine is refused. The exception is `mlartifacts` in the working directory if the server runs on
    this machine.

    Args:
        store: Address of the server. The address of a database is not checked.
        files: The location of the files of a run, as the server reports it.

    Raises:
        InputError: The location is not allowed.
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
        f"tracking.uri: got {without_password(store)}, whose run has its files in {without_password(files)[:200]!r}, "
        "wanted files that the server serves; start it with --serve-artifacts, or take an experiment that was "
        "created with this option"
    )


def _is_local(host: str | None) -> bool:
    return host in ("localhost", "127.0.0.1", "::1")
