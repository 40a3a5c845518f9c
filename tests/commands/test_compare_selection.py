"""`python -m bench compare`: selection of runs, comparison with one seed or without layers, and refused input."""

import pandas as pd
import pytest
from running import artifact, assert_refused, command, parents, runs, tiny

from bench.pruning.judging import judge

pytestmark = pytest.mark.processes

ALONE = ("estimator=[]", "diagnostic=[]")
SWEEP = ("-m", "model.widths=[4,8],[4,4]", *ALONE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train a sweep of two designs and one seed, a run on other data, and the same sweep with longer training."""
    folder = tmp_path_factory.mktemp("compare")
    for overrides in (
        (*SWEEP, "tracking.name=first"),
        (*ALONE, "dataset.size=24", "tracking.experiment=larger"),
        (*SWEEP, "train.epochs=2", "tracking.experiment=longer"),
    ):
        ended = tiny(folder, *overrides)
        assert ended.code == 0, ended.err
    return folder


def trained(folder, experiment="bench"):
    return [run for run in runs(folder, experiment) if "design" in run.data.tags]


def compare(folder, *overrides):
    ended = command(folder, "compare", *overrides)
    assert ended.code == 0, ended.err
    return ended.out


def table(folder, name="comparison"):
    """Read a table of the newest comparison."""
    newest = max((folder / "comparisons").iterdir(), key=lambda path: path.stat().st_mtime_ns)
    return pd.read_csv(newest / f"{name}.csv").set_index("design")


def test_one_seed_has_the_interval_that_its_run_logged_and_no_gain(folder):
    out = compare(folder, "sweep=first")
    found = table(folder)
    for run in trained(folder)[:2]:
        row, logged = found.loc[run.data.tags["design"]], run.data.metrics
        wanted = [logged[f"test/dice{end}"] for end in ("", "_low", "_high")]
        assert row[["score", "low", "high"]].tolist() == pytest.approx(wanted)
    assert found["gain"].isna().all()
    assert out.count("have no gain, because they have fewer than 2 seeds in common with model.widths=[4,8]: ") == 1
    assert (
        out.count(
            "have fewer than 3 seeds, so that the intervals of their scores and bits are over images alone: "
            "model.widths=[4,8]; model.widths=[4,4]."
        )
        == 1
    )
    assert out.count("No run measured its layers") == 1


def test_runs_by_id_and_another_reference(folder):
    ids = [run.info.run_id for run in trained(folder)[:2]]
    compare(folder, f"runs=['{ids[0][:16]}',{ids[1]}]")
    assert set(table(folder, "runs")["run"]) == set(ids)
    out = compare(folder, f"runs=[{','.join(ids)}]", "reference='model.widths=[4,4]'")
    assert set(table(folder, "runs")["run"]) == set(ids)
    assert "reference: model.widths=[4,4]\n" in out


def test_jobs_that_an_earlier_sweep_finished_are_compared(folder):
    assert tiny(folder, *SWEEP, "tracking.name=again").code == 0
    compare(folder, "sweep=again")
    assert set(table(folder, "runs")["run"]) == {run.info.run_id for run in trained(folder)}


def test_the_newest_run_of_each_design_and_seed_is_used(folder):
    assert tiny(folder, *SWEEP, "tracking.name=twice", "resume=false").code == 0
    out = compare(folder, "tracking.experiment=bench")
    assert "2 runs repeat a design and seed; only the newest of them is used." in out
    assert set(table(folder, "runs")["run"]) == {run.info.run_id for run in trained(folder)[-2:]}
    assert "sweep: twice (run " in (out := compare(folder))
    assert " of experiment bench), the newest sweep\n" in out
    compare(folder, "sweep=first")
    assert not set(table(folder, "runs")["run"]) & {run.info.run_id for run in trained(folder)[-2:]}


def test_classification_is_judged_by_balanced_accuracy(tmp_path):
    few = ("model=cnn", "dataset.task=classification", *ALONE, "probe.views=null", "tracking.experiment=classes")
    assert tiny(tmp_path, "-m", *few, "model.filters=[2],[4]").code == 0
    assert "balanced accuracy" in compare(tmp_path, "tracking.experiment=classes")
    found = table(tmp_path)
    for run in trained(tmp_path, "classes"):
        test = pd.read_csv(artifact(tmp_path, run, "test.csv"))
        shares = 1 / test.groupby("class")["class"].transform("size") / test["class"].nunique()
        effect = judge.over_groups(test.rename(columns={"correct": "score"}).assign(weight=shares, seed=0))
        row = found.loc[run.data.tags["design"]]
        assert row["score"] == pytest.approx(run.data.metrics["test/balanced_accuracy"])
        assert row[["low", "high"]].tolist() == pytest.approx([effect.low, effect.high])


def test_one_test_image_has_no_interval(tmp_path):
    assert tiny(tmp_path, *SWEEP, "dataset.n=[16,16,1]").code == 0
    out = compare(tmp_path)
    assert (
        "The test data have only one image or patient, so that scores have no intervals and there are no gains." in out
    )
    found = table(tmp_path)
    assert found[["low", "high", "gain", "verdict"]].isna().all(axis=None)
    for run in trained(tmp_path):
        assert found["score"][run.data.tags["design"]] == pytest.approx(run.data.metrics["test/dice"])


@pytest.mark.parametrize(
    ("overrides", "parts"),
    [
        (["sweep=nothing"], ["sweep: got 'nothing', wanted the name of a sweep"]),
        (["sweep=first", "runs=[a]"], ["runs: got both runs and sweep"]),
        (["runs=[]"], ["runs: got none, wanted the ids"]),
        (["runs=[nobody]"], ["run: got nobody, wanted a run of"]),
        (["tracking.experiment=empty"], ["tracking.experiment: got 'empty', which sqlite:"]),
        (["sweep=first", "reference=none"], ["reference: got 'none', wanted one of model.widths=[4,8]; "]),
        (["sweep=first", "by=kde.image"], ["by: got kde.image, but these runs share no estimator and view; "]),
        (["sweep=first", "margin=-1"], ["margin: got -1.0, wanted 0 or more"]),
        (["sweep=first", "margin=much"], ["margin"]),
    ],
)
def test_bad_input_is_one_line(folder, overrides, parts):
    assert_refused(command(folder, "compare", *overrides), *parts)


def test_runs_that_cannot_be_compared_are_refused(folder):
    first, second = (run.info.run_id for run in trained(folder)[:2])
    parent = parents(folder)[0].info.run_id
    larger, longer = (trained(folder, experiment)[0].info.run_id for experiment in ("larger", "longer"))
    for ids, parts in (
        (
            [first, larger],
            ["runs: got phantoms (segmentation, fingerprint ", "wanted the same data; choose by sweep=NAME"],
        ),
        ([first, longer], ["runs: got train.epochs=1 in", f"and 2 in {longer}, both of design 'model.widths=[4,8]'"]),
        ([second], ["runs: got 1 of one design, 'model.widths=[4,4]', wanted 2 or more designs"]),
        ([first, parent], [f"run: got {parent}, wanted a run that trained a network"]),
    ):
        assert_refused(command(folder, "compare", f"runs=[{','.join(ids)}]"), *parts)
    assert tiny(folder, "-m", "model.widths=[0,8],[0,4]", *ALONE, "tracking.name=broken").code == 1
    assert_refused(command(folder, "compare", "sweep=broken"), "sweep: got broken (run ", "which has no finished job")


def test_a_sweep_that_reused_a_run_of_another_is_compared(tmp_path):
    first, second = ("-m", "model.widths=[4,8]", *ALONE), ("-m", "model.widths=[4,8],[4,4]", "seed=0,1", *ALONE)
    for overrides in ((*first, "tracking.name=first"), (*second, "tracking.name=second")):
        ended = tiny(tmp_path, *overrides)
        assert ended.code == 0, ended.err
    assert len(trained(tmp_path)) == 4  # the sweeps have 1 + 4 jobs, one of them in common
    compare(tmp_path, "sweep=second")
    assert table(tmp_path)["seeds"].tolist() == [2, 2]
