"""Heartbeat: a process is told from another by what no clock changes, and the next command marks the dead."""

import json
import subprocess
import sys
import time

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
    """Tags of a run whose owner is this process but for some fields; beat: seconds since it was heard of."""
    tags = owner_tags()
    return {OWNER: json.dumps(json.loads(tags[OWNER]) | fields), BEAT: str(time.time() - beat)}


def test_a_step_of_the_clock_leaves_a_living_process_alive(monkeypatch):
    tags = owner_tags()
    began = psutil.Process.create_time
    for step in (-3600, -1, 1, 3600):
        monkeypatch.setattr(psutil.Process, "create_time", lambda process, step=step: began(process) + step)
        assert is_alive(tags)
        assert is_of_this_process(tags)


def test_another_process_with_the_number_of_one_that_ended_is_noticed():
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


@pytest.mark.parametrize("other", [{"host": "elsewhere"}, {"machine": "another container with this host name"}])
def test_a_process_of_another_machine_is_told_by_its_beats(other):
    assert is_alive(owned(SECONDS, pid=2**22 + 1, **other))
    assert not is_alive(owned(MISSED * SECONDS + 1, **other))


@pytest.mark.parametrize("clock", [-(10**9), -3600, 0, 3600, 10**9])
def test_a_watch_compares_no_clocks(monkeypatch, clock):
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


def test_the_next_command_marks_the_dead_and_no_other(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_checked", set())
    said = []
    monkeypatch.setattr(heartbeat.log, "warning", lambda words, *values: said.append(words % values))
    database = uri(with_store(tmp_path))
    store = connect(database, "tests")
    dead = {"pid": 2**22 + 1}
    wanted = {
        "run": (dead | {}, "KILLED"),
        "sweep": (dead | {}, "KILLED"),
        "job": (dead | {}, "KILLED"),
        "lost": ({"host": "elsewhere", "beat": LOST + 60}, "KILLED"),
        "elsewhere": ({"host": "elsewhere", "beat": LOST - 60}, "RUNNING"),
        "living": ({}, "RUNNING"),
    }
    made = {}
    for name, (fields, _) in wanted.items():
        kind = {tracking.SWEEP: "parent"} if name == "sweep" else {}
        made[name] = store.client.create_run(store.experiment_id, tags=owned(**fields) | kind, run_name=name)
    foreign = store.client.create_run(store.experiment_id, run_name="of another program")
    connect(database, "tests")  # of the same command, which has looked
    assert not said
    stores._checked.clear()
    connect(database, "tests")
    states = {name: store.client.get_run(run.info.run_id).info.status for name, run in made.items()}
    assert states == {name: state for name, (_, state) in wanted.items()}
    assert store.client.get_run(foreign.info.run_id).info.status == "RUNNING"
    assert len(said) == 4
    assert f"marked run {made['run'].info.run_id} (run) as killed: process {2**22 + 1} on" in " ".join(said)


def test_a_run_that_its_process_ends_at_that_moment_stays_finished(tmp_path):
    store = connect(uri(with_store(tmp_path)), "tests")
    run = store.client.create_run(store.experiment_id, tags=owned(pid=2**22 + 1))
    store.client.set_terminated(run.info.run_id, "FINISHED")
    heartbeat.mark_dead(store.client, run)
    assert store.client.get_run(run.info.run_id).info.status == "FINISHED"


def test_a_store_that_may_only_be_read_is_connected_to(tmp_path, monkeypatch):
    monkeypatch.setattr(stores, "_checked", set())
    database = uri(with_store(tmp_path))
    store = connect(database, "tests")
    store.client.create_run(store.experiment_id, tags=owned(pid=2**22 + 1))
    said = []
    monkeypatch.setattr(heartbeat.log, "warning", lambda words, *values: said.append(words % values))
    monkeypatch.setattr(heartbeat, "mark_dead", lambda *_: (tmp_path / "missing" / "file").write_text(""))
    stores._checked.clear()
    connect(database, "tests")
    (line,) = said
    assert "can't be marked as killed" in line
