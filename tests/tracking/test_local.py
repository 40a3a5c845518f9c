"""A SQLite store that is locked, removed, replaced or full while a run logs: writes are kept and sent later."""

import errno
import os
import shutil
import signal
import sqlite3
import threading
from contextlib import closing, contextmanager

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import TEMPORARILY_UNAVAILABLE
from outages import tracking_error_of
from running import assert_refused, command, tiny, uri, with_store

from bench import tracking
from bench.errors import InputError
from bench.tracking import local, records
from bench.tracking.offline import outbox
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    monkeypatch.setattr(local, "LOCKED_SECONDS", 0)
    return connect(uri(with_store(tmp_path)), "tests")


@contextmanager
def locked(folder):
    """Lock the database, as during a write of another process."""
    with closing(sqlite3.connect(folder / "mlflow.db", isolation_level=None)) as database:
        database.execute("BEGIN EXCLUSIVE")
        yield
        database.rollback()


def log_with_fault(store, fault) -> tuple[str, str]:
    """Log a run whose second half meets a fault; return its id and the error message."""

    def log(run):
        run.metrics({"loss": 1.0}, 1)
        run.text("a,b\n1,2\n", "layers.csv")
        fault()
        run.metrics({"loss": 0.5}, 2)
        run.file(b"\0" * 1000, "weights.pt")

    return tracking_error_of(store, log)


def assert_complete(store, run, tmp_path):
    ended = command(tmp_path, "resend", f"tracking.uri={uri(tmp_path)}", "tracking.experiment=tests")
    assert ended.code == 0, ended
    assert store.client.get_run(run).info.status == "FINISHED"
    assert sorted(step for step, _ in records.curve(store, run, "loss")) == [1, 2]
    assert {info.path for info in store.client.list_artifacts(run)} == {"layers.csv", "weights.pt"}
    assert not (tmp_path / "outbox").exists()


