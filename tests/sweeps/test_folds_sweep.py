"""A sweep over folds: one level of runs, a fold on each, and a comparison that pools the test images."""

import pandas as pd
import pytest
from running import artifact, assert_refused, children, command, parents, runs, tiny

from bench.pruning.judging import judge
from bench.pruning.judging.results import scores_of

pytestmark = pytest.mark.processes

SWEEP = ("model.widths=[4,8],[4,4]", "seed=0,1", "estimator=[]", "diagnostic=[]", "dataset.n=[8,4,4]")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folds")
    ended = tiny(folder, *SWEEP, "folds=2", "-m")
    assert ended.code == 0, ended.err
    assert "bench: folds=2 without fold adds fold=0,1\n" in ended.err
    assert "replaces the split of dataset phantoms" in ended.err + ended.out
    return folder


def test_jobs_of_all_folds_are_children_of_one_parent(folder):
    (parent,) = parents(folder)
    jobs = children(folder, parent)
    assert len(jobs) == len(runs(folder)) - 1 == 8
    cells = {(run.data.tags["design"], run.data.params["seed"], run.data.tags["fold"]) for run in jobs}
    assert cells == {(f"model.widths={w}", s, f) for w in ("[4,8]", "[4,4]") for s in "01" for f in "01"}
    assert all(run.data.params["fold"] == run.data.tags["fold"] for run in jobs)
    assert {run.info.run_name for run in jobs} >= {"widths=[4,8] fold=1 seed=0"}


def test_each_image_is_a_test_image_once_for_each_design_and_seed(folder):
    tests = {}
    for run in children(folder, *parents(folder)):
        key = run.data.tags["design"], int(run.data.params["seed"])
        table = pd.read_csv(artifact(folder, run, "test.csv")).assign(design=key[0], seed=key[1])
        tests.setdefault(key, []).append(table.assign(fold=int(run.data.tags["fold"])))
    names = [sorted(pd.concat(tables)["name"]) for tables in tests.values()]
    assert all(each == names[0] for each in names)
    assert len(set(names[0])) == len(names[0]) == 16
    images = pd.concat([scores_of(pd.concat(tables)) for tables in tests.values()])
    ended = command(folder, "compare")
    assert ended.code == 0, ended.err
    assert "folds: 0, 1; their test images are pooled" in ended.out
    assert "16 test images of 16 groups" in ended.out
    (page,) = (folder / "comparisons").iterdir()
    row = pd.read_csv(page / "comparison.csv").set_index("design").loc["model.widths=[4,4]"]
    assert (row["seeds"], row["folds"], row["trainings"]) == (2, 2, 4)
    gain = judge.paired(images, "model.widths=[4,4]", "model.widths=[4,8]")
    assert row[["gain", "gain_low", "gain_high"]].tolist() == pytest.approx(list(gain), abs=1e-6)
    assert row["score"] == pytest.approx(images[images["design"] == "model.widths=[4,4]"]["score"].mean(), abs=1e-6)


def test_a_fold_of_the_sweep_is_not_trained_again_and_can_be_measured(folder):
    run = next(run for run in children(folder, *parents(folder)) if run.data.tags["fold"] == "1")
    ended = tiny(folder, "-m", "seed=0", "fold=1", "folds=2", "model.widths=[4,8]", *SWEEP[2:])
    assert ended.code == 0, ended.err
    newest = parents(folder)[-1]
    assert not children(folder, newest)  # the finished run of the same fold is used
    measured = command(folder, "measure", f"run={run.info.run_id}", "tracking.experiment=measured")
    assert measured.code == 0, measured.err
    (other,) = runs(folder, "measured")
    assert other.data.tags["fold"] == "1"
    assert other.data.metrics["test/dice"] == pytest.approx(run.data.metrics["test/dice"])


def test_runs_with_and_without_folds_are_not_compared(folder):
    whole = tiny(folder, *SWEEP[2:], "tracking.experiment=whole")
    assert whole.code == 0, whole.err
    given = [runs(folder, "whole")[0].info.run_id, children(folder, parents(folder)[0])[0].info.run_id]
    assert_refused(command(folder, "compare", f"runs=[{','.join(given)}]"), "wanted the same folds")
