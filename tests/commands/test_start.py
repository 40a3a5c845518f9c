"""`train.start`: training starts from the weights of a tracked run."""

import pytest
import torch
from running import assert_refused, runs, tiny, uri

import bench
from bench.tracking.records import curve
from bench.tracking.store import connect


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("start")
    ended = tiny(folder, "estimator=[]", "seed=1")
    assert ended.code == 0, ended.err
    return folder


def test_training_starts_from_the_weights_of_the_run(folder):
    first = runs(folder)[0].info.run_id
    ended = tiny(folder, "estimator=[]", f"train.start='{first[:8]}'", "train.epochs=0", "seed=2")
    assert ended.code == 0, ended.err
    second = runs(folder)[-1]
    assert second.data.params["train.start"] == first
    given, kept = (bench.load(run, uri(folder)).state_dict() for run in (first, second.info.run_id))
    assert all(torch.equal(kept[name], values) for name, values in given.items())
    store = connect(uri(folder), "bench")
    best = max(score for _, score in curve(store, first, "val/score"))
    assert curve(store, second.info.run_id, "val/score") == [(0, pytest.approx(best))]


def test_weights_of_other_layers_are_refused(folder):
    first = runs(folder)[0].info.run_id
    ended = tiny(folder, "estimator=[]", f"train.start={first}", "model.widths=[4,6]")
    assert_refused(ended, f"train.start: got run {first}, wanted one of a network with the same layers")


def test_an_unknown_run_is_refused(folder):
    assert_refused(tiny(folder, "train.start=abc"), "train.start: got abc, wanted a run of sqlite")
