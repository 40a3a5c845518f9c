"""A job counts once even if two processes run it, and only the owner of a run ends it."""

import json

import pytest
from outages import finished, resend, run_without_store, status, steps
from running import assert_refused, uri, with_store

from bench import tracking
from bench.sweeps import jobs
from bench.tracking.offline.heartbeat import OWNER
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    return connect(uri(with_store(tmp_path)), "tests")


def test_a_job_repeated_before_its_first_attempt_is_sent_counts_once(store, tmp_path):
    with tracking.started(store, "sweep", {tracking.SWEEP: "parent"}) as parent:
        first = run_without_store(store, parent.id)
        store.client.set_terminated(first.id, "KILLED")  # as the next attempt does if the process is not alive
        again = finished(store, parent.id)
        assert resend(tmp_path).code == 0
        assert [status(store, run) for run in (first, again)] == ["KILLED", "FINISHED"]
        assert store.client.get_run(first.id).data.tags["superseded"] == again.id
        assert steps(store, first) == [0, 1, 2], "what it had logged is kept"
        assert jobs.of_sweep(store, parent.id) == {again.id: "a design"}


def test_a_job_sent_while_it_is_repeated_counts_once(store, tmp_path):
    first = run_without_store(store)
    with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}, once=True) as again:
        assert resend(tmp_path).code == 0
    assert [status(store, run) for run in (first, again)] == ["FINISHED", "KILLED"]


def test_a_job_may_be_repeated_without_once(store):
    runs = []
    for _ in range(2):
        with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}) as run:
            runs.append(run)
    assert [status(store, run) for run in runs] == ["FINISHED", "FINISHED"]


def test_a_suspended_process_whose_job_was_repeated_does_not_count(store, caplog):
    with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}, once=True) as stopped:
        store.client.set_terminated(stopped.id, "KILLED")  # its heartbeats were missed
        again = finished(store)
    assert [status(store, run) for run in (stopped, again)] == ["KILLED", "FINISHED"]
    assert f"run {stopped.id} ends KILLED and not FINISHED: run {again.id} has finished the same job" in caplog.text


def assign_to_another_process(store, run):
    owner = json.dumps({"host": "elsewhere", "pid": 7, "since": 0.0})
    store.client.set_tag(run.id, OWNER, owner)


def test_a_run_that_another_process_took_over_keeps_its_status(store, caplog):
    with tracking.started(store, "sweep", {}) as run:
        assign_to_another_process(store, run)
    assert status(store, run) == "RUNNING"
    assert f"the status of run {run.id} was not set, because process 7 on elsewhere executes it now" in caplog.text


def test_waiting_writes_of_a_run_that_another_process_took_over_are_not_sent(store, tmp_path):
    run = run_without_store(store)
    assign_to_another_process(store, run)
    assert_refused(resend(tmp_path), f"run {run.id}: process 7 on elsewhere has taken it over", "delete that folder")
    assert len(list((tmp_path / "outbox" / run.id).glob("*.json"))) == 5
    assert status(store, run) == "RUNNING"
