import pandas as pd
import pytest
from running import TINY, artifact, artifacts, assert_refused, is_drawing, layers, points, process, runs, store, tiny

from bench import tracking
from bench.train import Batches

PARENT = "mlflow.parentRunId"


def parents(folder):
    return [run for run in runs(folder) if run.data.tags.get(tracking.SWEEP) == "parent"]


def children(folder, parent):
    return [run for run in runs(folder) if run.data.tags.get(PARENT) == parent.info.run_id]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two designs, two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    ended = tiny(folder, "-m", "model.skips=all,none", "seed=0,1")
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="module")
def parent(folder):
    (parent,) = parents(folder)
    return parent


def test_one_parent_with_a_child_per_job_one_level_deep(folder, parent):
    assert parent.info.status == "FINISHED"
    assert PARENT not in parent.data.tags
    found = children(folder, parent)
    assert len(runs(folder)) == 1 + len(found) == 5
    assert {(run.data.params["model.skips"], run.data.params["seed"]) for run in found} == {
        ("all", "0"), ("all", "1"), ("none", "0"), ("none", "1")
    }  # fmt: skip
    for run in found:
        assert run.info.status == "FINISHED"
        assert run.data.tags[tracking.SWEEP] == parent.info.run_id
        assert "layers.csv" in artifacts(folder, run)


def test_design_names_only_what_was_swept_and_no_seed(folder, parent):
    designs = {run.data.tags[tracking.DESIGN] for run in children(folder, parent)}
    assert designs == {"model.skips=all", "model.skips=none"}


def test_names_of_runs_begin_with_what_differs(folder, parent):
    names = {run.info.run_name for run in children(folder, parent)}
    assert names == {f"skips={skips} seed={seed}" for skips in ("all", "none") for seed in (0, 1)}


def test_a_run_alone_is_named_by_its_model(tmp_path):
    assert tiny(tmp_path, "model.widths=[4,8]", "model.skips=add", "seed=3").code == 0
    (run,) = runs(tmp_path)
    assert run.info.run_name == "unet widths=[4,8] skips=add seed=3"
    assert run.data.tags[tracking.DESIGN] == "unet model.widths=[4,8] model.skips=add"


def test_design_names_what_was_swept_over_an_earlier_value(tmp_path):
    ended = tiny(tmp_path, "-m", "model.widths=[4,8]", "model.widths=[4,8],[4,4]")
    assert ended.code == 0, ended.err
    designs = {run.data.tags[tracking.DESIGN] for run in children(tmp_path, *parents(tmp_path))}
    assert designs == {"model.widths=[4,8]", "model.widths=[4,4]"}


@pytest.mark.parametrize("key", ["profile/I_XT.kde", "profile/I_TY.kde"])
def test_parent_carries_the_mean_profile(folder, parent, key):
    profiles = [points(folder, run, key) for run in children(folder, parent)]
    places = sorted(profiles[0])
    assert places[0] == 0
    assert places[-1] == 100
    expected = {place: sum(profile[place] for profile in profiles) / 4 for place in places}
    assert len({profile[places[1]] for profile in profiles}) == 4  # so that a mean differs from each
    assert points(folder, parent, key) == pytest.approx(expected)


def test_parent_carries_the_overlaid_u_plot(folder, parent):
    assert is_drawing(artifact(folder, parent, "figures/u_plot.png"))


def test_same_sweep_again_runs_no_job_and_has_its_curves(folder, parent):
    before = len(runs(folder))
    ended = tiny(folder, "-m", "model.skips=all,none", "seed=0,1")
    assert ended.code == 0, ended.err
    again = parents(folder)[-1]
    assert len(runs(folder)) == before + 1  # the new parent
    assert again.info.status == "FINISHED"
    assert points(folder, again, "profile/I_XT.kde") == pytest.approx(points(folder, parent, "profile/I_XT.kde"))
    assert is_drawing(artifact(folder, again, "figures/u_plot.png"))


