"""The files of an outbox: whole whenever a process is killed, and memory where there is no room for files."""

import multiprocessing
import os
import signal
from pathlib import Path

import pytest
from outages import away, status, steps
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
def test_killed_at_any_step_of_keeping_or_sending(tmp_path, step):
    """What was kept whole arrives, in its order; sent twice it does no harm."""
    folder, arrived = tmp_path / "outbox" / "r", tmp_path / "arrived"

    class Client:
        def set_tag(self, _, key, value):
            with arrived.open("a") as file:
                file.write(f"{value}\n")

    def killed():
        left = iter(range(step - 1, -1, -1))
        for name in ("write_bytes", "write_text", "rename", "unlink", "rmdir"):
            method = getattr(Path, name)

            def operation(*arguments, method=method, **options):
                if next(left, None) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(*arguments, **options)

            setattr(Path, name, operation)
        kept = Outbox(Client(), "r", folder)
        for number in range(2):
            kept.kept.add(Write("tag", ["key", str(number)]))
        kept.flush()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join(60)
    whole = len(list(folder.glob("*.json")))
    assert Outbox(Client(), "r", folder).flush()
    numbers = arrived.read_text().split() if arrived.exists() else []
    assert list(dict.fromkeys(numbers)) == ["0", "1"][: len(set(numbers))]
    assert len(set(numbers)) >= whole
    assert not list(folder.glob("*.json"))


def test_where_files_can_not_be_written_writes_are_held_and_sent(store, tmp_path, monkeypatch):
    said = []
    monkeypatch.setattr(waiting.log, "warning", lambda text, *values: said.append(text % values))
    (tmp_path / "outbox").write_text("a file")
    with tracking.started(store, "a run", {}) as run, away():
        for step in range(3):
            run.metrics({"loss": 1.0}, step)
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "FINISHED"
    assert sum("waiting writes stay in memory" in text for text in said) == 1


def test_what_neither_the_store_nor_files_take_is_said_to_be_lost(store, tmp_path):
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(TrackingError) as said, away(), tracking.started(store, "a run", {}) as run:
        run.text("a", "layers.csv")
    assert f"{tmp_path}/outbox/{run.id} can't be written (" in str(said.value)
    assert "so these are lost: layers.csv, how it ended" in str(said.value)
    assert "resend" not in str(said.value)
