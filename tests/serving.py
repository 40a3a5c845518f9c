"""MLflow's tracking server for tests: it runs in a thread and can be stopped, started again, and made to fail."""

import threading
from collections.abc import Callable
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import with_store


class Server:
    """Serve the store and the artifacts of a folder, at the same address after each restart."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch):
        from mlflow.server import (
            ARTIFACT_ROOT_ENV_VAR,
            ARTIFACTS_DESTINATION_ENV_VAR,
            BACKEND_STORE_URI_ENV_VAR,
            SERVE_ARTIFACTS_ENV_VAR,
            app,
            handlers,
        )

        with_store(folder)
        for name, value in {
            BACKEND_STORE_URI_ENV_VAR: f"sqlite:///{folder}/mlflow.db",
            ARTIFACT_ROOT_ENV_VAR: "mlflow-artifacts:/",
            ARTIFACTS_DESTINATION_ENV_VAR: str(folder / "artifacts"),
            SERVE_ARTIFACTS_ENV_VAR: "true",
        }.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for cached in ("_tracking_store", "_artifact_repo"):
            monkeypatch.setattr(handlers, cached, None)
        self.app = app
        self.fault: Callable[[dict], tuple[str, bytes] | None] | None = None
        self.port = 0
        self.start()

    def answer(self, environ: dict, start_response: Callable):
        """Return the response of MLflow, or of a fault: a status line and a body, as from a proxy in front of it."""
        if self.fault is None or (instead := self.fault(environ)) is None:
            return self.app(environ, start_response)
        environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        status, body = instead
        start_response(status, [("Content-Type", "text/html"), ("Location", "/health")])
        return [body]

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        from werkzeug.serving import WSGIRequestHandler, make_server

        quiet = type("Quiet", (WSGIRequestHandler,), {"log": lambda *_: None})
        self._server = make_server("127.0.0.1", self.port, self.answer, threaded=True, request_handler=quiet)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def serving(folder: Path, monkeypatch: pytest.MonkeyPatch):
    server = Server(folder, monkeypatch)
    yield server
    server.stop()
