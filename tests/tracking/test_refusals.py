"""A tracking server that refuses, interrupts or loses writes: missing writes are reported, kept and sent later."""

import shutil
import socket
import time

import pytest
from outages import tracking_error_of
from running import children, command, parents, runs, tiny
from serving import serving

from bench import tracking
from bench.sweeps import jobs
from bench.tracking import records
from bench.tracking.store import connect

pytestmark = pytest.mark.processes

PAGE = b"<html><body>Please log in</body></html>"


@pytest.fixture
def server(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    with serving(tmp_path, monkeypatch) as server:
        yield server


def is_upload(environ, name=""):
    return environ["REQUEST_METHOD"] == "PUT" and environ["PATH_INFO"].endswith(name)


def close_connection(environ):
    environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
    return "500 broken", b""


def respond_late(_):
    """Respond later than the time limit of a client."""
    time.sleep(1.5)
    return "200 ok", b""


def log_with_fault(store, fault) -> tuple[str, str]:
    """Log a run during which a fault begins; return its id and the error message."""

    def log(run):
        run.metrics({"loss": 1.0}, 1)
        run.text("a,b\n1,2\n", "tables/before.csv")
        fault(run)
        run.metrics({"loss": 0.5}, 2)
        run.file(b"\0" * 1000, "weights.pt")
        run.tag("colour", "blue")
        run.text("a,b\n3,4\n", "layers.csv")
        run.metrics({"loss": 0.25}, 3)

    return tracking_error_of(store, log)


def state(store, run):
    """Return the status, the steps of the loss, and the artifacts of a run."""
    found = [*store.client.list_artifacts(run), *store.client.list_artifacts(run, "tables")]
    steps = sorted(step for step, _ in records.curve(store, run, "loss"))
    return store.client.get_run(run).info.status, steps, {info.path for info in found if not info.is_dir}


WHOLE = {"tables/before.csv", "weights.pt", "layers.csv"}


def assert_sent_later(server, store, run, tmp_path):
    ended = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
    assert ended.code == 0, ended
    assert state(store, run) == ("FINISHED", [1, 2, 3], WHOLE)
    assert store.client.get_run(run).data.tags["colour"] == "blue"
    assert "incomplete" not in store.client.get_run(run).data.tags
    assert not (tmp_path / "outbox").exists()


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (("413 too large", b"<html>too large</html>"), "413"),
        (("401 who", PAGE), "requires a valid user and password"),
        (("403 no", PAGE), "forbids"),
        (("404 nothing here", PAGE), "404"),
        (("400 bad", PAGE), "400"),
        (close_connection, "gives no answer"),
    ],
)
def test_only_refused_weights_wait(server, tmp_path, answer, reason):
    def fault(_):
        server.fault = lambda environ: (
            (answer(environ) if callable(answer) else answer) if is_upload(environ, "weights.pt") else None
        )

    store = connect(server.uri, "tests")
    run, message = log_with_fault(store, fault)
    assert reason in message
    assert f"run {run} is missing these 2 writes: weights.pt, how it ended; they wait in" in message
    assert f"python -m bench resend folder={tmp_path}/outbox" in message
    assert "\n" not in message
    assert state(store, run) == ("FAILED", [1, 2, 3], WHOLE - {"weights.pt"})
    assert "weights.pt, how it ended in " in store.client.get_run(run).data.tags["incomplete"]
    server.fault = None
    assert_sent_later(server, store, run, tmp_path)


@pytest.mark.parametrize(
    "answer",
    [
        ("401 who", PAGE),
        ("403 no", PAGE),
        ("404 nothing here", PAGE),
        ("413 too large", PAGE),
        ("429 slower", PAGE),
        ("500 fault", PAGE),
        ("507 no room", PAGE),
        ("200 ok", PAGE),
        ("302 log in", PAGE),
        close_connection,
        respond_late,
    ],
)
def test_all_refused_writes_wait(server, tmp_path, monkeypatch, answer):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "1" if answer is respond_late else "60")

    def fault(_):
        server.fault = lambda environ: answer(environ) if callable(answer) else answer

    store = connect(server.uri, "tests")
    run, message = log_with_fault(store, fault)
    assert "is missing these 6 writes: metrics, weights.pt, tags, layers.csv, how it ended" in message
    assert "\n" not in message
    server.fault = None
    assert state(store, run) == ("RUNNING", [1], {"tables/before.csv"})
    assert_sent_later(server, store, run, tmp_path)


