import errno
import gzip
import http.server
import signal
import socket
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import torch
from mlflow import MlflowClient
from PIL import Image
from running import TINY, artifact, artifacts, command, layers, process, runs, tiny, uri, with_store

from bench import store
from bench.store import ANSWER_SECONDS, connect
from bench.train import Batches

ESTIMATORS = "wanted one of binning, gaussian, infonce, kde, "
TAPS = "enc1.conv1, enc1.conv2, bottleneck.conv1, bottleneck.conv2, up1, skip1, dec1.conv1, dec1.conv2, out"


def refused(ended, *parts: str):
    """The command ended with exit code 2 and one line that holds these parts."""
    assert ended.code == 2, ended
    assert ended.out == ""
    assert ended.err.startswith("bench: ")
    assert ended.err.count("\n") == 1
    assert ended.err.endswith("\n")
    for part in parts:
        assert part in ended.err


# Values of the config


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ("model.widths=[]", "widths: got [], wanted at least 2 positive integers; give one per level"),
        ("model.widths=[8]", "widths: got [8], wanted at least 2 positive integers"),
        ("model.widths=[0,8]", "widths: got [0, 8], wanted at least 2 positive integers"),
        ("model.widths=[4,8.5]", "widths: got [4, 8.5], wanted at least 2 positive integers"),
        ("model.widths=[4,wide]", "widths: got [4, 'wide'], wanted at least 2 positive integers"),
        ("model.skips=[cat,off]", "skips: got ['cat', 'off'], wanted one entry per level, 1 in all"),
        ("model.skips=some", "skips: got 'some', wanted all, none, add or a list of cat, add, off"),
        ("model.in_channels=2", "model: refuses images of shape (1, 16, 16) (input: got shape"),
        ("model=cnn", "got an output of shape (2,), wanted (1, 16, 16) for segmentation"),
        ("dataset.task=classification", "choose a network for classification, such as model=cnn"),
        ("model=resnet", "model: got 'resnet', wanted one of cnn, lenet5, unet, unet_lee2021, vgg_small"),
        ("dataset=coco", "dataset: got 'coco', wanted one of dsb2018, fashion_mnist, image_folder, medmnist, mnist"),
        ("dataset.task=detection", "dataset.task: got 'detection', wanted one of ['segmentation', 'classification']"),
        ("dataset.n=[16,16,0]", "dataset.n: got [16, 16, 0]"),
        ("estimator=nosuch", f"estimator: got 'nosuch', {ESTIMATORS}"),
        ("estimator=[kde,nosuch]", f"estimator: got 'nosuch', {ESTIMATORS}"),
        ("estimator=[]", "estimator: got"),
        ("estimator=null", "Config group override must be a string or a list. Got NoneType, wanted such as"),
        ("estimator.kde.noise_variance=0", "estimator.kde: noise_variance: got 0, wanted a number above 0"),
        ("estimator=[renyi] estimator.renyi.alpha=0", "estimator.renyi: alpha: got 0, wanted a number above 0"),
        ("estimator=[renyi] estimator.renyi.alpha=-1.5", "alpha: got -1.5, wanted a number above 0"),
        ("diagnostic=[u_plot,v_plot]", "diagnostic: got 'v_plot', wanted one of bottleneck, information_plane, u_plot"),
        ("+experiment=lee2022", "experiment: got 'lee2022', wanted one of lee2021"),
        ("probe.n=17", "probe.n: got 17, wanted at most 16, the size of probe.split=val; lower it or take"),
        ("probe.n=15", "probe.n: got 15 samples (probe.split=val), wanted at least 16"),
        ("probe.split=test", "probe.n: got 8 samples (probe.split=test), wanted at least 16"),
        ("probe.n=many", "Error merging override probe.n=many: Value 'many' of type 'str' could not be converted"),
        ("probe.split=validation", "probe.split: got 'validation', wanted one of train, val, test, all"),
        ("probe.taps=[up1,up9]", f"probe.taps: got 'up9', which is no tap of the model; wanted any of {TAPS}"),
        ("probe.taps=up9", "Error merging override probe.taps=up9: "),
        ("probe.taps=[]", "probe.taps: got none, wanted at least one"),
        ("probe.labels=[octiles]", "probe.labels: got 'octiles', wanted one of fractions, mask, coarse, kmeans"),
        ("probe.labels=[kmeans]", "kmeans wants at least 64 training masks, got 16"),
        ("probe.epochs=3", "Error merging override probe.epochs=3: "),
        ("probe.epochs=[last]", "Value 'last' of type 'str' could not be converted to Integer"),
        ("probe.untrained_seeds=-1", "probe.untrained_seeds: got -1"),
        ("probe.batch_size=0", "probe.batch_size: got 0"),
        ("probe.budget_gb=0", "probe.budget_gb: got 0"),
        ("train.epochs=-1", "train.epochs: got -1"),
        ("train.epochs=ten", "Value 'ten' of type 'str' could not be converted to Integer"),
        ("train.batch_size=0", "train.batch_size: got 0"),
        ("train.optimizer.lr=-1", "train.optimizer: Invalid learning rate: -1"),
        ("train.loss=ce", "train.loss: got 'ce', wanted one of auto, bce, dice, dice_ce for this segmentation"),
        ("+train.epoch=3", "train: got the setting 'epoch', wanted one of epochs, batch_size"),
        ("+probe.samples=16", "probe: got the setting 'samples', wanted one of split, n"),
        ("modle.widths=[4,8]", "Could not override 'modle.widths'"),
        ("train.epoch=3", "Could not override 'train.epoch'"),
        ("seed=-1", "seed: got -1, wanted 0 or more"),
        ("seed=one", "Value 'one' of type 'str' could not be converted to Integer"),
        ("device=gpu", "device: got 'gpu', wanted auto, cpu or cuda"),
        ("tracking.uri=ftp://store", "tracking.uri: got ftp://store, wanted a tracking store that answers"),
        ("tracking.uri=sqlite:////nowhere/mlflow.db", "wanted a folder that exists; make /nowhere"),
        ("tracking.experiment=''", "tracking.experiment: got an empty name"),
    ],
)
def test_bad_value(tmp_path, overrides, message):
    refused(tiny(tmp_path, *overrides.split()), message)
    assert runs(tmp_path) == []


