"""Faults during a run: the run has its status and traceback, and keeps its measurements."""

import errno
import signal
import time

import psutil
import pytest
import torch
from mlflow import MlflowClient
from running import TINY, artifact, artifacts, layers, process, runs, tiny, with_store

from bench.training.batches import Batches


def ended_run(folder, status: str):
    """Return the only run; assert its status, its traceback and the rows of epoch 0."""
    (run,) = runs(folder)
    assert run.info.status == status
    assert {"config.yaml", "dataset.json", "layers.csv", "traceback.txt"} <= artifacts(folder, run)
    rows = layers(folder, run)
    assert (rows.query("epoch == 0")["bits"].notna().sum()) == 27  # input and 8 taps; X, Y, Y by pixel
    return run


def test_a_loss_that_is_nan_ends_the_run(tmp_path):
    ended = tiny(tmp_path, "train.optimizer.lr=1e30", "train.epochs=3")
    assert ended.code == 1
    assert ended.err.startswith("bench: validation loss: got nan in epoch 1, wanted a finite number; lower train.opt")
    assert ended.err.count("\n") == 1
    run = ended_run(tmp_path, "FAILED")
    assert "TrainingError: validation loss: got nan" in artifact(tmp_path, run, "traceback.txt").read_text()
    assert run.data.metrics["layers.xt/up1"] >= 0


def test_a_network_that_is_nan_after_the_last_step_fails(tmp_path):
    ended = tiny(tmp_path, "train.optimizer.lr=1e30", "train.epochs=1")
    assert ended.code == 1, "a run whose best network gives NaN alone is no finished run"
    assert runs(tmp_path)[0].info.status == "FAILED"


def too_much_memory(_):
    torch.empty(2**60, dtype=torch.uint8)


def cuda_out_of_memory(_):
    raise torch.OutOfMemoryError("CUDA out of memory")


def ctrl_c(_):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("fault", "code", "status", "line"),
    [
        (ctrl_c, 130, "KILLED", "bench: stopped; what was logged up to here is kept\n"),
        (too_much_memory, 1, "FAILED", "bench: out of memory: lower train.batch_size, probe.batch_size or"),
        (cuda_out_of_memory, 1, "FAILED", "bench: out of memory: lower train.batch_size, probe.batch_size or"),
    ],
)
def test_a_fault_in_training_gives_one_line_and_a_status(tmp_path, monkeypatch, fault, code, status, line):
    monkeypatch.setattr(Batches, "__iter__", fault)
    ended = tiny(tmp_path)
    assert ended.code == code
    assert ended.err.startswith(line)
    assert ended.err.count("\n") == 1
    ended_run(tmp_path, status)


def test_a_defect_is_raised_and_the_run_has_failed(tmp_path, monkeypatch):
    monkeypatch.setattr(Batches, "__iter__", lambda self: 1 / 0)
    ended = tiny(tmp_path)
    assert ended.code == 1
    assert "ZeroDivisionError" in ended.err
    ended_run(tmp_path, "FAILED")


@pytest.mark.parametrize("first_that_fails", ["weights.pt", "u_plot.png"])
def test_a_full_disk_gives_one_line_and_metrics_are_kept(tmp_path, monkeypatch, first_that_fails):
    write, full = MlflowClient.log_artifact, []

    def log_artifact(client, run_id, local_path, *rest):
        if full or local_path.endswith(first_that_fails):
            full.append(local_path)
            raise OSError(errno.ENOSPC, "No space left on device", local_path)
        write(client, run_id, local_path, *rest)

    monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
    ended = tiny(tmp_path, "diagnostic=[u_plot]")
    assert ended.code == 1
    assert ended.err.startswith("bench: disk full: ")
    assert "make room where tracking.uri keeps runs and artifacts" in ended.err
    assert ended.err.count("\n") == 1
    (run,) = runs(tmp_path)
    assert run.info.status == "FAILED"
    assert {"train/loss", "val/score", "layers.xt/up1", "layers.ty/up1"} <= set(run.data.metrics)


@pytest.mark.processes
@pytest.mark.parametrize(("sent", "workers"), [(signal.SIGINT, 2), (signal.SIGTERM, 2), (signal.SIGHUP, 0)])
def test_signals_kill_the_run_and_keep_its_layers(tmp_path, sent, workers):
    folder = with_store(tmp_path)
    settings = ("train.epochs=1000000", "probe.epochs=[0]", f"train.workers={workers}")
    with process(folder, *TINY, *settings) as endless:
        try:
            trains_by = time.monotonic() + 120
            while not (found := runs(folder)) or "train/loss" not in found[0].data.metrics:
                assert endless.poll() is None
                assert time.monotonic() < trains_by
                time.sleep(0.5)
            children = psutil.Process(endless.pid).children()
            for child in children:  # as a terminal does, and a cluster
                child.send_signal(sent)
            endless.send_signal(sent)
            _, err = endless.communicate(timeout=60)
        finally:
            endless.kill()
    assert endless.returncode == 130, err
    assert len(children) == workers
    assert not any(child.is_running() for child in children)
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "bench: stopped; what was logged up to here is kept"
    ended_run(folder, "KILLED")
