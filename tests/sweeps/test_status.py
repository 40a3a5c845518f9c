"""`python -m bench status`: its report on a sweep that is running, was terminated, or has ended."""

import json
import re

import pytest
from running import assert_refused, command, runs, store, tiny, uri, with_store

from bench.tracking.offline.heartbeat import OWNER, owner_tags

pytestmark = pytest.mark.processes

SWEEP = ("-m", "model.widths=[4,8],[0,8],[4,4]", "tracking.name=widths")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run a sweep of three jobs, one of which fails."""
    folder = tmp_path_factory.mktemp("status")
    assert tiny(folder, *SWEEP).code == 1
    return folder


def status(folder, sweep="widths"):
    ended = command(folder, "status", f"sweep={sweep}")
    assert ended.code == 0, ended.err
    return ended.out.strip().splitlines()


def test_status_of_an_ended_sweep_lists_failures_with_reasons(folder):
    title, *jobs, last = status(folder)
    assert title.startswith("sweep widths (run ")
    assert last == "widths: 3 jobs (2 finished, 1 failed); the sweep has ended"
    by_name = {" ".join(line.split()[:2]): line for line in jobs}
    assert "finished" in by_name["widths=[4,8] seed=0"]
    assert "model: widths: got [0, 8]" in by_name["widths=[0,8] seed=0"]
    assert status(folder, runs(folder)[0].info.run_id) == [title, *jobs, last]


def test_status_of_a_running_and_of_a_terminated_sweep(folder):
    parent, _, second = runs(folder)
    client = store(folder)
    client.update_run(parent.info.run_id, status="RUNNING")
    client.update_run(second.info.run_id, status="RUNNING")
    try:
        assert status(folder)[-1] == "widths: 3 jobs (1 finished, 1 running, 1 failed); the sweep is running"
        for run in (parent, second):
            client.set_tag(run.info.run_id, OWNER, json.dumps(json.loads(owner_tags()[OWNER]) | {"pid": 2**22 + 1}))
        assert status(folder)[-1] == (
            "widths: 3 jobs (1 finished, 1 terminated, 1 failed, 1 to do); the sweep is not running; the same command "
            "continues it"
        )
    finally:
        client.set_terminated(parent.info.run_id, "FAILED")
        client.set_terminated(second.info.run_id)


def test_status_counts_jobs_that_another_sweep_finished(folder):
    assert tiny(folder, "-m", "model.widths=[4,8],[4,4]", "tracking.name=again").code == 0
    assert status(folder, "again")[-1] == "again: 2 jobs (2 finished before); the sweep has ended"


def test_status_alone_is_of_the_newest_sweep_of_every_experiment(folder):
    ended = tiny(folder, "-m", "model.widths=[4,8],[4,4]", "model.skips=none", "seed=0", "tracking.experiment=others")
    assert ended.code == 0, ended.err
    (parent,) = [run for run in runs(folder, "others") if run.data.tags["sweep"] == "parent"]
    name, newest = parent.info.run_name, parent.info.run_id
    assert re.fullmatch("unet-widths-[0-9a-f]{4}", name)
    lines = ended.out.splitlines()
    assert f"sweep {name} (run {newest}) in {uri(folder)}" in lines
    for line in (f"compare its designs: python -m bench compare sweep={name}", "state of its jobs: python -m bench"):
        assert line in ended.out
    found = command(folder, "status").out.strip().splitlines()
    assert found[0] == f"sweep {name} (run {newest[:8]} of experiment others), the newest sweep"
    for text in (name, newest[:8]):
        assert status(folder, text)[0] == found[0].removesuffix(", the newest sweep")
    store(folder).create_run("0", run_name=name, tags={"sweep": "parent"})
    assert status(folder, name)[0].endswith("of experiment Default), the newest of 2 sweeps with this name")
    assert_refused(command(folder, "status", "tracking.experiment=Defaults"), "tracking.experiment: got 'Defaults'")


def test_status_without_a_sweep_is_one_line(tmp_path):
    assert_refused(command(with_store(tmp_path), "status"), f"sweep: there is no sweep in {uri(tmp_path)}; `python")


def test_bad_input_is_one_line(folder):
    ended = command(folder, "status", "sweep=width")
    assert_refused(ended, "sweep: got 'width', wanted the name of a sweep or the id of its parent run; ", "widths")
    ended = command(folder, "status", "sweep=widths", "tracking.experiment=empty")
    assert_refused(ended, "tracking.experiment: got 'empty', which sqlite:")
