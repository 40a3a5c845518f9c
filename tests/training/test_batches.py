"""Batches do not depend on the number of workers, and balanced ones have the classes equally often."""

import os
import signal
import time
from dataclasses import replace

import numpy as np
import psutil
import pytest
import torch
from test_checkpoint import images, train, volumes

from bench.datasets import phantoms
from bench.errors import InputError, TrainingError
from bench.training.batches import Batches, _Samples
from bench.training.sampling import balanced_weights


def epochs(data, count=2, **options):
    """Return all batches of some epochs."""
    with Batches(data, 3, 0, **options) as batches:
        return [[(images.clone(), targets.clone()) for images, targets in batches] for _ in range(count)]


def equal(one, other):
    return len(one) == len(other) and all(
        torch.equal(a, b) for x, y in zip(one, other, strict=True) for a, b in zip(x, y, strict=True)
    )


@pytest.mark.parametrize("make", [images, volumes])
def test_batches_do_not_depend_on_the_number_of_workers(make):
    data = make()
    wanted = epochs(data)
    assert not equal(*wanted)
    for workers in (1, 2):
        found = epochs(data, workers=workers)
        assert all(equal(one, other) for one, other in zip(wanted, found, strict=True))


@pytest.mark.parametrize("make", [images, volumes])
def test_trained_weights_do_not_depend_on_the_number_of_workers(make):
    seen, best, weights = train(make())
    for workers in (1, 2):
        again, found, others = train(make(), workers=workers)
        assert again == seen
        assert found == best
        assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


def test_samples_have_another_augmentation_in_each_epoch_and_with_each_seed():
    data = phantoms(n=(8, 1, 1), size=16, augment="intensity")
    totals = []
    for seed in (0, 1):
        batches = Batches(data, 8, seed)
        totals += [images.double().sum().item() for _ in range(3) for images, _ in batches]
    assert len({round(total, 6) for total in totals}) == 6  # in float64, the order of the samples does not matter


def test_a_sample_has_the_same_augmentation_in_batches_of_any_size():
    data = images()
    small, large = (torch.cat([image for image, _ in Batches(data, size, 0)]) for size in (1, 12))
    assert torch.equal(small, large)


def test_the_global_random_generator_is_not_used():
    before = torch.get_rng_state()
    epochs(images())
    assert torch.equal(torch.get_rng_state(), before)


def test_an_augmentation_without_a_seed_is_refused_with_workers():
    data = replace(images(), augment=lambda sample: sample)
    assert len(epochs(data)[0]) == 4
    with pytest.raises(InputError, match=r"train.workers: got 2, but the augmentation of dataset phantoms has no set_"):
        Batches(data, 3, 0, workers=2)


def test_an_error_of_a_worker_has_its_message(monkeypatch):
    def read(self, draws):
        raise InputError("dataset.root: the file a.png is damaged")

    monkeypatch.setattr(_Samples, "_read", read)
    with pytest.raises(InputError, match=r"^dataset.root: the file a.png is damaged$"):
        epochs(images(), workers=1)


def test_a_worker_that_is_killed_ends_the_training_with_one_line(monkeypatch):
    monkeypatch.setattr(_Samples, "_read", lambda self, draws: os.kill(os.getpid(), signal.SIGKILL))
    with pytest.raises(TrainingError, match=r"^train.workers: a process ended \(DataLoader worker \(pid.*\); lower"):
        epochs(images(), workers=1)


def test_workers_remain_over_epochs_and_ignore_signals_until_they_are_closed():
    before = set(psutil.Process().children())  # of other tests in this process
    with Batches(images(), 3, 0, workers=2) as batches:
        list(batches)
        workers = set(psutil.Process().children()) - before
        for worker in workers:
            worker.send_signal(signal.SIGINT)
            worker.send_signal(signal.SIGTERM)
        list(batches)
        assert set(psutil.Process().children()) - before == workers
        assert len(workers) == 2
    assert not set(psutil.Process().children()) - before


