import pytest
from running import (
    TINY,
    artifact,
    artifacts,
    children,
    command,
    is_drawing,
    layers,
    parents,
    points,
    process,
    runs,
    store,
    tiny,
)

from bench import tracking
from bench.commands.report import layers_report
from bench.information.tables import LayerTable


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Run a sweep of two designs and two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    ended = tiny(folder, "-m", "model.skips=all,none", "seed=0,1")
    assert ended.code == 0, ended.err
    assert "sweep of 4 jobs, one at a time; the time left is known after the first of them\n" in ended.out
    (folder / "printed").write_text(ended.out)
    return folder


@pytest.fixture(scope="module")
def parent(folder):
    (parent,) = parents(folder)
    return parent


def test_a_sweep_has_one_parent_with_one_child_per_job(folder, parent):
    assert parent.info.status == "FINISHED"
    assert "mlflow.parentRunId" not in parent.data.tags
    found = children(folder, parent)
    assert len(runs(folder)) == 1 + len(found) == 5
    assert {(run.data.params["model.skips"], run.data.params["seed"]) for run in found} == {
        ("all", "0"), ("all", "1"), ("none", "0"), ("none", "1")
    }  # fmt: skip
    for run in found:
        assert run.info.status == "FINISHED"
        assert run.data.tags[tracking.SWEEP] == parent.info.run_id
        assert "layers.csv" in artifacts(folder, run)


def test_a_job_prints_its_name_its_scores_and_no_table_of_layers(folder, parent):
    printed = (folder / "printed").read_text()
    for run in children(folder, parent):
        lines = printed.partition(f"\n{run.info.run_name}, run {run.info.run_id}\n")[2]
        assert lines.startswith(f"  test dice {run.data.metrics['test/dice']:.3f}")
    assert "Information about" not in printed


def test_design_names_only_swept_settings_and_no_seed(folder, parent):
    designs = {run.data.tags[tracking.DESIGN] for run in children(folder, parent)}
    assert designs == {"model.skips=all", "model.skips=none"}


def test_names_of_runs_begin_with_the_settings_that_differ(folder, parent):
    names = {run.info.run_name for run in children(folder, parent)}
    assert names == {f"skips={skips} seed={seed}" for skips in ("all", "none") for seed in (0, 1)}


def test_a_single_run_is_named_by_its_model(tmp_path):
    assert tiny(tmp_path, "model.widths=[4,8]", "model.skips=add", "seed=3").code == 0
    (run,) = runs(tmp_path)
    assert run.info.run_name == "unet widths=[4,8] skips=add seed=3"
    assert run.data.tags[tracking.DESIGN] == "unet model.widths=[4,8] model.skips=add"


@pytest.mark.processes
def test_design_names_a_swept_setting_that_overrides_an_earlier_value(tmp_path):
    ended = tiny(tmp_path, "-m", "model.widths=[4,8]", "model.widths=[4,8],[4,4]")
    assert ended.code == 0, ended.err
    designs = {run.data.tags[tracking.DESIGN] for run in children(tmp_path, *parents(tmp_path))}
    assert designs == {"model.widths=[4,8]", "model.widths=[4,4]"}


@pytest.mark.parametrize("key", ["profile/I_XT.kde", "profile/I_TY.kde"])
def test_the_parent_has_the_mean_profile(folder, parent, key):
    profiles = [points(folder, run, key) for run in children(folder, parent)]
    depths = sorted(profiles[0])
    assert depths[0] == 0
    assert depths[-1] == 100
    expected = {depth: sum(profile[depth] for profile in profiles) / 4 for depth in depths}
    assert len({profile[depths[1]] for profile in profiles}) == 4  # so that the mean differs from each profile
    assert points(folder, parent, key) == pytest.approx(expected)


def test_runs_of_a_design_have_one_colour(folder, parent):
    found = children(folder, parent)
    colours = {(run.data.tags[tracking.DESIGN], run.data.tags["mlflow.runColor"]) for run in found}
    designs = {design for design, _ in colours}
    assert len(colours) == len({colour for _, colour in colours}) == len(designs)


def test_runs_and_sweeps_have_a_description(folder, parent):
    for run in (parent, *children(folder, parent)):
        note = run.data.tags["mlflow.note.content"]
        assert "relative depth" in note
    assert f"test dice {run.data.metrics['test/dice']:.3f}" in note
    assert f"{run.data.metrics['cost/params']:,.0f} parameters" in note


def test_the_parent_has_the_overlaid_u_plot(folder, parent):
    assert is_drawing(artifact(folder, parent, "figures/u_plot.png"))


