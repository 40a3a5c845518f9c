"""Patches of large images of different sizes: loading, drawing, windows, and refused input."""

from itertools import islice

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, save
from PIL import Image

from bench.datasets import dsb2018, image_folder
from bench.datasets.stored_volumes import Files
from bench.training.batches import Batches
from bench.training.evaluate import evaluate, predictions

SIZES = [(20, 30), (26, 18), (33, 21), (16, 16), (40, 17)]


@pytest.fixture
def root(tmp_path):
    """Write images of different sizes whose pixels are bright in a small square, the foreground."""
    for number, size in enumerate(SIZES):
        mask = np.zeros(size, np.uint8)
        mask[3 + number : 7 + number, 4:8] = 255
        save(tmp_path / "images" / f"{number}.png", mask // 2 + np.uint8(number))
        save(tmp_path / "masks" / f"{number}.png", mask)
    return tmp_path


def test_images_keep_their_sizes_and_samples_are_patches_around_the_foreground(root):
    data = image_folder(root, size=None, patch=[8, 12])
    assert data.image_size == (8, 12)
    for name, split in data.splits.items():
        whole = data.volumes[name]
        assert split.names == whole.names
        for image, mask, patch, inside, stem in zip(
            whole.images, whole.targets, split.images, split.targets, whole.names, strict=True
        ):
            assert tuple(mask.shape) == image.shape[1:] == SIZES[int(stem)]
            assert mask.sum() == inside.sum() == 16
            assert torch.equal(patch[0] * 255 >= 127, inside == 1)
    sizes = np.array(SIZES)
    assert data.card()["volumes"] == {"smallest": sizes.min(axis=0).tolist(), "largest": sizes.max(axis=0).tolist()}
    assert image_folder(root, size=16, patch=8).volumes["test"].images[0].shape == (1, 16, 16)
    assert image_folder(root, size=16, patch=8).fingerprint != image_folder(root, size=16).fingerprint


def test_half_of_the_training_patches_are_centred_on_the_foreground(root):
    data = image_folder(root, size=None, patch=5, n=[3, 1, 1])
    drawn = [masks for _ in range(40) for _, masks in islice(Batches(data, 3, seed=0), 1)]
    assert all(masks.shape == (3, 5, 5) for masks in drawn)
    centres = torch.cat(drawn)[:, 2, 2].float()
    assert 0.3 < centres.mean() < 0.7  # the foreground is 3 % of the pixels


class Threshold(torch.nn.Module):
    """Network that finds the bright square, for patches of one size alone."""

    def __init__(self):
        super().__init__()
        self.shapes = set()
        self.nothing = torch.nn.Parameter(torch.zeros(()))

    def forward(self, images):
        self.shapes.add(tuple(images.shape[2:]))
        return (images > 0.25).float() * 2 - 1


def test_accuracy_is_of_whole_images_by_windows(root):
    data, network = image_folder(root, size=None, patch=8), Threshold()
    metrics, table = evaluate(network, data, "train", seed=0)
    assert network.shapes == {(8, 8)}
    assert metrics["dice"] == 1
    assert list(table["name"]) == list(data.train.names)
    assert [tuple(logits.shape[2:]) for logits, _ in predictions(network, data, "train")] == [
        SIZES[int(name)] for name in data.train.names
    ]


def test_patches_that_do_not_fit_are_refused_before_images_are_read(root):
    pixels = (root / "images" / "0.png").read_bytes()
    (root / "images" / "0.png").write_bytes(pixels[:-20])  # the header is whole
    assert_refused(r"dataset.patch: got 18x18, but 3 has 16x16, which is smaller; wanted at most 16x16, which fits "
                   r"into all; lower it", image_folder, root, size=None, patch=18)  # fmt: skip
    assert_refused(r"dataset.patch: got 0, wanted a positive integer", image_folder, root, size=None, patch=0)
    assert_refused(r"dataset.patch: got \[4, 4, 4\], wanted", image_folder, root, size=None, patch=[4, 4, 4])
    assert_refused(r"wanted images of one size; set dataset.size, or dataset.patch", image_folder, root, size=None,
                   n=[2, 1, 1], split_seed=1)  # fmt: skip


def test_patches_of_the_nuclei_of_kaggle(tmp_path):
    for number, (rows, columns) in enumerate(SIZES):
        case = tmp_path / str(number)
        for name, part in (("a", slice(1, 4)), ("b", slice(9, 12))):
            mask = np.zeros((rows, columns), np.uint8)
            mask[part, part] = 255
            save(case / "masks" / f"{name}.png", mask)
        save(case / "images" / f"{number}.png", np.zeros((rows, columns), np.uint8))
    data = dsb2018(tmp_path, size=None, patch=16)
    assert data.image_size == (16, 16)
    assert [int(mask.sum()) for mask in data.volumes["train"].targets] == [18] * 3


def test_volumes_of_image_folder_have_patches_too(tmp_path):
    for number in range(5):
        volume = np.zeros((6 + number, 7, 8), np.uint8)
        volume[2:4, 2:4, 2:4] = 1
        for part in ("images", "masks"):
            (tmp_path / part).mkdir(exist_ok=True)
            np.save(tmp_path / part / f"{number}.npy", volume)
    data = image_folder(tmp_path, size=None, patch=4)
    assert data.image_size == (4, 4, 4)
    assert (data.train.targets.flatten(1).sum(dim=1) == 8).all()
    images, _ = next(iter(Batches(data, 3, seed=0)))
    assert images.shape == (3, 1, 4, 4, 4)


def test_grey_and_colour_in_one_folder(root):
    colour = np.asarray(Image.open(root / "images" / "2.png").convert("RGB"))
    save(root / "images" / "2.png", colour)
    data = image_folder(root, size=None, patch=8)
    assert {image.shape[0] for part in data.volumes.values() for image in part.images} == {3}


def test_images_on_disk_are_those_in_memory(root, tmp_path_factory):
    held = {"cache_folder": str(tmp_path_factory.mktemp("cache"))}
    in_memory = image_folder(root, size=None, patch=8, cache="memory")
    written, found = (image_folder(root, size=None, patch=8, cache="disk", **held) for _ in range(2))
    assert isinstance(written.volumes["train"].images, Files)
    assert {data.fingerprint for data in (in_memory, written, found)} == {in_memory.fingerprint}
    assert torch.equal(found.train.loaded().images, in_memory.train.images)
