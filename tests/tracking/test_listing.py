"""The jobs of a sweep are read by a fixed number of queries, with the results of a search of MLflow."""

import math
from contextlib import contextmanager
from itertools import count

import pytest
from mlflow.entities import Metric, RunTag
from running import uri, with_store
from sqlalchemy import event
from sqlalchemy.engine import Engine

from bench import tracking
from bench.sweeps import jobs, summary
from bench.tracking import views
from bench.tracking.listing import list_runs, status_of, tag_runs
from bench.tracking.local import Local
from bench.tracking.offline.heartbeat import owner_tags
from bench.tracking.store import connect

STATUSES = ("FINISHED", "FAILED", "RUNNING", "KILLED")


@pytest.fixture
def store(tmp_path):
    return connect(uri(with_store(tmp_path)), "tests")


@pytest.fixture
def parent(store):
    return tracking.create(store, "sweep", {tracking.SWEEP: "parent"}).id


numbers = count()


def add_jobs(store, parent, many):
    """Add jobs of a sweep of each status, with some metrics and tags."""
    for number in [next(numbers) for _ in range(many)]:
        tags = {tracking.SWEEP: parent, tracking.DESIGN: f"seed={number}"} | owner_tags()
        tags |= {tracking.COLLAPSED: "its loss is flat"} if number % 8 == 0 else {}
        run = store.client.create_run(store.experiment_id, number, tags, f"job {number}").info.run_id
        score = math.nan if number % 3 == 0 else number / 7
        points = [Metric(f"{key} {at}", at, 0, 0) for at in range(10) for key in ("a", "b")]
        store.client.log_batch(run, [*points, Metric("summary/val_score", score, 0, 0)], tags=[RunTag("other", "tag")])
        status = STATUSES[number % 4]
        if status != "RUNNING":
            store.client.set_terminated(run, status, end_time=number + 60_000)


@contextmanager
def counted():
    """Count the statements that read or change rows."""
    statements = []

    def listen(connection, cursor, statement, *_):
        if statement.split()[0] in ("SELECT", "INSERT", "UPDATE", "DELETE"):
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", listen)
    try:
        yield statements
    finally:
        event.remove(Engine, "before_cursor_execute", listen)


def results(store, parent):
    table = jobs.table(store, store.client.get_run(parent))
    assert set(table["state"]) == {"finished", "running", "terminated"}
    table.loc[table["state"] == "running", "minutes"] = 0.0
    return table.to_csv(), jobs.of_sweep(store, parent), jobs.collapsed(store, parent), jobs.trained(store)


def test_the_fields_are_those_of_a_search(store, parent, monkeypatch):
    add_jobs(store, parent, 16)
    store.client.delete_run(next(iter(jobs.of_sweep(store, parent))))
    found = results(store, parent)
    assert len(found[1]) == 3
    assert found[2]
    monkeypatch.setattr(Local, "execute", lambda *_: None)  # as a server answers
    assert results(store, parent) == found
    assert status_of(store, parent) is None


READERS = {
    "status": lambda store, parent: jobs.table(store, store.client.get_run(parent)),
    "which jobs are done": jobs.of_sweep,
    "how many have ended": jobs.count_ended,
    "which have collapsed": jobs.collapsed,
    "colours": lambda store, parent: summary.colour_runs(store, jobs.of_sweep(store, parent)),
}


@pytest.mark.parametrize("name", READERS)
def test_the_number_of_queries_does_not_grow_with_the_jobs(store, parent, name):
    queries = []
    for many in (4, 12):
        add_jobs(store, parent, many)
        with counted() as statements:
            READERS[name](store, parent)
        queries.append(len(statements))
    assert queries[0] == queries[1] < 25


def test_only_the_requested_fields_are_read(store, parent):
    add_jobs(store, parent, 4)
    runs = list_runs(store, (tracking.SWEEP, parent), "FINISHED", tags=["other", "missing"], metrics=["a 3"])
    assert [(run.status, run.tags, run.metrics) for run in runs] == [("FINISHED", {"other": "tag"}, {"a 3": 3.0})]
    assert status_of(store, runs[0].id) == "FINISHED"
    assert status_of(store, "0" * 32) is None


@pytest.mark.parametrize("through", ["the database", "requests"])
def test_many_runs_are_tagged(store, parent, monkeypatch, through):
    monkeypatch.setattr("bench.tracking.listing.PAGE", 2)
    if through == "requests":
        monkeypatch.setattr(Local, "execute", lambda *_: None)
    runs = [tracking.create(store, f"run {number}", {}).id for number in range(5)]
    for values in ({run: f"colour {run}" for run in runs}, {run: "red" for run in runs[:3]}):
        tag_runs(store, views.COLOUR, values)
    tags = [store.client.get_run(run).data.tags[views.COLOUR] for run in runs]
    assert tags == ["red"] * 3 + [f"colour {run}" for run in runs[3:]]
