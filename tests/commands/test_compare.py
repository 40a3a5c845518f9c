"""`python -m bench compare`: its tables agree with the logs of the runs; its page; its own run in MLflow."""

import base64
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from parsing import Page
from PIL import Image
from running import artifact, artifacts, assert_refused, command, is_drawing, layers, parents, runs, store, tiny, uri

from bench.comparison.comparison import compare_runs
from bench.comparison.page import page
from bench.comparison.runs import choose_runs
from bench.pruning.judging import judge
from bench.tracking.store import connect

pytestmark = pytest.mark.processes

DEEP, FLAT = "model.widths=[4,4,8]", "model.widths=[4,8]"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Train two designs from two seeds each, and compare them."""
    folder = tmp_path_factory.mktemp("compare")
    ended = tiny(
        folder, "-m", f"{DEEP},[4,8]", "seed=0,1", "tracking.name=widths", "estimator=[renyi_2,kde]", "train.epochs=2"
    )
    assert ended.code == 0, ended.err
    ended = command(folder, "compare", "sweep=widths")
    assert ended.code == 0, ended.err
    (folder / "out.txt").write_text(ended.out)
    return folder


@pytest.fixture(scope="module")
def files(folder):
    (made,) = (folder / "comparisons").iterdir()
    return made


@pytest.fixture(scope="module")
def trained(folder):
    """Return the finished training runs by design."""
    found = {}
    for run in runs(folder):
        if "design" in run.data.tags:
            found.setdefault(run.data.tags["design"], []).append(run)
    return found


def best(folder, run):
    frame = layers(folder, run)
    return frame[(frame["weights"] == "best") & frame["bits"].notna()]


def test_the_table_of_designs_agrees_with_the_logs_of_their_runs(folder, files, trained):
    table = pd.read_csv(files / "comparison.csv").set_index("design")
    assert table.index.tolist() == [DEEP, FLAT]  # in descending order of FLOPs
    for design, of_design in trained.items():
        row, logged = table.loc[design], [run.data.metrics for run in of_design]
        assert row["seeds"] == 2
        assert row["score"] == pytest.approx(np.mean([metrics["test/dice"] for metrics in logged]))
        for cost in ("params", "flops", "latency_ms"):
            assert row[cost] == pytest.approx(np.mean([metrics[f"cost/{cost}"] for metrics in logged]))
        reliable = pd.concat(best(folder, run) for run in of_design)["reliable"]
        assert row["rows"] == len(reliable)
        assert row["reliable"] == reliable.eq(True).sum() > 0
        assert row["reference_only"] == reliable.isna().sum() > 0
    deep, flat = table["collapsed"] < table["seeds"]
    higher = table["score"].iloc[0] > table["score"].iloc[1]
    assert table["front.params"].tolist() == [bool(deep and (higher or not flat)), bool(flat)]
    assert (table["metric"] == "Dice").all()


def test_intervals_and_gain_are_over_seeds_and_images(folder, files, trained):
    table = pd.read_csv(files / "comparison.csv").set_index("design")
    images = pd.concat(
        pd.read_csv(artifact(folder, run, "test.csv")).assign(design=design, seed=seed, weight=1 / 8)
        for design, of_design in trained.items()
        for seed, run in enumerate(of_design)
    ).rename(columns={"dice": "score"})
    for design in trained:
        effect, over = judge.spread(images, design)
        assert table.loc[design, "over"] == over == "images alone"  # of two seeds
        assert table.loc[design, ["low", "high"]].tolist() == pytest.approx([effect.low, effect.high])
    gain = judge.paired(images, FLAT, DEEP)
    assert table.loc[FLAT, ["gain", "gain_low", "gain_high"]].tolist() == pytest.approx(
        [gain.mean, gain.low, gain.high]
    )
    assert table.loc[FLAT, "verdict"] == judge.verdict(gain, 0.01)
    assert table.loc[DEEP, ["gain", "verdict"]].isna().all()  # the reference


def test_differences_are_between_means_over_runs(folder, files, trained):
    found = pd.read_csv(files / "differences.csv")
    assert set(found["design"]) == {FLAT}
    assert set(found["quantity"]) == {"I(X;T)", "I(T;Y)"}
    assert set(found["view"]) == {"image", "pixel"}
    assert not found.duplicated(["tap", "quantity", "view", "label_view", "estimator"]).any()
    for estimator, view, size in (("renyi_2", "pixel", "excess"), ("kde", "image", "bits")):
        question = {"tap": "out", "estimator": estimator, "view": view}
        question |= {"quantity": "I(T;Y)" if size == "excess" else "I(X;T)"}
        query = " and ".join(f"{key} == {value!r}" for key, value in question.items())
        means = {of: np.mean([best(folder, run).query(query)[size].item() for run in trained[of]]) for of in trained}
        row = found.query(query).iloc[0]
        assert row["of"] == size
        assert row["difference"] == pytest.approx(means[FLAT] - means[DEEP])
        assert row["low"] < row["difference"] < row["high"]
        assert row["over"] == "seeds and images"
    missing = pd.read_csv(files / "without_counterpart.csv")
    assert set(missing["tap"]) == {"enc2.conv1", "enc2.conv2", "up2", "dec2.conv1", "dec2.conv2"}
    assert set(missing["missing_in"]) == {FLAT}


def test_terminal_and_figures(folder, files):
    out = (folder / "out.txt").read_text()
    assert "no truth was planted" not in out
    for part in (
        DEEP,
        FLAT,
        "Dice",
        "verdict",
        "reference: model.widths=[4,4,8]",
        "No counterpart in model.widths=[4,8]",
    ):
        assert part in out
    assert str(files.relative_to(folder) / "comparison.html") in out
    for name in ("pareto", "u_plot", "differences"):
        assert is_drawing(files / f"{name}.png")


def test_page_loads_no_other_file_and_explains_the_table(files):
    html = (files / "comparison.html").read_text()
    shown = Page(html)
    assert shown.open == []
    assert shown.seen["img"] == 3
    for source in shown.loaded:
        head, data = source.split(",", 1)
        assert head == "data:image/png;base64"
        Image.open(io.BytesIO(base64.b64decode(data))).verify()
    assert not {"script", "link", "iframe"} & set(shown.seen)
    assert "://" not in html
    assert "@import" not in html
    text = " ".join(shown.text)
    for part in (DEEP, FLAT, "How to read the table", "paired by seed and test image", "No counterpart in"):
        assert part in text
    designs, columns, layers_differ = 2, 10, len(pd.read_csv(files / "differences.csv"))
    assert shown.seen["tr"] == 1 + designs + columns + 1 + layers_differ


def test_names_are_escaped(folder):
    bad = "<script>alert('x')</script>&\"quoted\""
    config = OmegaConf.create({"reference": None, "by": None, "margin": 0.01})
    comparison = compare_runs(choose_runs(connect(uri(folder), "bench"), None, "widths"), config)
    changed = {
        "designs": comparison.designs.assign(design=[bad, "other"]),
        "differences": comparison.differences.assign(design=bad),
        "reference": bad,
        "notes": [bad],
    }
    html = page(bad, replace(comparison, **changed), {})
    shown = Page(html)
    assert "script" not in shown.seen
    assert bad in shown.text
    assert shown.text.count(bad) == 1 + 1 + 1 + 1 + 1 + len(comparison.differences)


def test_designs_that_never_predict_a_class_have_a_note(folder):
    config = OmegaConf.create({"reference": None, "by": None, "margin": 0.01})
    found = choose_runs(connect(uri(folder), "bench"), None, "widths")
    tags = [store(folder).get_run(run).data.tags for run in found.frame["run"]]
    assert found.frame["missed"].tolist() == [each.get("missed", "") for each in tags]
    missed = ["lesion" if each == FLAT else "" for each in found.frame["design"]]
    notes = compare_runs(replace(found, frame=found.frame.assign(missed=missed, collapsed=0)), config).notes
    said = f"never predicts a class of the validation data: {FLAT} 2 of 2 (lesion)."
    assert [said in note for note in notes].count(True) == 1


def test_a_comparison_is_a_run_that_does_not_count_as_a_training_run(folder, files, trained):
    made = store(folder).get_run(files.name)
    assert made.info.status == "FINISHED"
    assert not {"design", "sweep", "fingerprint", "mlflow.parentRunId"} & set(made.data.tags)
    assert artifacts(folder, made) == {"comparison.html", "config.yaml", "figures", "tables"}
    for name in ("comparison", "differences", "without_counterpart", "runs"):
        assert artifact(folder, made, f"tables/{name}.csv").read_text() == (files / f"{name}.csv").read_text()
    assert artifact(folder, made, "comparison.html").read_text() == (files / "comparison.html").read_text()
    assert is_drawing(artifact(folder, made, "figures/u_plot.png"))
    config = OmegaConf.create({"reference": None, "by": None, "margin": 0.01})
    everything = compare_runs(choose_runs(connect(uri(folder), "bench"), None, None, True), config)
    pd.testing.assert_frame_equal(everything.designs, pd.read_csv(files / "comparison.csv").drop(columns="metric"))
    assert len(parents(folder)) == 1


def test_another_estimator_and_view(folder):
    ended = command(folder, "compare", "sweep=widths", "by=kde.pixel", "folder=by_pixel")
    assert ended.code == 0, ended.err
    assert "information by: kde, pixel view" in ended.out
    (files,) = (folder / "by_pixel").iterdir()
    by_pixel = pd.read_csv(files / "differences.csv").query("estimator == 'kde' and view == 'pixel'")
    row = pd.read_csv(files / "comparison.csv").set_index("design").loc[FLAT]
    assert row["most_excess"] == pytest.approx(by_pixel["value"].max())
    assert row["narrowest"] == "bottleneck.conv2"  # this view has no I(X;T)
    ended = command(folder, "compare", "sweep=widths", "by=renyi_2.patch")
    assert_refused(
        ended, "by: got renyi_2.patch, wanted one that all runs measured: renyi_2.image, renyi_2.pixel, kde.image"
    )
