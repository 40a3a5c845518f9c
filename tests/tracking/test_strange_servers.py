"""Servers with responses that MLflow does not send: one line, and no file of this machine is read or written."""

import http.server
import json
import random
import threading
from contextlib import contextmanager

import pytest
from running import assert_refused, tiny

import bench
from bench import tracking
from bench.errors import InputError, TrackingError
from bench.tracking import artifacts, records, store
from bench.tracking.store import client_of, connect

RUN = "a" * 32
EXPERIMENT = {"experiment": {"experiment_id": "1", "name": "bench", "lifecycle_stage": "active", "tags": []}}
ESCAPE = "\x1b[2J"  # clears a terminal


class Handler(http.server.BaseHTTPRequestHandler):
    """Respond with the status, body (bytes or an iterator of chunks) and headers of `answer(path)`."""

    answer = None

    def do_GET(self):
        status, body, headers = type(self).answer(self.path.partition("?")[0])
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        try:
            for chunk in [body] if isinstance(body, bytes) else body:
                self.wfile.write(chunk)
        except OSError:
            self.close_connection = True  # the reader has closed the connection

    do_POST = do_PUT = do_GET

    def log_message(self, *_):
        pass


@contextmanager
def run_server(answer):
    kind = type("Kind", (Handler,), {"answer": staticmethod(answer)})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), kind) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def as_json(value) -> tuple:
    return 200, json.dumps(value).encode(), {"Content-Type": "application/json"}


def mlflow(files: str = "mlflow-artifacts:/1/a", **others):
    """Return responses of a server with one run, whose files are at `files`; others: responses by word in the path."""

    def answer(path):
        for word, response in others.items():
            if word in path.replace("-", "_").replace("/", "_"):
                return response
        if path == "/version":
            return 200, b"3.17.2", {}
        if "experiments/get" in path:
            return as_json(EXPERIMENT)
        if "runs/" in path:
            info = {"run_id": RUN, "experiment_id": "1", "status": "FINISHED", "artifact_uri": files, "start_time": 1}
            return as_json({"run": {"info": info, "data": {}}})
        return as_json({})

    return answer


@pytest.fixture(autouse=True)
def short_time_limits(monkeypatch):
    monkeypatch.setattr(store, "ANSWER_SECONDS", 5)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")


def refusals(address: str) -> list[str]:
    """Return the error messages of two readers of a run; assert that each is one printable line."""
    messages = []
    for read in (lambda: records.card_of(connect(address, "bench"), RUN), lambda: bench.load(RUN, address)):
        with pytest.raises((InputError, TrackingError)) as refusal:
            read()
        messages.append(str(refusal.value))
        assert "\n" not in messages[-1]
        assert ESCAPE not in messages[-1]
    return messages


ODD = [None, 1, "x", [1], {"a": [1]}, {"run": 3}, {"run": [1]}, {"experiment": [1]}, {"experiment": {"tags": "x"}}]
BODIES = [b"", b"<html>log in</html>", b"\xff\xfe\0", ESCAPE.encode(), b'{"a":' * 10_000]
BODIES += [json.dumps(odd).encode() for odd in ODD]


@pytest.mark.parametrize("body", BODIES)
def test_invalid_responses_are_refused(body):
    with run_server(lambda path: (200, body, {"Content-Type": "application/json"})) as address:
        assert all(refusals(address))
    with run_server(mlflow(runs_get=(200, body, {"Content-Type": "application/json"}))) as address:
        assert all(refusals(address))
    with run_server(mlflow(mlflow_artifacts=(200, body, {}))) as address:
        assert all(refusals(address))


def test_random_values_in_responses_are_refused():
    """Values in the responses of a correct server are replaced at random."""
    rng = random.Random(0)
    good = json.loads(mlflow()("/runs/get")[1])
    for _ in range(20):
        changed = json.loads(json.dumps(good))
        for _ in range(rng.randrange(1, 4)):
            key = rng.choice(list(changed["run"]["info"]))
            changed["run"]["info"][key] = rng.choice([*ODD, -(2**70), "../..", ESCAPE])
        with run_server(mlflow(runs_get=as_json(changed), mlflow_artifacts=(404, b"", {}))) as address:
            assert all(refusals(address))


def test_redirects_to_files_and_loops_are_refused():
    for target in ("file:///etc/passwd", "/loop"):
        with run_server(lambda path, target=target: (302, b"", {"Location": target})) as address:
            assert all(refusals(address))


def test_an_infinite_file_is_refused(monkeypatch):
    monkeypatch.setattr(artifacts, "LARGEST", dict.fromkeys(artifacts.LARGEST, 1 << 20))

    def endless():
        while True:
            yield b"x" * (1 << 16)

    answer = mlflow()
    with run_server(lambda path: (200, endless(), {}) if "artifacts" in path else answer(path)) as address:
        for message in refusals(address):
            assert "has more than 1048576 bytes" in message


def test_files_outside_the_folder_of_a_run_are_not_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    listed = {"files": [{"path": "../../../../../../evil", "is_dir": False, "file_size": 3}]}
    with run_server(mlflow(mlflow_artifacts=as_json(listed))) as address:
        assert all(refusals(address))
    assert list(tmp_path.iterdir()) == []


def test_a_server_cannot_read_or_write_folders_of_this_machine(tmp_path):
    (tmp_path / "precious").mkdir()
    for name in ("config.yaml", "dataset.json", "weights.pt"):
        (tmp_path / "precious" / name).write_text("mine")
    for files in ((tmp_path / "precious").as_uri(), str(tmp_path / "precious"), "precious", "./precious", "dbfs:/a"):
        with run_server(mlflow(files)) as address:
            for message in refusals(address):
                assert "whose run has its files in" in message
    elsewhere = as_json({"experiment": EXPERIMENT["experiment"] | {"artifact_location": str(tmp_path / "precious")}})
    with run_server(mlflow(experiments_get=elsewhere)) as address:
        ended = tiny(tmp_path, f"tracking.uri={address}")
        assert_refused(ended, f"tracking.uri: got {address}, whose run has its files in")
    with run_server(mlflow(str(tmp_path / "precious"))) as address, pytest.raises(InputError, match="has its files in"):
        client_of(address).log_artifact(RUN, __file__)
    assert {path.read_text() for path in (tmp_path / "precious").iterdir()} == {"mine"}
    assert len(list((tmp_path / "precious").iterdir())) == 3


def test_a_run_whose_files_would_be_on_this_machine_does_not_start(tmp_path):
    with (
        run_server(mlflow(files=tmp_path.as_uri())) as address,
        pytest.raises(InputError, match="whose run has its files in 'file://"),
        tracking.started(connect(address, "bench"), "a run", {}),
    ):
        pytest.fail("it began")
    assert not list(tmp_path.iterdir())
