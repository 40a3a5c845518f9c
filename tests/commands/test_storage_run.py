"""A run whose samples are on disk has the results of the run in memory, to the last bit."""

import pytest
import torch
from pandas.testing import assert_frame_equal
from running import QUIET, TINY, artifact, command, layers, runs, tiny, with_store
from small_data import write_data

from bench.datasets import workers

TIMES = ("cost/", "system/")


def results(folder):
    run = runs(folder)[-1]
    weights = torch.load(artifact(folder, run, "weights.pt"), weights_only=True)
    metrics = {key: value for key, value in run.data.metrics.items() if not key.startswith(TIMES)}
    return layers(folder, run).drop(columns="seconds"), weights, metrics


@pytest.mark.processes
@pytest.mark.parametrize("dataset", ["image_folder", "decathlon"])
def test_a_run_on_disk_equals_the_run_in_memory(tmp_path, dataset, monkeypatch):
    monkeypatch.setattr(workers, "ALONE", 0.0)
    monkeypatch.setattr(workers, "WORTH", 0.0)
    write_data(dataset, tmp_path / "data")
    given = [f"dataset={dataset}", f"dataset.root={tmp_path / 'data'}", "dataset.augment=[flips]", "resume=false"]
    if dataset == "decathlon":
        given += [f"dataset.task={next((tmp_path / 'data').iterdir()).name}"]
    else:
        given += ["dataset.size=null"]
    small = [each for each in TINY if each != "dataset.size=16"]
    found = []
    for cache in ("memory", "disk"):
        ended = command(with_store(tmp_path), *QUIET, *given, *small, f"dataset.cache={cache}")
        assert ended.code == 0, ended.err
        found.append(results(tmp_path))
        assert (tmp_path / "cache").exists() == (cache == "disk")
    table, weights, metrics = found[0]
    other_table, other_weights, other_metrics = found[1]
    assert_frame_equal(table, other_table, check_exact=True)
    assert all(torch.equal(tensor, other_weights[name]) for name, tensor in weights.items())
    assert metrics == other_metrics


@pytest.mark.processes
def test_a_run_is_the_same_job_wherever_its_samples_are(tmp_path):
    write_data("image_folder", tmp_path / "data")
    given = ["dataset=image_folder", f"dataset.root={tmp_path / 'data'}", "estimator=[]"]
    assert tiny(tmp_path, *given, "dataset.cache=memory").code == 0
    assert tiny(tmp_path, *given, "dataset.cache=disk").code == 0
    assert len({run.data.tags["fingerprint"] for run in runs(tmp_path)}) == 1


def test_a_wrong_choice_ends_the_command_before_any_work(tmp_path):
    write_data("image_folder", tmp_path / "data")
    ended = command(
        with_store(tmp_path), "dataset=image_folder", f"dataset.root={tmp_path / 'data'}", "dataset.cache=ram"
    )
    assert ended.code == 2
    assert (
        ended.err == "bench: dataset.cache: got 'ram', wanted one of ['auto', 'memory', 'disk']; change dataset.cache\n"
    )
