"""Waiting writes: files are complete even if a process is killed; without space for files they stay in memory."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from outages import status, steps, unreachable_store
from running import uri, with_store

from bench import tracking
from bench.errors import TrackingError
from bench.tracking.offline import waiting
from bench.tracking.offline.outbox import Outbox
from bench.tracking.offline.writes import Write
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    return connect(uri(with_store(tmp_path)), "tests")


@pytest.mark.parametrize("step", range(1, 16))
def test_a_process_killed_at_any_step_loses_no_complete_write(tmp_path, step):
    """Writes that were stored completely arrive in order; a write may arrive twice."""
    folder, arrived = tmp_path / "outbox" / "r", tmp_path / "arrived"

    class Client:
        def set_tag(self, _, key, value):
            with arrived.open("a") as file:
                file.write(f"{value}\n")

    def run_until_killed():
        remaining = iter(range(step - 1, -1, -1))
        for name in ("write_bytes", "write_text", "rename", "unlink", "rmdir"):
            method = getattr(Path, name)

            def operation(*arguments, method=method, **options):
                if next(remaining, None) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(*arguments, **options)

            setattr(Path, name, operation)
        kept = Outbox(Client(), "r", folder)
        for number in range(2):
            kept.kept.add(Write("tag", ["key", str(number)]))
        kept.flush()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=run_until_killed)
    process.start()
    process.join(60)
    complete = len(list(folder.glob("*.json")))
    assert Outbox(Client(), "r", folder).flush()
    numbers = arrived.read_text().split() if arrived.exists() else []
    assert list(dict.fromkeys(numbers)) == ["0", "1"][: len(set(numbers))]
    assert len(set(numbers)) >= complete
    assert not list(folder.glob("*.json"))


def test_if_files_cannot_be_written_writes_wait_in_memory_and_are_sent(store, tmp_path, monkeypatch):
    messages = []
    monkeypatch.setattr(waiting.log, "warning", lambda text, *values: messages.append(text % values))
    (tmp_path / "outbox").write_text("a file")
    with tracking.started(store, "a run", {}) as run, unreachable_store():
        for step in range(3):
            run.metrics({"loss": 1.0}, step)
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "FINISHED"
    assert sum("waiting writes stay in memory" in text for text in messages) == 1


def test_writes_that_neither_the_store_nor_files_accept_are_reported_as_lost(store, tmp_path):
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(TrackingError) as error, unreachable_store(), tracking.started(store, "a run", {}) as run:
        run.text("a", "layers.csv")
    assert f"{tmp_path}/outbox/{run.id} can't be written (" in str(error.value)
    assert "so these are lost: layers.csv, how it ended" in str(error.value)
    assert "resend" not in str(error.value)
