"""`resend` beside living runs, other resends and damaged files."""

import json
import os
import socket
import threading

import pytest
from outages import away, cut_off, resend, status, steps
from running import assert_refused, uri, with_store

from bench import tracking
from bench.errors import TrackingError
from bench.tracking.offline import outbox
from bench.tracking.offline.heartbeat import OWNER
from bench.tracking.offline.outbox import Outbox
from bench.tracking.offline.writes import Write
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    return connect(uri(with_store(tmp_path)), "tests")


def test_a_living_run_is_refused_and_sends_all_by_itself(store, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    with tracking.started(store, "a run", {}) as run:
        for step in range(30):
            if step % 10 < 5:
                with away():
                    run.metrics({"loss": 1.0}, step)
            else:
                run.metrics({"loss": 1.0}, step)
            if step % 10 == 3:
                owner = f"process {os.getpid()} on {socket.gethostname()}"
                assert_refused(resend(tmp_path), f"run {run.id}: {owner} still executes it and sends the writes")
    assert steps(store, run) == [*range(30)]
    assert status(store, run) == "FINISHED"
    assert not (tmp_path / "outbox").exists()


def test_of_two_at_once_the_second_is_refused(store, tmp_path):
    run = cut_off(store)
    with Outbox(store.client, run.id).kept.locked():
        refused = resend(tmp_path)
    assert_refused(refused, f"run {run.id}: another process adds to {tmp_path}/outbox/{run.id} or sends from it")
    assert resend(tmp_path).out.endswith(f"\nrun {run.id}: sent 5 writes\n")
    assert status(store, run) == "FINISHED"


def test_a_run_that_adds_while_another_process_sends_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    got, folder = [], tmp_path / "outbox" / "r"

    class Client:
        def set_tag(self, _, key, value):
            if threading.current_thread() is threading.main_thread() and len(got) < 200:
                raise TrackingError("away")
            got.append(int(value))

    def send():
        while len(got) < 250:
            Outbox(Client(), "r", folder).flush()

    other = threading.Thread(target=send)
    run = Outbox(Client(), "r", folder)
    other.start()
    for number in range(300):
        run.send(Write("tag", ["key", str(number)]))
    run.wait(60)
    other.join()
    assert sorted(got) == [*range(300)]
    assert not folder.exists()


def half(path):
    path.write_text(path.read_text()[:7])


def no_content(path):
    path.with_suffix(".bin").unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        half,
        no_content,
        folder_instead,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
        lambda path: path.write_text('{"kind": "metrics"}'),
        lambda path: path.write_text('["metrics", {}]'),
        lambda path: path.write_text('["remove", ["all"]]'),
        lambda path: path.write_text("null"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_sent(store, tmp_path, damage):
    run = cut_off(store)
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


def test_one_damaged_run_leaves_the_others(store, tmp_path):
    first, second = cut_off(store, once=False), cut_off(store, once=False)
    for path in sorted((tmp_path / "outbox" / first.id).glob("*.json"))[:-1]:
        path.write_text("")
    ended = resend(tmp_path)
    assert ended.code == 1
    assert "000000.json, 000001.json, 000002.json, 000003.json, how it ended" in ended.err
    assert ended.out.endswith(f"\nrun {second.id}: sent 5 writes\n")
    assert status(store, second) == "FINISHED"


def test_a_run_whose_process_was_killed_is_marked_after_its_writes(store, tmp_path):
    run = cut_off(store)
    *_, end = sorted((tmp_path / "outbox" / run.id).glob("*.json"))
    end.unlink()
    store.client.set_tag(run.id, OWNER, json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "since": 0.0}))
    assert resend(tmp_path).code == 0
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "KILLED"


def test_a_run_that_failed_ends_so(store, tmp_path):
    run = cut_off(store, error=ValueError("boom"))
    assert resend(tmp_path).code == 0
    assert status(store, run) == "FAILED"
    assert {info.path for info in store.client.list_artifacts(run.id)} == {"layers.csv", "traceback.txt"}
