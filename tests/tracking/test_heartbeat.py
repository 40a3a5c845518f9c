"""Heartbeat: processes are identified without comparing clocks; the next command marks terminated runs as killed."""

import json
import subprocess
import sys
import time
from unittest.mock import Mock

import psutil
import pytest
from running import uri, with_store

from bench import tracking
from bench.tracking import store as stores
from bench.tracking.offline import heartbeat
from bench.tracking.offline.heartbeat import (
    BEAT,
    LOST,
    MISSED,
    OWNER,
    SECONDS,
    Watch,
    is_alive,
    is_of_this_process,
    owner_tags,
)
from bench.tracking.store import connect


def owned(beat=0.0, **fields):
    """Return tags of a run that this process owns, except for some fields; beat: seconds since the last heartbeat."""
    tags = owner_tags()
    return {OWNER: json.dumps(json.loads(tags[OWNER]) | fields), BEAT: str(time.time() - beat)}


def test_a_change_of_the_clock_does_not_terminate_a_living_process(monkeypatch):
    tags = owner_tags()
    began = psutil.Process.create_time
    for step in (-3600, -1, 1, 3600):
        monkeypatch.setattr(psutil.Process, "create_time", lambda process, step=step: began(process) + step)
        assert is_alive(tags)
        assert is_of_this_process(tags)


def test_another_process_with_the_process_id_of_one_that_ended_is_detected():
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"]) as child:
        try:
            assert not is_alive(owned(pid=child.pid))
            since = heartbeat.since(psutil.Process(child.pid))
            assert is_alive(owned(pid=child.pid, since=since))
            assert not is_of_this_process(owned(pid=child.pid, since=since))
        finally:
            child.kill()
            child.wait()
    assert not is_alive(owned(pid=child.pid, since=since))


@pytest.mark.parametrize("ended", [ProcessLookupError, FileNotFoundError, psutil.NoSuchProcess(1)])
def test_a_process_that_ends_while_its_state_is_read_is_not_alive(ended, monkeypatch):
    tags = owner_tags()
    monkeypatch.setattr(heartbeat, "since", Mock(side_effect=ended))
    assert not is_alive(tags)


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"machine": "another container with this host name"}])
def test_a_process_of_another_machine_is_alive_while_it_sends_heartbeats(other):
    assert is_alive(owned(SECONDS, pid=2**22 + 1, **other))
    assert not is_alive(owned(MISSED * SECONDS + 1, **other))


@pytest.mark.parametrize("clock", [-(10**9), -3600, 0, 3600, 10**9])
def test_a_watch_does_not_compare_clocks(monkeypatch, clock):
    now = 0.0
    monkeypatch.setattr(heartbeat.time, "monotonic", lambda: now)
    watch, tags = Watch(), owned(clock, host="elsewhere")
    for beat in range(10):
        now += 0.9 * MISSED * SECONDS
        assert watch.is_alive(tags | {BEAT: f"{clock + beat}"})
    last = {BEAT: f"{clock + beat}"}
    now += 0.9 * MISSED * SECONDS
    assert watch.is_alive(tags | last)
    now += 0.2 * MISSED * SECONDS
    assert not watch.is_alive(tags | last)


def test_the_next_command_marks_only_terminated_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_checked", set())
    messages = []
    monkeypatch.setattr(heartbeat.log, "warning", lambda words, *values: messages.append(words % values))
    database = uri(with_store(tmp_path))
    store = connect(database, "tests")
    terminated = {"pid": 2**22 + 1}
    wanted = {
        "run": (terminated | {}, "KILLED"),
        "sweep": (terminated | {}, "KILLED"),
        "job": (terminated | {}, "KILLED"),
        "lost": ({"host": "elsewhere", "beat": LOST + 60}, "KILLED"),
        "elsewhere": ({"host": "elsewhere", "beat": LOST - 60}, "RUNNING"),
        "living": ({}, "RUNNING"),
    }
    made = {}
    for name, (fields, _) in wanted.items():
        kind = {tracking.SWEEP: "parent"} if name == "sweep" else {}
        made[name] = store.client.create_run(store.experiment_id, tags=owned(**fields) | kind, run_name=name)
    foreign = store.client.create_run(store.experiment_id, run_name="of another program")
    connect(database, "tests")  # the same command has checked this store already
    assert not messages
    stores._checked.clear()
    connect(database, "tests")
    states = {name: store.client.get_run(run.info.run_id).info.status for name, run in made.items()}
    assert states == {name: state for name, (_, state) in wanted.items()}
    assert store.client.get_run(foreign.info.run_id).info.status == "RUNNING"
    assert len(messages) == 4
    assert f"marked run {made['run'].info.run_id} (run) as killed: process {2**22 + 1} on" in " ".join(messages)


def test_a_run_that_finishes_meanwhile_stays_finished(tmp_path):
    store = connect(uri(with_store(tmp_path)), "tests")
    run = store.client.create_run(store.experiment_id, tags=owned(pid=2**22 + 1))
    store.client.set_terminated(run.info.run_id, "FINISHED")
    heartbeat.mark_dead(store.client, run)
    assert store.client.get_run(run.info.run_id).info.status == "FINISHED"


def test_a_read_only_store_can_be_connected_to(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_checked", set())
    database = uri(with_store(tmp_path))
    store = connect(database, "tests")
    store.client.create_run(store.experiment_id, tags=owned(pid=2**22 + 1))
    messages = []
    monkeypatch.setattr(heartbeat.log, "warning", lambda words, *values: messages.append(words % values))
    monkeypatch.setattr(heartbeat, "mark_dead", lambda *_: (tmp_path / "missing" / "file").write_text(""))
    stores._checked.clear()
    connect(database, "tests")
    (line,) = messages
    assert "can't be marked as killed" in line
