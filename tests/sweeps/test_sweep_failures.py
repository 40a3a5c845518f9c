"""Sweeps whose jobs fail, that are stopped, or that another sweep of the same name prevents."""

import pandas as pd
import pytest
from running import artifact, assert_refused, children, parents, points, runs, store, stored_file, tiny, uri

from bench import tracking
from bench.sweeps.summary import summarise
from bench.tracking.store import connect
from bench.training.batches import Batches

pytestmark = pytest.mark.processes


def test_a_failed_job_does_not_affect_the_others(tmp_path):
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


def test_a_job_that_fails_in_training_does_not_affect_the_others(tmp_path):
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


def test_a_defect_in_a_job_does_not_affect_the_others_and_its_traceback_is_logged(tmp_path, monkeypatch):
    batches_of = Batches.__iter__

    def defect(batches):
        if batches.seed == 0:
            raise ZeroDivisionError("oh no")
        return batches_of(batches)

    monkeypatch.setattr(Batches, "__iter__", defect)
    ended = tiny(tmp_path, "-m", "seed=0,1")
    assert ended.code == 1
    assert "  unet seed=0  ZeroDivisionError: oh no\n" in ended.err
    failed, finished = children(tmp_path, *parents(tmp_path))
    assert [failed.info.status, finished.info.status] == ["FAILED", "FINISHED"]
    assert "in defect" in artifact(tmp_path, failed, "traceback.txt").read_text()


def test_a_failed_sweep_is_continued_under_the_same_parent(tmp_path, monkeypatch):
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
    # the parent; two failed jobs, because batches.seed is no iterator; two finished jobs
    assert len(runs(tmp_path)) == 1 + 2 + 2


def test_a_second_simultaneous_sweep_of_the_same_name_is_refused(tmp_path):
    assert tiny(tmp_path, "-m", "seed=0,1", "tracking.name=study").code == 0
    (first,) = parents(tmp_path)
    client = store(tmp_path)
    client.update_run(first.info.run_id, status="RUNNING")  # as if this living process were running it
    for command in (("seed=0,1",), ("seed=2,3", "model.skips=none")):
        ended = tiny(tmp_path, "-m", *command, "tracking.name=study")
        assert_refused(
            ended, "tracking.name: the sweep 'study' is already running as run", "of process", "tracking.name"
        )
    assert len(parents(tmp_path)) == 1
    assert tiny(tmp_path, "-m", "seed=0,1", "tracking.name=other").code == 0


def test_ctrl_c_ends_the_sweep(tmp_path, monkeypatch):
    def ctrl_c(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Batches, "__iter__", ctrl_c)
    ended = tiny(tmp_path, "-m", "seed=0,1")
    assert ended.code == 130
    (parent,) = parents(tmp_path)
    assert parent.info.status == "KILLED"
    assert [run.info.status for run in children(tmp_path, parent)] == ["KILLED"]  # the second job did not start


def test_a_run_with_a_damaged_table_is_named_and_the_others_are_summarised(tmp_path, caplog):
    assert tiny(tmp_path, "-m", "seed=0,1").code == 0
    (parent,) = parents(tmp_path)
    damaged, intact = children(tmp_path, parent)
    stored_file(damaged, "layers.csv").write_text("<html>")
    connected = connect(uri(tmp_path), "bench")
    with tracking.resumed(connected, parent.info.run_id) as again:
        summarise(connected, again)
    assert f"({damaged.info.run_id}) is not in the summary" in caplog.text
    (parent,) = parents(tmp_path)
    assert points(tmp_path, parent, "profile/I_XT.kde")[50] == points(tmp_path, intact, "profile/I_XT.kde")[50]
