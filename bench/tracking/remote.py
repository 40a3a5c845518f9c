"""Remote tracking store: a server on the network, and messages for its errors."""

from __future__ import annotations

import contextlib
import functools
import os
import re
from collections.abc import Callable, Iterator, Sequence

import requests
from google.protobuf.json_format import ParseError
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import http_request
from sqlalchemy import Executable

from bench.errors import InputError, TrackingError
from bench.tracking.addresses import WEB, without_password
from bench.tracking.artifacts import Artifacts
from bench.tracking.local import execute

OLDEST = (2, 4)  # first version of the server that accepts the datasets of a run
PASSWORD, FORBIDDEN, TOO_MANY, FAULTS, NO_ANSWER = 401, 403, 429, 500, 503  # status codes of HTTP
HURRIED = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0", "MLFLOW_HTTP_REQUEST_TIMEOUT": "5"}


class Unanswered(TrackingError):
    """The tracking server gave no answer, because the connection failed or was interrupted."""


class Remote:
    """A client that raises TrackingError if the server is unavailable and InputError if it refuses a request.

    Args:
        client: MLflow's client of the server.
        uri: Address of the server.
    """

    def __init__(self, client: MlflowClient, uri: str):
        self._client = client
        self._uri = without_password(uri)  # for messages
        self._artifacts = Artifacts(client, uri)

    @contextlib.contextmanager
    def short_timeouts(self) -> Iterator[None]:
        """Try each request only once and for 5 s within this context, because the process is stopping."""
        before = {name: os.environ.get(name) for name in HURRIED}
        os.environ.update(HURRIED)
        try:
            yield
        finally:
            for name, value in before.items():
                os.environ.pop(name) if value is None else os.environ.update({name: value})

    def __getattr__(self, name: str):
        method = getattr(self._artifacts if hasattr(self._artifacts, name) else self._client, name)
        return functools.wraps(method)(functools.partial(self._call, name, method))

    def execute(self, *statements: Executable) -> list[Sequence] | None:
        """Execute statements of SQL, see `local.execute`. A server executes none, and the result is None."""
        if self._uri.startswith(WEB):
            return None
        return self._call("read runs", execute, self._client, *statements)

    def _call(self, name: str, method: Callable, *arguments, **options):
        """Call a method and turn its errors into TrackingError or InputError."""
        try:
            return method(*arguments, **options)
        except ParseError as error:
            raise InputError(
                f"tracking.uri: got {self._uri}, whose answer is not from an MLflow server ({reason_of(error)}); "
                "fix the address or update the server"
            ) from error
        except (MlflowException, requests.RequestException) as error:
            status = status_of(error)
            if status == PASSWORD:
                raise InputError(
                    f"tracking.uri: got {self._uri}, which requires a valid user and password; "
                    "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"
                ) from error
            if status == FORBIDDEN:
                user = os.environ.get("MLFLOW_TRACKING_USERNAME", "this user")
                raise InputError(
                    f"tracking.uri: got {self._uri}, which forbids {user} to {name.replace('_', ' ')}; "
                    "ask its administrator for permission, or use another tracking.experiment"
                ) from error
            if status == TOO_MANY or status >= FAULTS:
                kind = Unanswered if is_unanswered(error) else TrackingError
                raise kind(f"tracking.uri: {self._uri} gives no answer ({reason_of(error)})") from error
            raise


def status_of(error: MlflowException | requests.RequestException) -> int:
    """Return the HTTP status that caused an error, or 503 if there was no answer.

    MLflow reports a status for which it has no name, such as 413, as a fault of the server. The text of the error
    contains the number.

    Examples:
        >>> status_of(MlflowException("API request to endpoint /api failed with error code 413 != 200"))
        413
    """
    if isinstance(error, MlflowException):
        code = re.search(r"failed with error code (\d{3}) != ", str(error))
        return int(code.group(1)) if code else error.get_http_status_code()
    return NO_ANSWER if error.response is None else error.response.status_code


def is_unanswered(error: MlflowException | requests.RequestException) -> bool:
    """Return whether there was no answer, or no answer in time."""
    if isinstance(error, MlflowException):
        text = str(error)
        return ("failed with exception" in text and "error responses" not in text) or "timeout exception" in text
    return error.response is None


def reason_of(error: BaseException) -> str:
    """Return the first line of an error, or only the cause if the line contains "(Caused by ...)".

    Examples:
        >>> reason_of(OSError("Retries exceeded with url: /api (Caused by ResponseError('too many 500 responses'))"))
        "ResponseError('too many 500 responses')"
    """
    line = (str(error).splitlines() or [repr(error)])[0]
    reason = (re.findall(r"\(Caused by (.*)\)", line) or [line])[-1][:200]
    return "".join(letter for letter in reason if letter.isprintable())  # a server may send control codes of terminals


def refuse_old(uri: str) -> None:
    """Refuse a server whose version is too old for the data that runs log.

    Raises:
        InputError: The server reports a version before 2.4.
    """
    answer = http_request(get_default_host_creds(uri), "/version", "GET")
    version = answer.text[:20] if answer.status_code == requests.codes.ok else ""
    found = re.match(r"(\d{1,9})\.(\d{1,9})[.\d]*", version)
    if found and tuple(map(int, found.groups())) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        raise InputError(
            f"tracking.uri: got {without_password(uri)}, an MLflow server of version {found.group()}, wanted "
            f"{oldest} or later; update the server"
        )
