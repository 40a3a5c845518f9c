"""Jobs of a sweep: finding them, waiting for them, marking terminated ones, and reporting failures."""

import json
import os
import socket
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
from mlflow import MlflowClient
from running import uri, with_store
from sklearn.neighbors import NearestNeighbors

from bench import tracking
from bench.sweeps import claims, jobs, workers
from bench.tracking import records
from bench.tracking.offline.heartbeat import BEAT, MISSED, OWNER, SECONDS, is_alive, owner_of, owner_tags
from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path):
    return connect(uri(with_store(tmp_path)), "tests")


def logged(run):
    return run.store.client.get_run(run.id)


def test_finished_finds_only_finished_runs_of_the_same_experiment(store):
    tags = {tracking.FINGERPRINT: "abc"}
    with pytest.raises(ValueError, match="boom"), tracking.started(store, "failed", tags, None):
        raise ValueError("boom")
    assert claims.finished(store, "abc") is None
    with tracking.started(store, "done", tags, None) as run:
        assert claims.finished(store, "abc") is None
    assert claims.finished(store, "abc") == run.id
    assert claims.finished(store, "xyz") is None
    assert claims.finished(connect(store.uri, "others"), "abc") is None


def test_jobs_of_a_sweep_are_its_finished_runs_and_those_it_reused(store):
    def job(name, parent, fails=False):
        with tracking.started(store, name, {tracking.DESIGN: name}, parent) as run:
            run.table(pd.DataFrame({"tap": [name]}), "tables/taps.csv")
            if fails:
                raise ValueError("boom")
        return run

    before = job("before", None)
    with tracking.started(store, "sweep", {}, None) as parent:
        own = job("own", parent.id)
        with pytest.raises(ValueError, match="boom"):
            job("failed", parent.id, fails=True)
        job("another sweep's", before.id)
        parent.tag(f"{tracking.REUSED}{before.id}", "before")
    found = jobs.of_sweep(store, parent.id)
    assert found == {own.id: "own", before.id: "before"}
    assert records.table_of(store, own.id, "tables/taps.csv")["tap"].tolist() == ["own"]
    assert logged(own).data.tags["mlflow.parentRunId"] == parent.id


def of_process(pid, host=None, since=None, beat=0.0):
    """Return the tags of a run that another process executes; beat: seconds since its last heartbeat."""
    owner = {"host": host or socket.gethostname(), "pid": pid, "since": since}
    return {OWNER: json.dumps(owner), BEAT: str(time.time() - beat)}


def test_a_process_of_this_host_is_alive_while_it_runs_independently_of_heartbeats():
    tags = owner_tags()
    assert is_alive(tags | {BEAT: "0"})
    assert owner_of(tags) == f"process {os.getpid()} on {socket.gethostname()}"
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        since = json.loads(tags[OWNER])["since"]
        # another process with the process id of one that has ended
        assert not is_alive(of_process(child.pid, since=since))
    finally:
        child.kill()
        child.wait()
    assert not is_alive(of_process(child.pid))
    assert not is_alive({})


def test_a_process_of_another_host_is_alive_while_it_sends_heartbeats():
    assert is_alive(of_process(1, host="elsewhere", beat=SECONDS))
    assert not is_alive(of_process(1, host="elsewhere", beat=MISSED * SECONDS + 1))


def test_a_run_sends_heartbeats_and_continues_if_one_fails(store, monkeypatch):
    messages = []
    monkeypatch.setattr(
        "bench.tracking.offline.heartbeat.log.warning", lambda words, *values: messages.append(words % values)
    )
    monkeypatch.setattr("bench.tracking.offline.heartbeat.SECONDS", 0.02)
    with tracking.started(store, "beats", {}) as run:
        first = float(logged(run).data.tags[BEAT])
        time.sleep(0.2)
        assert float(logged(run).data.tags[BEAT]) > first
        monkeypatch.setattr(MlflowClient, "set_tag", lambda *_: 1 / 0)
    with tracking.started(store, "unheard", {}) as run:
        time.sleep(0.2)
    assert logged(run).info.status == "FINISHED"
    assert set(messages) == {"the tracking store missed a heartbeat: division by zero"}


