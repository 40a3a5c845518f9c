"""A training that continues from its checkpoint gives the same numbers as one that was not interrupted."""

import os
import pickle
import random
from collections import Counter

import numpy as np
import pytest
import torch
from filelock import Timeout

from bench.datasets import phantoms
from bench.datasets.augment import augmentation
from bench.datasets.data import Data
from bench.datasets.patching import patches
from bench.datasets.splits import Volumes
from bench.errors import InputError
from bench.training import checkpoint as checkpoints
from bench.training.checkpoint import Checkpoint, global_states, plain, restore_global
from bench.training.train import fit, loss_function
from models import UNet

EPOCHS = 4
SCHEDULES = {
    "none": lambda optimizer: None,
    "cosine": lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS),
    "steps": lambda optimizer: torch.optim.lr_scheduler.MultiStepLR(optimizer, [2, 3], 0.5),
    "warm-up": lambda optimizer: torch.optim.lr_scheduler.SequentialLR(
        optimizer,
        [
            torch.optim.lr_scheduler.LinearLR(optimizer, 1 / 3, total_iters=2),
            torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 2),
        ],
        [2],
    ),
}
FASTER = {"workers": 2, "amp": "fp16", "clip": 0.1, "sampler": "balanced"}  # and other settings of `fit`


class Killed(BaseException):
    """Ends a training at once, as SIGKILL does."""


def images():
    return phantoms(n=(12, 4, 4), size=16, augment=["flips", "intensity"])


def volumes():
    generator = torch.Generator().manual_seed(0)

    def draw(count):
        shapes = [(9 + number, 10, 8) for number in range(count)]
        masks = tuple(torch.zeros(shape, dtype=torch.int64) for shape in shapes)
        for mask in masks:
            mask[2:6, 3:7, 1:5] = 1
        scans = tuple(mask[None].float() + torch.randn(mask[None].shape, generator=generator) for mask in masks)
        names = tuple(f"scan {number}" for number in range(count))
        return Volumes(scans, masks, np.array(names), names)

    whole = {part: draw(count) for part, count in {"train": 4, "val": 2, "test": 2}.items()}
    splits = {part: patches(each, (8, 8, 8)) for part, each in whole.items()}
    augment = augmentation(["flips", "rotations"], 3, patch=(8, 8, 8))
    return Data("scans", "segmentation", ("background", "box"), **splits, augment=augment, volumes=whole)


def train(data, schedule="none", checkpoint=None, killed_after=None, **options):
    """Train a network with dropout; return what `on_epoch` got, the best checkpoint and its weights."""
    torch.manual_seed(0)
    dims = len(data.image_size)
    network = UNet(1, 1, widths=(4, 8), norm="batch", spatial_dims=dims)
    model = torch.nn.Sequential(torch.nn.Dropout(0.2), network)
    optimizer = torch.optim.AdamW(model.parameters(), 0.01)
    seen = {}

    def on_epoch(epoch, metrics):
        if epoch == killed_after:
            raise Killed
        seen[epoch] = metrics

    options = {"schedule": SCHEDULES[schedule](optimizer), "loss": loss_function("auto", data), "amp": False} | options
    best = fit(model, data, epochs=EPOCHS, batch_size=4, optimizer=optimizer, **options, seed=3, on_epoch=on_epoch,
               checkpoint=checkpoint)  # fmt: skip
    return seen, best, model.state_dict()


def opened(folder, minutes=0):
    return Checkpoint(folder / "checkpoints" / "run", {"name": "run"}, minutes)


@pytest.mark.parametrize(
    ("make", "schedule", "killed_after", "options"),
    [
        *((images, "cosine", epoch, {}) for epoch in range(EPOCHS + 1)),
        (images, "steps", 3, {}),
        (images, "warm-up", 1, FASTER),
        (images, "warm-up", 3, {}),
        (volumes, "none", 0, {}),
        (volumes, "none", 2, {"workers": 2}),
    ],
)
def test_a_killed_training_continues_with_the_same_bits(tmp_path, make, schedule, killed_after, options):
    seen, best, weights = train(make(), schedule, **options)
    first = opened(tmp_path)
    with pytest.raises(Killed):
        train(make(), schedule, first, killed_after, **options)
    first.release()  # the system does this when the process ends
    random.seed(9)
    torch.manual_seed(9)
    with opened(tmp_path) as checkpoint:
        again, found, continued = train(make(), schedule, checkpoint, **options)
    assert list(again) == list(range(killed_after, EPOCHS + 1))
    assert again == {epoch: seen[epoch] for epoch in again}
    assert found == best
    assert all(torch.equal(tensor, continued[name]) for name, tensor in weights.items())
    assert not list(tmp_path.iterdir())  # a run that ends by itself keeps nothing


