"""Tracking stores that cannot be used are refused with one line."""

import http.server
import socket
import threading
import time
from contextlib import contextmanager

import pytest
from running import assert_refused, tiny, uri, with_store
from serving import serving

from bench.errors import InputError
from bench.tracking import store
from bench.tracking.store import ANSWER_SECONDS, connect

pytestmark = pytest.mark.processes


@contextmanager
def silent_server():
    """Run a server that accepts connections and never responds."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def some_other_server():
    """Run a server that is not MLflow and responds with 404 or 501."""
    handler = type("Quiet", (http.server.BaseHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@contextmanager
def mlflow_server(status: int, version: str = "3.17.2"):
    """Run an MLflow server that responds with its version, and to all other requests with one status."""

    class Answer(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/version" else status)
            self.end_headers()
            self.wfile.write(version.encode() if self.path == "/version" else b"no")

        do_POST = do_GET

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.mark.parametrize(
    ("status", "version", "words"),
    [
        (401, "3.17.2", ("requires a valid user", "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD")),
        (403, "3.17.2", ("forbids", "ask its administrator for permission")),
        (404, "1.30.1", ("an MLflow server of version 1.30.1, wanted 2.4 or later; update the server",)),
        (404, "2.3.2", ("an MLflow server of version 2.3.2",)),
        (500, "3.17.2", ("wanted a tracking store that answers", "500 error responses")),
    ],
)
def test_a_server_that_refuses_is_reported_with_advice(tmp_path, monkeypatch, status, version, words):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with mlflow_server(status, version) as address:
        assert_refused(tiny(tmp_path, f"tracking.uri={address}"), f"tracking.uri: got {address}", *words)


def test_a_store_must_respond_within_15_seconds(tmp_path):
    assert ANSWER_SECONDS == 15
    with silent_server() as address:
        started = time.monotonic()
        assert_refused(
            tiny(tmp_path, f"tracking.uri={address}"), f"tracking.uri: got {address}", "no answer within 15 s"
        )
        assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    ("server", "overrides"),
    [(silent_server, ()), (no_server, ()), (some_other_server, ()), (no_server, ("-m", "seed=0,1"))],
)
def test_a_store_that_does_not_respond_is_refused(tmp_path, monkeypatch, server, overrides):
    monkeypatch.setattr(store, "ANSWER_SECONDS", 1)
    with server() as address:
        ended = tiny(tmp_path, *overrides, f"tracking.uri={address}")
    assert_refused(
        ended, f"tracking.uri: got {address}, wanted a tracking store that answers", "start it or fix the address"
    )


def test_the_time_limit_applies_to_each_request(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "ANSWER_SECONDS", 1)
    with serving(tmp_path, monkeypatch) as server:
        server.fault = lambda _: time.sleep(0.6)
        started = time.monotonic()
        assert connect(server.uri, "tests").client.get_experiment_by_name("tests")
        assert time.monotonic() - started > 1
        server.fault = lambda _: time.sleep(1.5)
        with pytest.raises(InputError, match="no answer within 1 s"):
            connect(server.uri, "tests")


def test_a_file_that_is_no_database_is_refused(tmp_path):
    (tmp_path / "notes.db").write_text("no database" * 100)
    assert_refused(tiny(tmp_path, f"tracking.uri=sqlite:///{tmp_path}/notes.db"), "notes.db")


def test_a_deleted_experiment_is_refused(tmp_path):
    known = connect(uri(with_store(tmp_path)), "old")
    known.client.delete_experiment(known.experiment_id)
    assert_refused(
        tiny(tmp_path, "tracking.experiment=old"), "got 'old', which was deleted; restore it or take another name"
    )
