"""Bad settings of launchers and sweepers are refused before a sweep is tracked; sweepers with objectives."""

import pytest
from running import assert_refused, children, command, parents, runs, tiny

JOBLIB = ("-m", "seed=0,1", "hydra/launcher=joblib")
OPTUNA = (
    "-m",
    "hydra/sweeper=optuna",
    "hydra.sweeper.n_trials=2",
    "hydra.sweeper.n_jobs=1",
    "hydra.sweeper.direction=maximize",
    "train.batch_size=choice(4,8)",
    "estimator=[]",
    "diagnostic=[]",
)


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ((*JOBLIB, "hydra.launcher.n_jobs=0"), "hydra.launcher.n_jobs: got 0, wanted 1 or more jobs at once"),
        ((*JOBLIB, "hydra.launcher.n_jobs=-5000"), "hydra.launcher.n_jobs: got -5000"),
        ((*JOBLIB, "hydra.launcher.batch_size=0"), "hydra.launcher.batch_size: got '0', wanted auto, or 1 or more"),
        ((*JOBLIB, "hydra.launcher.pre_dispatch=later"), "hydra.launcher.pre_dispatch: got 'later'"),
        ((*JOBLIB, "+hydra.launcher.nope=1"), "hydra.launcher: got the setting 'nope', wanted one of _target_, n_jobs"),
        (("-m", "seed=0,1", "+hydra.sweeper.nope=1"), "hydra.sweeper: got the setting 'nope', wanted one of _target_"),
        ((*OPTUNA, "hydra.sweeper.n_trials=0", "objectives=[val/score]"), "hydra.sweeper.n_trials: got 0, wanted 1 or"),
        ((*OPTUNA, "hydra.sweeper.direction=up", "objectives=[val/score]"), "hydra.sweeper.direction: got 'up'"),
        (OPTUNA, "objectives: got none for hydra.sweeper.direction=maximize, wanted a metric of the run for each"),
        ((*OPTUNA, "objectives=[val/score,cost/flops]"), "objectives: got ['val/score', 'cost/flops'] for hydra.sweep"),
        ((*OPTUNA, "objectives=[]"), "objectives: got none"),
        (("-m", "seed=range(0,0)"), "seed: got no value from seed=range(0,0), wanted 1 to 100,000 jobs"),
        (("-m", "seed=range(0,1000000000)"), "seed: got more than 100,000 jobs from seed=range(0,1000000000)"),
        (("-m", "seed=0,1", "train.epochs=-1"), "train.epochs: got -1, wanted 0 or more"),
        (("-m", "seed=-1,0"), "seed: got -1, wanted 0 or more"),
        (("-m", "seed=0,x"), "Value 'x' of type 'str' could not be converted to Integer"),
        (("-m", "seed=0,1", "hydra.sweep.dir=/dev/null/x"), "hydra.sweep.dir: got /dev/null/x, which can't be made"),
        (
            ("-m", "seed=0,1", "hydra.sweep.subdir=/dev/null/x"),
            "hydra.sweep.subdir: got /dev/null/x, which",
        ),
        (("hydra.run.dir=/dev/null/x",), "hydra.run.dir: got /dev/null/x, which can't be made (Not a directory)"),
        (("hydra.job.chdir=5",), "hydra.job.chdir: got 5, wanted true or false"),
        (("model={}",), "model: got {}, which changes nothing; give model.NAME=VALUE, or leave it out"),
        (("train.optimizer={}",), "train.optimizer: got {}, which changes nothing"),
        (("estimator=[kde,kde]",), "estimator: got 'kde' twice, wanted each choice once"),
        (("model=[unet,cnn]",), "model: got [unet,cnn], wanted one choice and no list"),
        (("+unknown=1",), "config: got the setting 'unknown', wanted one of seed, device"),
        (("objectives=[nope]",), "objectives: got 'nope', wanted metrics of the run, any of cost/flops"),
        (("train.optimizer.lr=inf",), "train.optimizer.lr: got inf, wanted a finite number"),
        (("probe.pixels=1000000",), "probe.pixels: got 1000000, wanted at most 4096, all pixels of 16 images"),
    ],
)
def test_bad_settings_are_refused_before_a_run_is_tracked(tmp_path, overrides, message):
    assert_refused(tiny(tmp_path, *overrides), message)
    assert runs(tmp_path) == []


@pytest.mark.parametrize("overrides", [["nope"], ["hydra/launcher=nope"], ["train.epochs=x"], ["train.epochs=-1"]])
def test_overrides_of_retraining_are_composed_before_a_base_is_trained(tmp_path, overrides):
    quoted = ",".join(f"'{override}'" for override in overrides)
    ended = command(tmp_path, "propose", f"retrain.overrides=[{quoted}]", "device=cpu")
    assert_refused(ended, f"retrain.overrides: got {overrides}, which can't be composed")


@pytest.mark.processes
def test_a_sweeper_of_one_objective(tmp_path):
    # without resume=false, a second trial of the same design would not run again
    ended = tiny(tmp_path, *OPTUNA, "objectives=[summary/val_score]", "resume=false")
    assert ended.code == 0, ended.err
    (parent,) = parents(tmp_path)
    assert [run.info.status for run in (parent, *children(tmp_path, parent))] == ["FINISHED"] * 3


def test_trials_without_the_objective_are_one_line_each(tmp_path):
    ended = tiny(tmp_path, *OPTUNA, "objectives=[summary/nope]", "hydra.sweeper.n_trials=1")
    assert ended.code == 1
    title, job, last = ended.err.strip().splitlines()[-3:]
    assert title == "jobs that failed"
    assert "objectives: got 'summary/nope', wanted metrics of the run" in job
    assert last.startswith("bench: 1 of 1 jobs failed, for the reasons above")