def test_a_locked_store_loses_no_write_and_gives_one_warning(store, tmp_path, capfd, caplog, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    with tracking.started(store, "a run", {}) as run:
        run.metrics({"loss": 1.0}, 1)
        with locked(tmp_path):
            for step in (2, 3):
                run.metrics({"loss": 1.0}, step)
    assert store.client.get_run(run.id).info.status == "FINISHED"
    assert sorted(step for step, _ in records.curve(store, run.id, "loss")) == [1, 2, 3]
    out, err = capfd.readouterr()
    assert "Traceback" not in out + err
    assert [record.message.partition(";")[0] for record in caplog.records if record.levelname == "WARNING"] == [
        f"tracking.uri: {store.uri} is locked by another process"
    ]


def test_a_run_waits_for_a_store_that_is_locked_briefly(store, tmp_path, monkeypatch):
    monkeypatch.setattr(store.client, "_seconds", 20)
    is_held, freed = threading.Event(), threading.Event()

    def hold():
        with locked(tmp_path):
            is_held.set()
            freed.wait(30)

    with tracking.started(store, "a run", {}) as run:
        other = threading.Thread(target=hold)
        other.start()
        is_held.wait(30)
        threading.Timer(1.0, freed.set).start()
        run.metrics({"loss": 1.0}, 1)
        assert not (tmp_path / "outbox").exists()
        other.join()
    assert store.client.get_run(run.id).data.metrics == {"loss": 1.0}


def test_ctrl_c_stops_a_run_while_a_store_is_locked(store, tmp_path, monkeypatch):
    monkeypatch.setattr(store.client, "_seconds", 600)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    runs = []

    def log():
        with tracking.started(store, "a run", {}) as run:
            runs.append(run)
            with locked(tmp_path):
                threading.Timer(0.2, os.kill, [os.getpid(), signal.SIGINT]).start()
                try:
                    run.metrics({"loss": 1.0}, 1)
                finally:
                    run.metrics({"loss": 0.5}, 2)

    try:
        with pytest.raises(KeyboardInterrupt):
            log()
    finally:
        signal.signal(signal.SIGINT, before)
    assert store.client.get_run(runs[0].id).info.status == "KILLED"
    assert sorted(step for step, _ in records.curve(store, runs[0].id, "loss")) == [1, 2]


def test_writes_are_complete_after_a_database_was_moved_and_restored(store, tmp_path):
    run, message = log_with_fault(store, lambda: shutil.move("mlflow.db", "moved.db"))
    assert "the database was removed or replaced" in message
    assert f"run {run} is missing these 3 writes: metrics, weights.pt, how it ended" in message
    assert not (tmp_path / "mlflow.db").exists(), "an empty one would hide that the other is gone"
    shutil.move("moved.db", "mlflow.db")
    assert_complete(store, run, tmp_path)


def test_writes_are_complete_after_a_database_was_replaced_and_restored(store, tmp_path):
    def replace():
        shutil.move("mlflow.db", "moved.db")
        (tmp_path / "other").mkdir()
        shutil.move(with_store(tmp_path / "other") / "mlflow.db", "mlflow.db")

    run, message = log_with_fault(store, replace)
    assert "the database was removed or replaced" in message
    shutil.move("moved.db", "mlflow.db")
    assert_complete(store, run, tmp_path)


def test_removed_artifacts_are_sent_again(store, tmp_path):
    with tracking.started(store, "a run", {}) as run:
        run.text("a,b\n1,2\n", "layers.csv")
        run.text("a,b\n1,2\n", "tables/some.csv")
        shutil.rmtree("mlartifacts")
        run.text("a\n", "test.csv")
    assert store.client.get_run(run.id).info.status == "FINISHED"
    assert {info.path for info in store.client.list_artifacts(run.id)} == {"layers.csv", "tables", "test.csv"}


def test_writes_are_complete_after_the_folder_of_artifacts_was_a_file(store, tmp_path):
    def replace():
        shutil.rmtree("mlartifacts")
        (tmp_path / "mlartifacts").write_text("")

    run, message = log_with_fault(store, replace)
    assert "is missing these 3 writes: weights.pt, layers.csv, how it ended" in message
    assert store.client.get_run(run).info.status == "FAILED"
    (tmp_path / "mlartifacts").unlink()
    assert_complete(store, run, tmp_path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_for_artifacts_does_not_stop_metrics(store, tmp_path, monkeypatch, code):
    def full(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as broken:
        run, message = log_with_fault(store, lambda: broken.setattr(MlflowClient, "log_artifact", full))
    assert message.startswith("disk full: make room where tracking.uri keeps runs and artifacts; run")
    assert "is missing these 2 writes: weights.pt, how it ended" in message
    assert sorted(step for step, _ in records.curve(store, run, "loss")) == [1, 2]
    assert_complete(store, run, tmp_path)


@pytest.mark.parametrize(
    "words",
    ["database or disk is full", "attempt to write a readonly database", "disk I/O error", "no such table: runs"],
)
def test_a_database_that_refuses_writes(store, tmp_path, monkeypatch, words):
    def fail(*_, **__):
        raise MlflowException(f"(sqlite3.OperationalError) {words}\n[SQL: INSERT …]", TEMPORARILY_UNAVAILABLE)

    with monkeypatch.context() as broken:
        run, message = log_with_fault(store, lambda: broken.setattr(MlflowClient, "log_batch", fail))
    assert ("disk full: make room" if "full" in words else words) in message
    assert "is missing these 2 writes: metrics, how it ended" in message
    assert "\n" not in message
    assert_complete(store, run, tmp_path)


def test_a_run_deleted_in_the_ui_can_be_completed_after_it_is_restored(store, tmp_path, monkeypatch):
    runs = []
    create = MlflowClient.create_run
    monkeypatch.setattr(MlflowClient, "create_run", lambda *a, **o: runs.append(create(*a, **o)) or runs[-1])
    run, message = log_with_fault(store, lambda: store.client.delete_run(runs[0].info.run_id))
    assert "deleted" in message
    store.client.restore_run(run)
    assert_complete(store, run, tmp_path)


def test_the_process_of_a_run_determines_its_final_status(store):
    with tracking.started(store, "a run", {}) as run:
        store.client.set_terminated(run.id, "FAILED")
        run.metrics({"loss": 1.0}, 1)
    assert store.client.get_run(run.id).info.status == "FINISHED"


def test_a_run_that_cannot_start_is_refused_with_one_line(store, monkeypatch):
    def fail(*_, **__):
        raise MlflowException("(sqlite3.OperationalError) attempt to write a readonly database\n[SQL: …]")

    monkeypatch.setattr(MlflowClient, "create_run", fail)
    with (
        pytest.raises(InputError, match=r"wanted a store that accepts a new run \(.*readonly database\); check that"),
        tracking.started(store, "a run", {}),
    ):
        pass


def test_a_store_that_is_locked_at_the_start_is_refused(store, tmp_path):
    with locked(tmp_path):
        ended = tiny(tmp_path)
    assert_refused(
        ended._replace(out=""), f"tracking.uri: got {store.uri}, wanted a tracking store that answers", "locked"
    )
