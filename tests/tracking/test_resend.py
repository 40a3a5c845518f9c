"""`resend` with running runs, simultaneous resends and damaged files."""

import json
import os
import shutil
import socket
import threading
from unittest.mock import Mock

import pytest
from outages import resend, run_without_store, status, steps, unreachable_store
from running import assert_refused, uri, with_store

from bench import tracking
from bench.errors import TrackingError
from bench.tracking.offline import outbox
from bench.tracking.offline.heartbeat import OWNER
from bench.tracking.offline.outbox import Outbox
from bench.tracking.offline.waiting import Waiting, runs_in
from bench.tracking.offline.writes import Write
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    return connect(uri(with_store(tmp_path)), "tests")


def test_resend_refuses_a_running_run_which_sends_its_writes_itself(store, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    with tracking.started(store, "a run", {}) as run:
        for step in range(30):
            if step % 10 < 5:
                with unreachable_store():
                    run.metrics({"loss": 1.0}, step)
            else:
                run.metrics({"loss": 1.0}, step)
            if step % 10 == 3:
                owner = f"process {os.getpid()} on {socket.gethostname()}"
                assert_refused(resend(tmp_path), f"run {run.id}: {owner} still executes it and sends the writes")
    assert steps(store, run) == [*range(30)]
    assert status(store, run) == "FINISHED"
    assert not (tmp_path / "outbox").exists()


def test_a_second_simultaneous_resend_is_refused(store, tmp_path):
    run = run_without_store(store)
    with Outbox(store.client, run.id).kept.locked():
        refused = resend(tmp_path)
    assert_refused(refused, f"run {run.id}: another process adds to {tmp_path}/outbox/{run.id} or sends from it")
    assert resend(tmp_path).out.endswith(f"\nrun {run.id}: sent 5 writes\n")
    assert status(store, run) == "FINISHED"


def test_no_write_is_lost_if_a_run_adds_writes_while_another_process_sends(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    received, folder = [], tmp_path / "outbox" / "r"

    class Client:
        def set_tag(self, _, key, value):
            if threading.current_thread() is threading.main_thread() and len(received) < 200:
                raise TrackingError("away")
            received.append(int(value))

    def send():
        while len(received) < 250:
            Outbox(Client(), "r", folder).flush()

    other = threading.Thread(target=send)
    run = Outbox(Client(), "r", folder)
    other.start()
    for number in range(300):
        run.send(Write("tag", ["key", str(number)]))
    run.wait(60)
    other.join()
    assert sorted(received) == [*range(300)]
    assert not folder.exists()


def test_a_folder_that_another_process_removes_at_this_moment_has_no_writes(tmp_path, monkeypatch):
    kept = Waiting(tmp_path / "outbox" / "r")
    kept.add(Write("tag", ["key", "1"]))
    list_folder = os.scandir

    def remove_first(path):
        if kept.folder.exists():
            kept.folder.rename(tmp_path / "removed")
        return list_folder(path)

    monkeypatch.setattr(os, "scandir", remove_first)
    assert (kept.paths(), len(kept), kept.entries(), kept.store()) == ([], 0, [], None)


def test_a_folder_that_another_process_removes_before_it_is_locked_is_created_again(tmp_path, monkeypatch):
    kept = Waiting(tmp_path / "outbox" / "r")
    acquire, removals = kept._lock.acquire, iter([kept.folder])

    def remove_first(seconds):
        for folder in removals:
            shutil.rmtree(folder.parent)
        return acquire(seconds)

    monkeypatch.setattr(kept._lock, "acquire", remove_first)
    kept.add(Write("tag", ["key", "1"]))
    assert [path.parent for path in kept.paths()] == [kept.folder]
    assert not kept.in_memory
    assert not kept.no_room


def test_only_runs_with_waiting_writes_are_listed(tmp_path):
    Waiting(tmp_path / "b").add(Write("tag", ["key", "1"]))
    Waiting(tmp_path / "a").add(Write("tag", ["key", "1"]))
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").touch()
    assert runs_in(tmp_path) == ["a", "b"]
    assert runs_in(tmp_path / "missing") == runs_in(tmp_path / "file") == []


def test_a_folder_that_can_not_be_read_is_refused(tmp_path, monkeypatch):
    denied = Mock(side_effect=PermissionError(13, "Permission denied"))
    monkeypatch.setattr("bench.commands.resend.runs_in", denied)
    assert_refused(resend(tmp_path), f"folder: got {tmp_path}", "can't be read", "Permission denied")


def keep_only_start(path):
    path.write_text(path.read_text()[:7])


def remove_content(path):
    path.with_suffix(".bin").unlink()


def replace_by_folder(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        keep_only_start,
        remove_content,
        replace_by_folder,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
        lambda path: path.write_text('{"kind": "metrics"}'),
        lambda path: path.write_text('["metrics", {}]'),
        lambda path: path.write_text('["remove", ["all"]]'),
        lambda path: path.write_text("null"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_sent(store, tmp_path, damage):
    run = run_without_store(store)
    second = sorted((tmp_path / "outbox" / run.id).glob("*.json"))[1]
    damage(second)
    ended = resend(tmp_path)
    assert ended.code == 1
    assert f"{second} is damaged (" in ended.err
    assert f"run {run.id} is missing these 2 writes: " in ended.err
    assert ended.err.count("\n") == 1
    assert steps(store, run) == [0, 2]
    assert [info.path for info in store.client.list_artifacts(run.id)] == ["layers.csv"]
    assert second.exists()
    assert status(store, run) != "FINISHED", "something is missing"
    second.rmdir() if second.is_dir() else second.unlink()
    assert resend(tmp_path).code == 0
    assert status(store, run) == "FINISHED"
    assert not (tmp_path / "outbox").exists()


def test_a_damaged_run_does_not_affect_the_others(store, tmp_path):
    first, second = run_without_store(store, once=False), run_without_store(store, once=False)
    for path in sorted((tmp_path / "outbox" / first.id).glob("*.json"))[:-1]:
        path.write_text("")
    ended = resend(tmp_path)
    assert ended.code == 1
    assert "000000.json, 000001.json, 000002.json, 000003.json, how it ended" in ended.err
    assert ended.out.endswith(f"\nrun {second.id}: sent 5 writes\n")
    assert status(store, second) == "FINISHED"


def test_a_run_whose_process_was_killed_is_marked_after_its_writes_are_sent(store, tmp_path):
    run = run_without_store(store)
    *_, end = sorted((tmp_path / "outbox" / run.id).glob("*.json"))
    end.unlink()
    store.client.set_tag(run.id, OWNER, json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "since": 0.0}))
    assert resend(tmp_path).code == 0
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "KILLED"


def test_a_failed_run_is_marked_as_failed(store, tmp_path):
    run = run_without_store(store, error=ValueError("boom"))
    assert resend(tmp_path).code == 0
    assert status(store, run) == "FAILED"
    assert {info.path for info in store.client.list_artifacts(run.id)} == {"layers.csv", "traceback.txt"}
