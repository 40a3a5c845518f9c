"""`python -m bench propose ask.rule=filter_count`: designs with the numbers of filters that a run recommends."""

import pandas as pd
import pytest
from running import artifact, assert_refused, command, runs, tiny, with_store

pytestmark = pytest.mark.processes


def test_the_recommended_numbers_of_filters_are_proposed(tmp_path):
    with_store(tmp_path)
    asked = ["estimator=[renyi_2]", "estimator.renyi_2.batch_size=8", "diagnostic=[filter_count]", "probe.split=train"]
    data = (
        "dataset.task=classification",
        "dataset.n=[128,16,16]",
        "dataset.size=32",
        "dataset.difficulty=0",
        "probe.views=null",
    )
    ended = tiny(tmp_path, *data, "model=cnn", "model.filters=[4,6]", "train.epochs=2", *asked)
    assert ended.code == 0, ended.err
    (run,) = runs(tmp_path)
    found = pd.read_csv(artifact(tmp_path, run, "tables/filter_count.csv"))
    counts = found.query("about == 'Y' and order == 'random'").set_index("tap")["recommended"]
    assert counts.notna().any()
    filters = [int(counts.fillna(width)[tap]) for tap, width in (("conv1", 4), ("conv2", 6))]
    by_count = (f"run={run.info.run_id}", "ask.rule=filter_count", "ask.around=[1]", "verify=false")
    ended = command(tmp_path, "propose", *by_count)
    if filters == [4, 6]:
        assert_refused(ended, "ask.around: got counts that are nowhere below the base's")
    else:
        assert ended.code == 0, ended.err
        assert f"model.filters='[{filters[0]},{filters[1]}]'" in ended.out
        (proposed,) = runs(tmp_path, "propose")
        assert "Measured by renyi_2 in the image view" in artifact(tmp_path, proposed, "pages/lean_1.html").read_text()


def test_a_missing_run_or_a_run_without_filter_counts_is_refused(tmp_path):
    with_store(tmp_path)
    assert_refused(
        command(tmp_path, "propose", "ask.rule=filter_count"), "run: got none, wanted one with the diagnostic"
    )
    assert_refused(
        command(tmp_path, "propose", "ask.rule=guess"), "ask.rule: got 'guess', wanted search or filter_count"
    )
    assert_refused(command(tmp_path, "propose", "ask.around=[0]"), "ask.around: got [0.0], wanted factors above 0")
    small = ("dataset.task=classification", "dataset.n=[32,16,16]", "dataset.size=16", "model=cnn", "model.filters=[2]",
             "probe.views=null")  # fmt: skip
    assert tiny(tmp_path, *small, "train.epochs=1", "estimator=[kde]", "diagnostic=[]").code == 0
    (run,) = runs(tmp_path)
    refused = command(tmp_path, "propose", f"run={run.info.run_id}", "ask.rule=filter_count", "verify=false")
    assert_refused(refused, "wanted one with tables/filter_count.csv")
