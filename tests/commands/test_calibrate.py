"""`python -m bench calibrate` with few samples, in this process."""

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from running import QUIET, artifact, artifacts, command, is_drawing, runs, with_store

from bench.commands.calibrate import Question, _sampler, answers
from bench.errors import EstimationError
from bench.estimators import KDE, Gaussian, Renyi
from bench.known_truth import Discretised
from bench.known_truth import Gaussian as GaussianPairs
from bench.known_truth.scores import scored

SMALL = (
    "estimator=[gaussian,ksg,lnc]",
    "benchmark=[gaussian,discretised,student]",
    "estimator.ksg.permutations=4",
    "estimator.ksg.subsamples=4",
    "bits=[0,1]",
    "dims=[1]",
    "n=[100]",
    "repeats=2",
    "dataset.size=16",
    "dataset.n=[16,16,8]",
    "model.widths=[4,8]",
    "planted.taps=[enc1.conv2]",
    "planted.pixels=64",
    "train.epochs=1",
    "device=cpu",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = with_store(tmp_path_factory.mktemp("calibrate"))
    ended = command(folder, "calibrate", *QUIET, *SMALL)
    assert ended.code == 0, ended.err
    (folder / "printed").write_text(ended.out)
    return folder


@pytest.fixture(scope="module")
def rows(folder):
    return pd.read_csv(artifact(folder, runs(folder, "calibration")[0], "calibration.csv"))


def test_logs_the_tables_and_the_figure(folder):
    (run,) = runs(folder, "calibration")
    assert run.info.status == "FINISHED"
    assert {"calibration.csv", "tables", "figures", "config.yaml"} <= artifacts(folder, run)
    assert is_drawing(artifact(folder, run, "figures/calibration.png"))
    assert {"rmse/gaussian", "rmse/ksg", "rmse/lnc"} <= set(run.data.metrics)
    assert "gaussian" in (folder / "printed").read_text()
    matrix = pd.read_csv(artifact(folder, run, "tables/applicability.csv")).set_index("question")
    assert "got a label" in matrix.loc["discretised", "lnc"]
    assert float(matrix.loc["gaussian", "gaussian"]) > 0.5


def test_every_estimator_is_applied_to_every_benchmark_as_often_as_configured(rows):
    counts = rows.groupby(["family", "truth", "estimator"]).size()
    assert set(counts) == {2}
    assert {"gaussian", "discretised", "student"} <= set(rows["family"])
    assert set(rows.query("family == 'student'")["truth"]) == {1.0}  # Student's distribution cannot have 0 bits
    gaussian = rows.query("family == 'gaussian' and estimator == 'gaussian' and truth == 1")["bits"]
    assert gaussian.mean() == pytest.approx(1, abs=0.3)


def test_truth_is_planted_on_the_layers_of_a_trained_network(rows):
    planted = rows[rows["family"].str.startswith("planted")]
    assert set(planted["family"]) == {
        "planted I(X;T), image, enc1.conv2",
        "planted I(T;Y), image, enc1.conv2",
        "planted I(T;Y), pixel, enc1.conv2",
    }
    assert (planted["truth"] == 0).any()
    assert (planted["truth"] > 0.1).any()
    answered = planted[planted["estimator"] == "ksg"]
    assert answered["planted"].notna().any()  # the planted bits at that n and dimension; `reliable` depends on them


@pytest.mark.processes
def test_the_same_command_gives_the_same_table(folder, rows, tmp_path):
    ended = command(with_store(tmp_path), "calibrate", *QUIET, *SMALL)
    assert ended.code == 0, ended.err
    again = pd.read_csv(artifact(tmp_path, runs(tmp_path, "calibration")[0], "calibration.csv"))
    pd.testing.assert_frame_equal(again.drop(columns="seconds"), rows.drop(columns="seconds"))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("bits=[]", "bits: got [], wanted at least one value, each of 0 or more"),
        ("bits=[-1]", "bits: got [-1.0], wanted at least one value"),
        ("n=[4]", "n: got [4], wanted at least one value, each of 16 or more"),
        ("repeats=1", "repeats: got 1, wanted 2 or more"),
        ("benchmark=[gauss]", "benchmark: got 'gauss', wanted one of asinh, blob"),
        ("preset=slow", "preset: got 'slow', wanted one of full, quick"),
        ("planted.views=[voxel]", "probe.views: got 'voxel', wanted any of image, pixel, patch"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(tmp_path, override, message):
    ended = command(with_store(tmp_path), "calibrate", *QUIET, *SMALL, override)
    assert ended.code == 2
    assert message in ended.err
    assert len(ended.err.strip().splitlines()) == 1


@pytest.mark.processes
def test_a_sweep_of_calibrations_finishes_with_its_parent(tmp_path):
    overrides = ("benchmark=[gaussian]", "estimator=[gaussian]", "planted=null", "n=[60]", "bits=[1]")
    rest = ("estimator.gaussian.permutations=2", "repeats=2", "dims=[1]", "device=cpu", "seed=0,1")
    ended = command(with_store(tmp_path), "calibrate", "-m", *QUIET, *overrides, *rest)
    assert ended.code == 0, ended.err
    found = runs(tmp_path, "calibration")
    assert [run.info.status for run in found] == ["FINISHED"] * 3


def test_a_layer_without_spread_is_a_skipped_row_with_its_reason():
    def draw(rng):
        raise EstimationError("got identical rows")

    config = OmegaConf.create({"seed": 0, "repeats": 2, "calibration": False})
    rows = list(answers(Question("planted", 4, 50, draw), {"kde": KDE(), "renyi": Renyi()}, config))
    assert [(row["estimator"], row["reason"]) for row in rows] == 2 * [
        ("kde", "got identical rows"),
        ("renyi", "got identical rows"),
    ]
    scores = scored(pd.DataFrame(rows).assign(bits=np.nan, excess=np.nan))
    assert scores["reason"].tolist() == ["got identical rows"] * 2


def test_labels_have_calibrated_bits_and_other_targets_a_planted_one():
    config = OmegaConf.create({"seed": 0, "repeats": 1, "calibration": "curve"})
    estimators = {"gaussian": Gaussian(permutations=5, subsamples=2)}
    kinds = {"label": Discretised(bits=0.5, dim=1, classes=2), "number": GaussianPairs(bits=0.5, dim=1)}
    rows = pd.DataFrame(
        row
        for name, kind in kinds.items()
        for row in answers(Question(name, 1, 200, _sampler(kind, 200)), estimators, config)
    ).set_index("family")
    assert rows["planted"].notna().tolist() == [False, True]
    assert rows["calibrated_low"].notna().tolist() == [True, False]
    assert rows.loc["label", "calibrated_low"] <= 0.5 <= rows.loc["label", "calibrated_high"]


def test_bits_and_dims_that_no_benchmark_supports_are_refused(tmp_path):
    ended = command(
        with_store(tmp_path), "calibrate", *QUIET, "benchmark=[blob]", "dims=[1]", "planted=null", "device=cpu"
    )
    assert ended.code == 2
    assert "bits and dims: got none that a benchmark supports, wanted values such as bits=[1] dims=[1]" in ended.err