def test_sweep_that_grows_runs_only_what_is_new(folder, parent):
    ended = tiny(folder, "-m", "model.skips=all", "seed=0,2")
    assert ended.code == 0, ended.err
    grown = parents(folder)[-1]
    (new,) = children(folder, grown)
    assert new.data.params["seed"] == "2"
    (old,) = (
        r for r in children(folder, parent) if (r.data.params["model.skips"], r.data.params["seed"]) == ("all", "0")
    )
    profiles = [points(folder, run, "profile/I_XT.kde") for run in (old, new)]
    expected = {place: (profiles[0][place] + profiles[1][place]) / 2 for place in profiles[0]}
    assert points(folder, grown, "profile/I_XT.kde") == pytest.approx(expected)


def test_resume_false_runs_again_and_counts_as_done_later(folder):
    for resume, ran in (("false", 1), ("true", 0), ("false", 1)):
        ended = tiny(folder, "-m", "seed=5", f"resume={resume}")
        assert ended.code == 0, ended.err
        assert len(children(folder, parents(folder)[-1])) == ran


def test_jobs_hang_below_a_given_parent(folder):
    before = len(parents(folder))
    given = store(folder).create_run(runs(folder)[0].info.experiment_id)
    ended = tiny(folder, "-m", "seed=7", f"tracking.parent={given.info.run_id}")
    assert ended.code == 0, ended.err
    assert len(parents(folder)) == before
    assert [run.data.params["seed"] for run in children(folder, given)] == ["7"]


def test_failed_job_leaves_the_others(tmp_path):
    ended = tiny(tmp_path, "-m", "model.widths=[4,8],[0,8],[4,4]")
    assert ended.code == 1
    title, failed, last = ended.err.strip().splitlines()
    assert title == "jobs that failed"
    assert failed.startswith("  widths=[0,8] seed=0  model: widths: got [0, 8], wanted at least 2 positive")
    assert last == "bench: 1 of 3 jobs failed, for the reasons above; the same command tries them again"
    (parent,) = parents(tmp_path)
    assert parent.info.status == "FAILED"
    found = children(tmp_path, parent)
    assert [(run.data.params["model.widths"], run.info.status) for run in found] == [
        ("[4, 8]", "FINISHED"), ("[4, 4]", "FINISHED")
    ]  # fmt: skip
    mean = sum(points(tmp_path, run, "profile/I_XT.kde")[50] for run in found) / 2
    assert points(tmp_path, parent, "profile/I_XT.kde")[50] == pytest.approx(mean)


def test_job_that_fails_in_training_leaves_the_others(tmp_path):
    ended = tiny(tmp_path, "-m", "train.epochs=2", "train.optimizer.lr=1e30,0.001")
    assert ended.code == 1
    (parent,) = parents(tmp_path)
    assert parent.info.status == "FAILED"
    assert [run.info.status for run in children(tmp_path, parent)] == ["FAILED", "FINISHED"]
    assert "profile/I_XT.kde" in parent.data.metrics
    (row,) = pd.read_csv(artifact(tmp_path, parent, "tables/failed.csv")).to_dict("records")
    assert row["job"] == "lr=1e+30 seed=0"
    assert row["why"].startswith("validation loss: got nan in epoch 1")
    assert f"  {row['job']}  {row['why']}\n" in ended.err


def test_a_defect_in_a_job_leaves_the_others_and_is_told_with_its_traceback(tmp_path, monkeypatch):
    def defect(batches):
        if batches.seed == 0:
            raise ZeroDivisionError("oh no")
        return iter(())

    monkeypatch.setattr(Batches, "__iter__", defect)
    ended = tiny(tmp_path, "-m", "seed=0,1")
    assert ended.code == 1
    assert "  unet seed=0  ZeroDivisionError: oh no\n" in ended.err
    failed, finished = children(tmp_path, *parents(tmp_path))
    assert [failed.info.status, finished.info.status] == ["FAILED", "FINISHED"]
    assert "in defect" in artifact(tmp_path, failed, "traceback.txt").read_text()