def test_unknown_verb(tmp_path):
    refused(command(tmp_path, "trian", "seed=1"), "verb: got 'trian', wanted one of run")


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a GPU")
def test_cuda_where_there_is_none(tmp_path):
    refused(tiny(tmp_path, "device=cuda"), "no GPU is visible: device=auto or cpu")
    assert runs(tmp_path) == []


def test_full_error_shows_the_traceback(tmp_path, monkeypatch):
    monkeypatch.setenv("HYDRA_FULL_ERROR", "1")
    ended = tiny(tmp_path, "seed=-1")
    assert ended.code == 2
    assert ended.err.startswith("Traceback")
    assert "InputError: seed: got -1" in ended.err


def test_a_process_ends_with_one_line_and_code_2(tmp_path):
    ended = process(tmp_path, "dataset=image_folder", "dataset.root=nowhere")
    out, err = ended.communicate(timeout=120)
    assert (ended.returncode, out) == (2, "")
    assert err == "bench: dataset.root: got nowhere, which is no folder; give dataset.root=DIR of one that exists\n"
    assert not (tmp_path / "mlflow.db").exists()


# Files of a dataset


def save(path, values):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.resize(np.array(values, np.uint8), (16, 16))).save(path)


def image_without_mask(root):
    (root / "masks" / "a4.png").unlink()
    return "a4.png: got an image without mask, wanted masks/a4"


def mask_without_image(root):
    (root / "images" / "a4.png").unlink()
    return "a4.png: got a mask without image, wanted images/a4"