def job(store, tags=None, fingerprint="abc"):
    made = store.client.create_run(store.experiment_id, tags={tracking.FINGERPRINT: fingerprint} | (tags or {}))
    return tracking.Run(store, made.info.run_id)


def test_a_job_whose_process_has_terminated_is_marked_and_run_again(store):
    terminated = job(store, of_process(2**22 + 1))
    never_owned = job(store)
    assert claims.claim(store, "abc") is None
    assert [logged(run).info.status for run in (terminated, never_owned)] == ["KILLED", "KILLED"]


def test_a_sweep_waits_for_a_job_that_another_process_is_running(store, monkeypatch):
    other, statuses, messages = job(store, owner_tags()), [], []
    monkeypatch.setattr("bench.sweeps.claims.log.info", lambda words, *values: messages.append(words % values))

    def check_status(_):
        statuses.append(logged(other).info.status)
        if len(statuses) == 3:
            store.client.set_terminated(other.id)

    monkeypatch.setattr("bench.sweeps.claims.time.sleep", check_status)
    assert claims.claim(store, "abc") == other.id
    assert statuses == ["RUNNING"] * 3
    assert messages == [f"waiting for run {other.id} of {owner_of(owner_tags())}"]


def test_a_job_that_fails_in_another_process_is_run_again(store, monkeypatch):
    other = job(store, owner_tags())
    monkeypatch.setattr("bench.sweeps.claims.time.sleep", lambda _: store.client.set_terminated(other.id, "FAILED"))
    assert claims.claim(store, "abc") is None


def test_failures_are_recorded_by_job_and_removed_after_success(store):
    with tracking.started(store, "sweep", {}) as parent:
        first, second = ["model.skips=all", "seed=0", "tracking.uri=a"], ["model.skips=none", "seed=0"]
        jobs.note_failure(store, parent.id, first, "skips=all", "too\nbad")
        jobs.note_failure(store, parent.id, second, "skips=none", "x" * 9999)
        jobs.note_failure(store, parent.id, [*first[:2], "tracking.uri=b"], "skips=all", "still too bad")
        assert jobs.failures(store, parent.id)["job"].tolist() == ["skips=all", "skips=none"]
        jobs.note_success(store, parent.id, second)
        jobs.note_success(store, parent.id, ["seed=9"])
        assert jobs.failures(store, parent.id).to_dict("records") == [{"job": "skips=all", "why": "still too bad"}]
        jobs.note_success(store, parent.id, first)
        assert jobs.failures(store, parent.id).empty


def test_all_jobs_of_a_sweep_are_listed_even_with_several_requests(store, monkeypatch):
    monkeypatch.setattr("bench.tracking.listing.PAGE", 2)
    with tracking.started(store, "sweep", {tracking.SWEEP: "parent"}) as parent:
        for number in range(5):
            with tracking.started(store, f"job {number}", {tracking.DESIGN: f"seed={number}"}, parent.id):
                pass
    assert sorted(jobs.of_sweep(store, parent.id).values()) == [f"seed={number}" for number in range(5)]
    assert jobs.table(store, logged(parent))["name"].tolist() == [f"job {number}" for number in range(5)]


@pytest.mark.parametrize("others", [0, 1, 2, 3])
def test_the_newest_of_many_sweeps_comes_first(store, monkeypatch, others):
    monkeypatch.setattr("bench.tracking.listing.PAGE", 2)
    for name in [*(f"sweep {number}" for number in range(others)), "the last"]:
        with tracking.started(store, name, {tracking.SWEEP: "parent"}):
            pass
    found = jobs.sweeps(store)
    assert len(found) == others + 1
    assert found[0].info.run_name == "the last"
    assert [run.info.run_name for run in jobs.sweeps(store, "the last")] == ["the last"]


def test_scikit_learn_works_in_the_process_of_a_sweep():
    workers.register()
    neighbours = NearestNeighbors(n_neighbors=1).fit(np.array([[0.0], [1.0], [3.0]])).kneighbors()[1]
    assert neighbours.ravel().tolist() == [1, 0, 1]