def test_a_sweep_that_failed_goes_on_under_its_parent_when_it_is_started_again(tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(Batches, "__iter__", lambda batches: 1 / batches.seed)
        assert tiny(tmp_path, "-m", "seed=0,1").code == 1
    ended = tiny(tmp_path, "-m", "seed=0,1")
    assert ended.code == 0, ended.err
    (parent,) = parents(tmp_path)
    assert parent.info.status == "FINISHED"
    assert not [tag for tag in parent.data.tags if tag.startswith("failed.")]
    done = [run for run in children(tmp_path, parent) if run.info.status == "FINISHED"]
    assert sorted(run.data.params["seed"] for run in done) == ["0", "1"]
    assert len(runs(tmp_path)) == 1 + 2 + 2  # the parent; both failed, since no seed divides into batches; both done


def test_two_sweeps_of_one_name_at_once_are_refused(tmp_path):
    assert tiny(tmp_path, "-m", "seed=0,1", "tracking.name=study").code == 0
    (first,) = parents(tmp_path)
    client = store(tmp_path)
    client.update_run(first.info.run_id, status="RUNNING")  # as this process would, that still lives
    for command in (("seed=0,1",), ("seed=2,3", "model.skips=none")):
        ended = tiny(tmp_path, "-m", *command, "tracking.name=study")
        assert_refused(ended, "tracking.name: the sweep 'study' is under way as run", "by process", "tracking.name")
    assert len(parents(tmp_path)) == 1
    assert tiny(tmp_path, "-m", "seed=0,1", "tracking.name=other").code == 0


def test_an_estimator_that_refuses_the_input_shows_what_it_says_of_the_label(tmp_path):
    ended = tiny(tmp_path, "-m", "estimator=[probe]", "estimator.probe.steps=20",
                 "diagnostic=[u_plot,information_plane,bottleneck]", "dataset.n=[16,32,8]")  # fmt: skip
    assert ended.code == 0, ended.err
    parent, job = runs(tmp_path)
    rows = layers(tmp_path, job).query("weights == 'best' and tap == 'out' and view == 'image'").set_index("quantity")
    assert "continuous target" in rows["reason"]["I(X;T)"]
    line = next(line for line in ended.out.splitlines() if line.startswith("out "))
    assert line.split()[1] == f"{rows['bits']['I(T;Y)']:.3f}"
    assert "I(X;T)" not in ended.out
    assert points(tmp_path, parent, "profile/I_TY.probe")[100] == rows["bits"]["I(T;Y)"]
    assert is_drawing(artifact(tmp_path, parent, "figures/u_plot.png"))


def test_ctrl_c_ends_the_sweep(tmp_path, monkeypatch):
    def ctrl_c(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Batches, "__iter__", ctrl_c)
    ended = tiny(tmp_path, "-m", "seed=0,1")
    assert ended.code == 130
    (parent,) = parents(tmp_path)
    assert parent.info.status == "KILLED"
    assert [run.info.status for run in children(tmp_path, parent)] == ["KILLED"]  # the second job did not begin


def test_two_parallel_sweeps_that_start_together_lose_nothing(tmp_path):
    sweeps = [
        process(
            tmp_path,
            "-m",
            "hydra/launcher=joblib",
            "hydra.launcher.n_jobs=2",
            *TINY,
            f"model.skips={skips}",
            "seed=0,1",
        )
        for skips in ("all", "none")
    ]
    for sweep in sweeps:
        _, err = sweep.communicate(timeout=300)
        assert sweep.returncode == 0, err
    assert len(parents(tmp_path)) == 2
    assert len(runs(tmp_path)) == 6
    for parent in parents(tmp_path):
        found = children(tmp_path, parent)
        assert [run.info.status for run in (parent, *found)] == ["FINISHED"] * 3
        assert {run.data.params["seed"] for run in found} == {"0", "1"}
        for run in found:
            assert len(layers(tmp_path, run)) == 3 * 27  # epochs 0, 1 and the best; input and 8 taps; X, Y, Y by pixels
        mean = sum(points(tmp_path, run, "profile/I_XT.kde")[50] for run in found) / 2
        assert points(tmp_path, parent, "profile/I_XT.kde")[50] == pytest.approx(mean)