def test_workers_die_with_their_parent():
    reading, writing = os.pipe()
    parent = os.fork()
    if not parent:
        try:
            batches = Batches(images(), 3, 0, workers=2)
            list(batches)
            os.write(writing, " ".join(str(child.pid) for child in psutil.Process().children()).encode())
            time.sleep(60)
        finally:
            os._exit(1)
    workers = [int(word) for word in os.read(reading, 100).split()]
    os.kill(parent, signal.SIGKILL)
    os.waitpid(parent, 0)
    deadline = time.monotonic() + 2  # without the signal of the system, workers look every 5 seconds
    while alive := [pid for pid in workers if is_running(pid)]:
        assert time.monotonic() < deadline, alive
        time.sleep(0.02)
    assert len(workers) == 2


def is_running(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


# Balanced


def with_targets(data, targets):
    train = replace(data.train, targets=targets, images=torch.arange(len(targets)).float()[:, None, None, None])
    return replace(data, train=train)


def rows_drawn(data, count):
    drawn = epochs(data, count, sampler="balanced")
    return np.concatenate([image.flatten().numpy() for epoch in drawn for image, _ in epoch])


def test_balanced_classes_are_equally_likely():
    data = phantoms("classification", classes=3, n=(20, 3, 3), size=16)
    data = with_targets(data, torch.tensor([0] * 16 + [1] * 3 + [2]))
    rows = rows_drawn(data, 60)
    assert len(rows) == 1200
    shares = np.bincount(np.array([0] * 16 + [1] * 3 + [2])[rows.astype(int)]) / 1200
    assert np.abs(shares - 1 / 3).max() < 0.055  # four standard deviations
    assert balanced_weights(data)[19] == pytest.approx(1 / 3)


def test_half_of_the_balanced_images_of_a_binary_segmentation_have_foreground():
    data = phantoms(n=(10, 2, 2), size=16)
    masks = torch.zeros(10, 16, 16, dtype=torch.int64)
    masks[3, 0, 0] = 1
    weights = balanced_weights(with_targets(data, masks))
    assert weights.tolist() == pytest.approx([1 / 18] * 3 + [1 / 2] + [1 / 18] * 6)


def test_an_image_of_several_classes_counts_for_each():
    data = phantoms(classes=3, n=(4, 2, 2), size=16)
    masks = torch.zeros(4, 16, 16, dtype=torch.int64)
    masks[:3, 0, 0] = 1
    masks[2, 1, 1] = 2  # of three images with class 1, one has class 2 too; the fourth has background alone
    weights = balanced_weights(with_targets(data, masks))
    assert weights.tolist() == pytest.approx([1 / 9, 1 / 9, 1 / 9 + 1 / 3, 1 / 3])


def test_labels_and_samples_without_labels_are_equally_likely():
    data = phantoms("classification", classes=2, n=(4, 4, 4), size=16)
    labels = torch.tensor([[1, 0], [1, 0], [1, 1], [0, 0]])
    weights = balanced_weights(replace(with_targets(data, labels), task="multilabel"))
    assert weights.tolist() == pytest.approx([1 / 9, 1 / 9, 1 / 9 + 1 / 3, 1 / 3])


def test_samples_without_classes_are_not_balanced():
    data = phantoms(n=(4, 2, 2), size=16)
    with pytest.raises(InputError, match=r"train.sampler: got balanced for a reconstruction, .* wanted shuffle"):
        Batches(replace(data, task="reconstruction"), 2, 0, sampler="balanced")


def test_a_sample_that_is_drawn_twice_has_two_augmentations():
    data = phantoms("classification", n=(8, 2, 2), size=16, augment="intensity")
    targets = torch.tensor([0] + [1] * 7)
    data = replace(data, train=replace(data.train, targets=targets))
    (epoch,) = epochs(data, 1, sampler="balanced")
    first = [image for batch in epoch for image, target in zip(*batch, strict=True) if target == 0]
    assert len(first) > 1
    assert len({image.sum().item() for image in first}) == len(first)


def test_each_volume_gives_several_different_patches():
    data = volumes()
    whole = data.whole("train")
    (epoch,) = epochs(data, 1, patches=5)
    drawn = [image for images, _ in epoch for image in images]
    assert len(drawn) == 5 * len(whole)
    assert len({image.double().sum().item() for image in drawn}) > 3 * len(whole)  # few patches fit into a volume
    assert equal(epoch, epochs(data, 1, patches=5, workers=2)[0])
    with pytest.raises(InputError, match=r"train.patches: got 5, but dataset .* trains on whole images, wanted 1"):
        Batches(images(), 3, 0, patches=5)