def wrong_mask_values(root):
    save(root / "masks" / "a4.png", [0, 7, 255])
    return "a4.png: got mask values 0, 7, 255"


def sizes_that_differ(root):
    Image.new("L", (16, 17)).save(root / "images" / "a4.png")
    return "a4.png: got 17x16 and a mask of 16x16, wanted one size"


def truncated_image(root):
    path = root / "images" / "a4.png"
    path.write_bytes(path.read_bytes()[:60])
    return "a4.png: unreadable"


def empty_split(root):
    (root / "index.csv").write_text("stem,split\n" + "".join(f"a{i},train\n" for i in range(10)))
    return "the test split is empty"


@pytest.mark.parametrize(
    "damage",
    [image_without_mask, mask_without_image, wrong_mask_values, sizes_that_differ, truncated_image, empty_split],
)
def test_bad_folder(tmp_path, damage):
    root = tmp_path / "data"
    for i in range(10):
        save(root / "images" / f"a{i}.png", range(i, 256))
        save(root / "masks" / f"a{i}.png", [0, 255])
    message = damage(root)
    refused(tiny(tmp_path, "dataset=image_folder", f"dataset.root={root}", "dataset.size=16"), message)
    assert runs(tmp_path) == []


def npz(**changes):
    arrays = {}
    for split in ("train", "val", "test"):
        arrays[f"{split}_images"] = np.zeros((20, 28, 28), np.uint8)
        arrays[f"{split}_labels"] = np.arange(20)[:, None] % 2
    return {key: value for key, value in (arrays | changes).items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None}, "val_labels"),
        ({"val_labels": np.array([[{"class": 0}]] * 20)}, "pickle"),
        ({"val_labels": np.full((20, 1), 5)}, "got labels 5, wanted 0 to 1"),
    ],
)
def test_bad_npz(tmp_path, changes, message):
    path = tmp_path / "pneumoniamnist.npz"
    np.savez(path, **npz(**changes))
    refused(tiny(tmp_path, "dataset=medmnist", f"dataset.file={path}", "model=cnn"), "pneumoniamnist.npz", message)
    assert runs(tmp_path) == []


def test_truncated_idx(tmp_path):
    for name in ("train-images-idx3", "train-labels-idx1", "t10k-images-idx3", "t10k-labels-idx1"):
        (tmp_path / f"{name}-ubyte.gz").write_bytes(gzip.compress(b"\0\0\x08\x03")[:15])
    refused(tiny(tmp_path, "dataset=mnist", f"dataset.root={tmp_path}", "model=lenet5"), "ubyte.gz")
    assert runs(tmp_path) == []


# Tracking stores that don't answer