def test_a_complete_training_is_not_repeated(tmp_path):
    data = images()
    seen, best, weights = train(data, checkpoint=opened(tmp_path))
    again, found, continued = train(data, checkpoint=reopened(tmp_path))
    assert list(seen) == list(range(EPOCHS + 1))
    assert again == {}
    assert found == best
    assert all(torch.equal(tensor, continued[name]) for name, tensor in weights.items())


def reopened(folder):
    """Open a checkpoint whose process has ended."""
    (folder / "checkpoints" / "run" / checkpoints.LOCK).unlink()
    return opened(folder)


def test_a_state_is_written_after_the_given_minutes(tmp_path, monkeypatch):
    clock = iter(range(0, 1000, 25))  # seconds
    monkeypatch.setattr(checkpoints.time, "monotonic", lambda: next(clock))
    checkpoint = opened(tmp_path, minutes=1)
    path = checkpoint.folder / checkpoints.STATE
    written = []
    for number in range(4):
        checkpoint.save(number=number)
        written.append(torch.load(path, weights_only=True)["number"] if path.exists() else None)
    assert written == [None, None, 2, 2]


def test_without_minutes_nothing_is_written(tmp_path):
    with opened(tmp_path, minutes=None) as checkpoint:
        checkpoint.save(number=1)
    assert not list(tmp_path.iterdir())


def test_the_global_generators_continue_from_their_states():
    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()  # noqa: NPY002  (the global generator)

    states = global_states()
    wanted = draw()
    draw()
    restore_global(states)
    assert draw() == wanted


def test_plain_values_are_exact_and_other_objects_are_refused():
    values = {"bits": np.float64(0.1) + np.float64(0.2), "n": np.int64(2**60), "nan": float("nan"), "at": Counter([3])}
    found = plain(values)
    assert found["bits"] == 0.1 + 0.2
    assert type(found["bits"]) is float
    assert found["n"] == 2**60
    assert found["nan"] != found["nan"]
    assert found["at"] == Counter([3])
    with pytest.raises(TypeError, match="got a UNet in the state of a training"):
        plain({"model": UNet(1, 1, widths=(4, 8))})


def test_a_state_that_can_not_be_written_is_said_and_the_earlier_one_remains(tmp_path, caplog):
    checkpoint = opened(tmp_path)
    checkpoint.save(number=1)
    checkpoint.save(number=object())
    assert "state.pt.part can't be written (got a object in the state" in caplog.text
    assert torch.load(checkpoint.folder / checkpoints.STATE, weights_only=True)["number"] == 1
    assert sorted(os.listdir(checkpoint.folder)) == ["lock", "run.json", "state.pt"]


@pytest.mark.parametrize("content", [b"", b"half of a file", pickle.dumps(os.system)])
def test_a_damaged_state_is_refused_in_one_line_and_runs_no_code(tmp_path, content):
    checkpoint = opened(tmp_path)
    (checkpoint.folder / checkpoints.STATE).write_bytes(content)
    with pytest.raises(InputError, match=r"checkpoint: .*state.pt is damaged \(.*\); delete the folder .*run$"):
        reopened(tmp_path)


def test_only_one_process_has_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with opened(tmp_path):
        assert list(checkpoints.kept_checkpoints()) == []
        with pytest.raises(Timeout):
            opened(tmp_path)
    stopped = opened(tmp_path)
    stopped.release()
    assert list(checkpoints.kept_checkpoints()) == [(stopped.folder, {"name": "run"})]


@pytest.mark.parametrize(("error", "kept"), [(KeyboardInterrupt, True), (SystemExit, True), (ValueError, False)])
def test_a_checkpoint_is_kept_only_if_the_run_is_stopped(tmp_path, error, kept):
    checkpoint = opened(tmp_path)
    with pytest.raises(error), checkpoint:
        raise error
    assert checkpoint.folder.exists() == kept