def test_a_run_deleted_in_the_ui_can_be_completed_after_it_is_restored(server, tmp_path):
    store = connect(server.uri, "tests")
    run, message = log_with_fault(store, lambda run: store.client.delete_run(run.id))
    assert "must be in the 'active' state" in message
    store.client.restore_run(run)
    assert_sent_later(server, store, run, tmp_path)


def test_a_run_of_an_experiment_deleted_in_the_ui_can_be_completed_after_it_is_restored(server, tmp_path):
    store = connect(server.uri, "tests")
    run, _ = log_with_fault(store, lambda _: store.client.delete_experiment(store.experiment_id))
    store.client.restore_experiment(store.experiment_id)
    assert_sent_later(server, store, run, tmp_path)


def test_removed_artifacts_are_sent_again(server, tmp_path):
    store = connect(server.uri, "tests")
    with tracking.started(store, "a run", {}) as run:
        run.text("a,b\n1,2\n", "tables/before.csv")
        run.text("a,b\n1,2\n", "layers.csv")
        shutil.rmtree(tmp_path / "artifacts")
        run.text("a\n", "test.csv")
    assert state(store, run.id) == ("FINISHED", [], {"tables/before.csv", "layers.csv", "test.csv"})
    assert not (tmp_path / "outbox").exists()


def test_an_upload_that_a_proxy_discards_is_missing(server, tmp_path):
    def fault(_):
        server.fault = lambda environ: ("200 ok", PAGE) if is_upload(environ, "weights.pt") else None

    store = connect(server.uri, "tests")
    run, message = log_with_fault(store, fault)
    assert f"artifacts of run {run} were removed: weights.pt" in message
    assert "is missing these 2 writes: weights.pt, how it ended" in message
    server.fault = None
    assert_sent_later(server, store, run, tmp_path)


def test_a_run_with_refused_weights_prints_its_results_and_missing_writes(server, tmp_path):
    server.fault = lambda environ: ("413 too large", PAGE) if is_upload(environ, "weights.pt") else None
    ended = tiny(tmp_path, "diagnostic=[u_plot]", f"tracking.uri={server.uri}")
    (run,) = runs(tmp_path)
    assert ended.code == 1
    assert "test dice" in ended.out
    assert ended.err.startswith(f"bench: tracking.uri: {server.uri} does not accept a write (")
    assert f"run {run.info.run_id} is missing these 2 writes: weights.pt, how it ended" in ended.err
    assert ended.err.count("\n") == 1
    assert run.info.status == "FAILED"
    server.fault = None
    assert command(tmp_path, "resend", f"tracking.uri={server.uri}").code == 0
    (run,) = runs(tmp_path)
    assert run.info.status == "FINISHED"
    stored = {info.path for info in connect(server.uri, "bench").client.list_artifacts(run.info.run_id)}
    assert {"config.yaml", "dataset.json", "weights.pt", "layers.csv", "test.csv", "figures"} <= stored


def test_a_job_of_a_sweep_repeated_before_its_first_attempt_is_sent_counts_once(server, tmp_path):
    sweep = ("-m", "seed=0,1", f"tracking.uri={server.uri}")
    refused = iter([True])
    server.fault = lambda environ: (
        ("413 too large", PAGE) if is_upload(environ, "weights.pt") and next(refused, False) else None
    )
    with pytest.MonkeyPatch.context() as lost:
        lost.setattr("bench.tracking.offline.outbox.Outbox.flush", lambda _: False)
        assert tiny(tmp_path, *sweep).code == 1
    assert tiny(tmp_path, *sweep).code == 0
    (parent,) = parents(tmp_path)
    statuses = {run.info.run_id: run.info.status for run in children(tmp_path, parent)}
    assert sorted(statuses.values()) == ["FAILED", "FINISHED", "FINISHED"]
    assert command(tmp_path, "resend", f"tracking.uri={server.uri}").code == 0
    after = {run.info.run_id: run.info.status for run in children(tmp_path, parent)}
    assert after == {run: "KILLED" if status == "FAILED" else status for run, status in statuses.items()}
    assert len(jobs.of_sweep(connect(server.uri, "bench"), parent.info.run_id)) == 2