@contextmanager
def silent_server():
    """Takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield f"http://127.0.0.1:{server.getsockname()[1]}"


@contextmanager
def no_server():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    yield f"http://127.0.0.1:{port}"


@contextmanager
def some_other_server():
    """Answers, but knows nothing of MLflow: 404 or 501."""
    handler = type("Quiet", (http.server.BaseHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def test_waits_15_seconds_for_a_store(tmp_path):
    assert ANSWER_SECONDS == 15
    with silent_server() as address:
        started = time.monotonic()
        refused(tiny(tmp_path, f"tracking.uri={address}"), f"tracking.uri: got {address}", "no answer within 15 s")
        assert time.monotonic() - started < 25


@pytest.mark.parametrize(
    ("server", "verb"), [(silent_server, ()), (no_server, ()), (some_other_server, ()), (no_server, ("-m", "seed=0,1"))]
)
def test_store_that_does_not_answer(tmp_path, monkeypatch, server, verb):
    monkeypatch.setattr(store, "ANSWER_SECONDS", 1)
    with server() as address:
        ended = tiny(tmp_path, *verb, f"tracking.uri={address}")
    refused(ended, f"tracking.uri: got {address}, wanted a tracking store that answers", "start it or fix the address")


def test_store_that_is_no_database(tmp_path):
    (tmp_path / "notes.db").write_text("no database" * 100)
    refused(tiny(tmp_path, f"tracking.uri=sqlite:///{tmp_path}/notes.db"), "notes.db")


def test_deleted_experiment(tmp_path):
    known = connect(uri(with_store(tmp_path)), "old")
    known.client.delete_experiment(known.experiment_id)
    refused(tiny(tmp_path, "tracking.experiment=old"), "got 'old', which was deleted; restore it or take another name")


# During a run: marked, and what was measured kept


def ended_run(folder, status: str):
    """The one run: marked so, with its traceback and the rows of epoch 0."""
    (run,) = runs(folder)
    assert run.info.status == status
    assert {"config.yaml", "dataset.json", "layers.csv", "traceback.txt"} <= artifacts(folder, run)
    rows = layers(folder, run)
    assert (rows.query("epoch == 0")["bits"].notna().sum()) == 27  # input and 8 taps, of X, of Y, and of Y by pixels
    return run


def test_loss_that_is_nan(tmp_path):
    ended = tiny(tmp_path, "train.optimizer.lr=1e30", "train.epochs=3")
    assert ended.code == 1
    assert ended.err.startswith("bench: validation loss: got nan in epoch 1, wanted a finite number; lower train.opt")
    assert ended.err.count("\n") == 1
    run = ended_run(tmp_path, "FAILED")
    assert "TrainingError: validation loss: got nan" in artifact(tmp_path, run, "traceback.txt").read_text()
    assert run.data.metrics["layers.xt/up1"] >= 0


def test_network_that_is_nan_after_the_last_step(tmp_path):
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
def test_fault_in_training(tmp_path, monkeypatch, fault, code, status, line):
    monkeypatch.setattr(Batches, "__iter__", fault)
    ended = tiny(tmp_path)
    assert ended.code == code
    assert ended.err.startswith(line)
    assert ended.err.count("\n") == 1
    ended_run(tmp_path, status)


def test_defect_is_raised_and_marked(tmp_path, monkeypatch):
    monkeypatch.setattr(Batches, "__iter__", lambda self: 1 / 0)
    ended = tiny(tmp_path)
    assert ended.code == 1
    assert "ZeroDivisionError" in ended.err
    ended_run(tmp_path, "FAILED")


@pytest.mark.parametrize("first_that_fails", ["weights.pt", "u_plot.png"])
def test_disk_full_of_artifacts(tmp_path, monkeypatch, first_that_fails):
    fits, full = MlflowClient.log_artifact, []

    def log_artifact(client, run_id, local_path, *rest):
        if full or local_path.endswith(first_that_fails):
            full.append(local_path)
            raise OSError(errno.ENOSPC, "No space left on device", local_path)
        fits(client, run_id, local_path, *rest)

    monkeypatch.setattr(MlflowClient, "log_artifact", log_artifact)
    ended = tiny(tmp_path)
    assert ended.code == 1
    assert ended.err.startswith("bench: disk full: ")
    assert "make room where tracking.uri keeps runs and artifacts" in ended.err
    assert ended.err.count("\n") == 1
    (run,) = runs(tmp_path)
    assert run.info.status == "FAILED"
    assert {"train/loss", "val/score", "layers.xt/up1", "layers.ty/up1"} <= set(run.data.metrics)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_signals_kill_the_run_and_keep_its_layers(tmp_path, sent):
    folder = with_store(tmp_path)
    with process(folder, *TINY, "train.epochs=1000000", "probe.epochs=[0]") as endless:
        try:
            trains_by = time.monotonic() + 120
            while not (found := runs(folder)) or "train/loss" not in found[0].data.metrics:
                assert endless.poll() is None
                assert time.monotonic() < trains_by
                time.sleep(0.5)
            endless.send_signal(sent)
            _, err = endless.communicate(timeout=60)
        finally:
            endless.kill()
    assert endless.returncode == 130, err
    assert err.splitlines()[-1] == "bench: stopped; what was logged up to here is kept"
    ended_run(folder, "KILLED")