def test_a_repeated_sweep_runs_no_job_and_has_the_same_curves(folder, parent):
    before = len(runs(folder))
    ended = tiny(folder, "-m", "model.skips=all,none", "seed=0,1")
    assert ended.code == 0, ended.err
    again = parents(folder)[-1]
    assert len(runs(folder)) == before + 1  # the new parent
    assert again.info.status == "FINISHED"
    assert points(folder, again, "profile/I_XT.kde") == pytest.approx(points(folder, parent, "profile/I_XT.kde"))
    assert is_drawing(artifact(folder, again, "figures/u_plot.png"))


def test_an_extended_sweep_runs_only_new_jobs(folder, parent):
    ended = tiny(folder, "-m", "model.skips=all", "seed=0,2")
    assert ended.code == 0, ended.err
    grown = parents(folder)[-1]
    (new,) = children(folder, grown)
    assert new.data.params["seed"] == "2"
    (old,) = (
        r for r in children(folder, parent) if (r.data.params["model.skips"], r.data.params["seed"]) == ("all", "0")
    )
    profiles = [points(folder, run, "profile/I_XT.kde") for run in (old, new)]
    expected = {depth: (profiles[0][depth] + profiles[1][depth]) / 2 for depth in profiles[0]}
    assert points(folder, grown, "profile/I_XT.kde") == pytest.approx(expected)


@pytest.mark.processes
def test_with_resume_false_jobs_run_again_and_are_reused_later(folder):
    for resume, ran in (("false", 1), ("true", 0), ("false", 1)):
        ended = tiny(folder, "-m", "seed=5", f"resume={resume}")
        assert ended.code == 0, ended.err
        assert len(children(folder, parents(folder)[-1])) == ran


def test_jobs_are_children_of_a_given_parent(folder):
    before = len(parents(folder))
    given = store(folder).create_run(runs(folder)[0].info.experiment_id)
    ended = tiny(folder, "-m", "seed=7", f"tracking.parent={given.info.run_id}")
    assert ended.code == 0, ended.err
    assert len(parents(folder)) == before
    assert [run.data.params["seed"] for run in children(folder, given)] == ["7"]


@pytest.mark.processes
def test_an_estimator_that_refuses_the_input_still_shows_information_about_the_label(tmp_path):
    ended = tiny(tmp_path, "-m", "estimator=[probe]", "estimator.probe.steps=20",
                 "diagnostic=[u_plot,information_plane,bottleneck]", "dataset.n=[16,32,8]")  # fmt: skip
    assert ended.code == 0, ended.err
    parent, job = runs(tmp_path)
    rows = layers(tmp_path, job).query("weights == 'best' and tap == 'out' and view == 'image'").set_index("quantity")
    assert "continuous target" in rows["reason"]["I(X;T)"]
    text = layers_report(LayerTable.from_csv(artifact(tmp_path, job, "layers.csv")))
    line = next(line for line in text.splitlines() if line.startswith("out "))
    assert line.split()[2] == f"{rows['excess']['I(T;Y)']:.3f}"
    assert "I(X;T)" not in text
    assert points(tmp_path, parent, "profile/I_TY.probe")[100] == pytest.approx(rows["excess"]["I(T;Y)"])
    assert is_drawing(artifact(tmp_path, parent, "figures/u_plot.png"))


@pytest.mark.processes
def test_two_parallel_sweeps_that_start_together_are_complete(tmp_path):
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
            assert len(layers(tmp_path, run)) == 2 * 27  # epoch 0 and the best; input and 8 taps; X, Y, Y by pixel
        mean = sum(points(tmp_path, run, "profile/I_XT.kde")[50] for run in found) / 2
        assert points(tmp_path, parent, "profile/I_XT.kde")[50] == pytest.approx(mean)


@pytest.mark.processes
def test_a_collapsed_training_is_said_in_the_run_the_sweep_the_status_and_the_comparison(tmp_path):
    small = ("train.epochs=12", "train.batch_size=8", "dataset.n=[24,16,8]", "dataset.difficulty=0.1", "estimator=[]")
    ended = tiny(tmp_path, "-m", "train.optimizer.lr=1e-2,1e-12", "model.widths=[8,16]", *small, "tracking.name=rates")
    assert ended.code == 0, ended.err
    learned, collapsed = children(tmp_path, *parents(tmp_path))
    assert [run.data.metrics["summary/collapsed"] for run in (learned, collapsed)] == [0, 1]
    why = collapsed.data.tags[tracking.COLLAPSED]
    assert tracking.COLLAPSED not in learned.data.tags
    assert ended.out.count(f"training collapsed: {why}; lower train.optimizer.lr") == 1
    assert f"\njobs that have not learned\n  {collapsed.info.run_name}  {why}\n" in ended.out
    assert parents(tmp_path)[0].data.metrics["summary/collapsed"] == 1
    assert command(tmp_path, "status", "sweep=rates").out.count(f"collapsed: {why}") == 1
    out = command(tmp_path, "compare", "sweep=rates").out
    assert "1 of 1" in out
    assert (
        "taught the network nothing. The tag `collapsed` of their runs has the reason. They remain in the means" in out
    )
