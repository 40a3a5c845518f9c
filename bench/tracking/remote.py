"""Remote: a tracking server over the network, and what its refusals mean."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Iterator

import requests
from google.protobuf.json_format import ParseError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request

from bench.errors import InputError, TrackingError
from bench.tracking.addresses import shown
from bench.tracking.artifacts import Artifacts

# A server that is away is asked again for some 12 s and not for minutes: what a run logs meanwhile can wait in files.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "60")

OLDEST = (2, 4)  # version of the server: the first that takes the datasets of a run
PASSWORD, FORBIDDEN, TOO_MANY, FAULTS, NO_ANSWER = 401, 403, 429, 500, 503  # of HTTP
HURRIED = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


class Unanswered(TrackingError):
    """The connection failed or broke off: the tracking server gave no answer at all."""


class Remote:
    """A client whose errors say whether the server is away (TrackingError) or refuses (InputError)."""

    def __init__(self, client: MlflowClient, uri: str):
        self._client = client
        self._uri = shown(uri)  # for messages
        self._artifacts = Artifacts(client, uri)

    @contextlib.contextmanager
    def hurried(self) -> Iterator[None]:
        """Within: a request is tried once and for 5 s, because the process is being stopped."""
        before = {name: os.environ.get(name) for name in HURRIED}
        os.environ.update(HURRIED)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def __getattr__(self, name: str):
        method = getattr(self._artifacts if hasattr(self._artifacts, name) else self._client, name)

        @functools.wraps(method)
        def call(*arguments, **options):
            try:
                return method(*arguments, **options)
            except ParseError as error:
                raise InputError(
                    f"tracking.uri: got {self._uri}, which answers as no MLflow server does ({reason_of(error)}); "
                    "fix the address or update the server"
                ) from error
            except (MlflowException, requests.RequestException) as error:
                status = status_of(error)
                if status == PASSWORD:
                    raise InputError(
                        f"tracking.uri: got {self._uri}, which wants a user and a password that it knows; "
                        "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
                    ) from error
                if status == FORBIDDEN:
                    user = os.environ.get("MLFLOW_TRACKING_USERNAME", "this user")
                    raise InputError(
                        f"tracking.uri: got {self._uri}, which forbids {user} to {name.replace('_', ' ')}; "
                        "have its administrator permit it, or take another tracking.experiment"
                    ) from error
                if status == TOO_MANY or status >= FAULTS:
                    kind = Unanswered if is_unanswered(error) else TrackingError
                    raise kind(f"tracking.uri: {self._uri} gives no answer ({reason_of(error)})") from error
                raise

        return call


def status_of(error: MlflowException | requests.RequestException) -> int:
    """The HTTP status behind an error; 503 where there was no answer at all.

    MLflow takes each status that it has no name for, such as 413, for a fault of the server; its text has the number.

    >>> status_of(MlflowException("API request to endpoint /api failed with error code 413 != 200"))
    413
    """
    if isinstance(error, MlflowException):
        said = re.search(r"failed with error code (\d{3}) != ", str(error))
        return int(said.group(1)) if said else error.get_http_status_code()
    return NO_ANSWER if error.response is None else error.response.status_code


def is_unanswered(error: MlflowException | requests.RequestException) -> bool:
    """Whether there was no answer at all, or none in time."""
    if isinstance(error, MlflowException):
        said = str(error)
        return ("failed with exception" in said and "error responses" not in said) or "timeout exception" in said
    return error.response is None


def reason_of(error: BaseException) -> str:
    """The first line, or what the last of its parentheses says was the cause.

    >>> reason_of(OSError("Max retries exceeded with url: /api (Caused by ResponseError('too many 500 responses'))"))
    "ResponseError('too many 500 responses')"
    """
    line = (str(error).splitlines() or [repr(error)])[0]
    reason = (re.findall(r"\(Caused by (.*)\)", line) or [line])[-1][:200]
    return "".join(letter for letter in reason if letter.isprintable())  # a server may send a terminal's commands


def refuse_old(uri: str) -> None:
    """Raise InputError where a server says that it is of a version older than what is logged here needs."""
    answer = http_request(get_default_host_creds(uri), "/version", "GET")
    version = answer.text[:20] if answer.status_code == requests.codes.ok else ""
    said = re.match(r"(\d{1,9})\.(\d{1,9})[.\d]*", version)
    if said and tuple(map(int, said.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InputError(
            f"tracking.uri: got {shown(uri)}, an MLflow server of version {said.group()}, wanted {oldest} or later; "
            "update the server"
        )
