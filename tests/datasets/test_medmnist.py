from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused

from bench.datasets import medmnist

N = {"train": 12, "val": 4, "test": 6}


def write_npz(path, labels=1, classes=2, colour=False, **changes):
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in N.items():
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 28, 28, 3) if colour else (n, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = np.resize(np.arange(classes, dtype=np.uint8), (n, labels))
    arrays |= changes
    np.savez(path, **{key: array for key, array in arrays.items() if array is not None})
    return arrays


@pytest.mark.parametrize(
    ("flag", "labels", "classes", "colour", "task"),
    [
        ("pneumoniamnist", 1, 2, False, "classification"),  # binary-class
        ("bloodmnist", 1, 8, True, "classification"),  # multi-class
        ("retinamnist", 1, 5, True, "classification"),  # ordinal-regression
        ("chestmnist", 14, 2, False, "multilabel"),  # multi-label, binary-class
    ],
)
def test_every_kind_of_label(tmp_path, flag, labels, classes, colour, task):
    arrays = write_npz(tmp_path / f"{flag}.npz", labels, classes, colour)
    data = medmnist(flag=flag, root=tmp_path)
    assert data.task == task
    assert {name: len(split) for name, split in data.splits.items()} == N
    assert data.channels == (3 if colour else 1)
    images = torch.from_numpy(arrays["val_images"]).float() / 255
    assert torch.equal(data.val.images, images.movedim(-1, 1) if colour else images[:, None])
    assert np.array_equal(data.val.targets, arrays["val_labels"] if labels > 1 else arrays["val_labels"][:, 0])
    assert len(data.classes) == (labels if labels > 1 else classes)
    assert data.licence.startswith("CC BY")


def test_volumes(tmp_path):
    volumes = {
        f"{part}_images": np.random.default_rng(0).integers(0, 256, (n, 28, 28, 28), np.uint8) for part, n in N.items()
    }
    write_npz(tmp_path / "organmnist3d.npz", classes=11, **volumes)
    data = medmnist(flag="organmnist3d", root=tmp_path, augment="flips")
    assert data.channels == 1
    assert data.image_size == (28, 28, 28)
    assert len(data.classes) == 11
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(volumes["test_images"]).float() / 255)
    assert data.augment({"image": data.train.images[0]})["image"].shape == (1, 28, 28, 28)
    write_npz(tmp_path / "mine.npz", **volumes)
    assert medmnist(file=tmp_path / "mine.npz").image_size == (28, 28, 28)


def test_size_selects_the_file_and_a_file_name_the_flag(tmp_path):
    write_npz(tmp_path / "pneumoniamnist_64.npz")
    for data in (
        medmnist(flag="pneumoniamnist", root=tmp_path, size=64),
        medmnist(file=tmp_path / "pneumoniamnist_64.npz"),
    ):
        assert data.name == "pneumoniamnist"
        assert data.classes == ("normal", "pneumonia")


def test_a_file_of_unknown_name_takes_its_classes_from_classes_txt(tmp_path):
    write_npz(tmp_path / "mine.npz", classes=3)
    assert medmnist(file=tmp_path / "mine.npz").classes == ("0", "1", "2")
    (tmp_path / "classes.txt").write_text("0 left hand\n1 right hand\n2 head\n")
    assert medmnist(file=tmp_path / "mine.npz").classes == ("left hand", "right hand", "head")
    (tmp_path / "classes.txt").write_text("a\nb\n")
    assert_refused(
        r"mine.npz: got labels 2, wanted 0 to 1 \(mine has 2 classes\)", medmnist, file=tmp_path / "mine.npz"
    )


def test_seeded_draw(tmp_path):
    write_npz(tmp_path / "mine.npz")
    data, again, other = (medmnist(file=tmp_path / "mine.npz", n=[5, None, 2], split_seed=seed) for seed in (0, 0, 1))
    assert [len(split) for split in data.splits.values()] == [5, 4, 2]
    assert data.fingerprint == again.fingerprint != other.fingerprint
    assert_refused(r"dataset.n: got 13 for train, wanted 1 to 12", medmnist, file=tmp_path / "mine.npz", n=[13, 4, 6])
    assert_refused(r"dataset.n: got \[5\], wanted three numbers", medmnist, file=tmp_path / "mine.npz", n=[5])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"val_labels": None, "test_images": None}, r"got no val_labels, test_images, wanted the MedMNIST layout"),
        ({"val_images": np.array([{}], dtype=object)}, r"unreadable \(Object arrays cannot be loaded"),
        ({"val_labels": np.full((4, 1), 2)}, r"got labels 2, wanted 0 to 1"),
        ({"val_labels": np.full((4, 1), -1)}, r"got labels -1, wanted 0 to 1"),
        ({"val_labels": np.full((4, 1), 0.5)}, r"got val_labels float64 \(4, 1\), wanted integers \(4, labels\)"),
        ({"val_labels": np.zeros((3, 1), int)}, r"got val_labels int64 \(3, 1\), wanted integers \(4, labels\)"),
        ({"val_labels": np.zeros((4, 2), int)}, r"got splits of shapes .*, wanted one shape"),
        ({"val_images": np.zeros((4, 28, 28))}, r"got val_images float64 \(4, 28, 28\), wanted uint8 \(n, H, W\)"),
        ({"val_images": np.zeros((4, 28), np.uint8)}, r"got val_images uint8 \(4, 28\), wanted uint8"),
        ({"val_images": np.zeros((4, 28, 28, 28), np.uint8)}, r"got splits of shapes .*, wanted one shape"),
        ({"val_images": np.zeros((0, 28, 28), np.uint8), "val_labels": np.zeros((0, 1), int)}, r"val split is empty"),
    ],
)
def test_bad_npz(tmp_path, changes, message):
    write_npz(tmp_path / "pneumoniamnist.npz", **changes)
    assert_refused(message, medmnist, flag="pneumoniamnist", root=tmp_path)


def test_multilabel_out_of_range(tmp_path):
    write_npz(tmp_path / "chestmnist.npz", labels=14, classes=3)
    assert_refused(r"got labels 2, wanted 0 to 1", medmnist, flag="chestmnist", root=tmp_path)
    write_npz(tmp_path / "chestmnist.npz", labels=3)
    assert_refused(r"got 3 labels per row, wanted 14; check dataset.flag", medmnist, flag="chestmnist", root=tmp_path)


def test_bad_options(tmp_path):
    assert_refused(
        r"dataset.flag: got 'lungmnist', wanted one of \['pathmnist', 'chestmnist'",
        medmnist,
        flag="lungmnist",
        root=tmp_path,
    )
    assert_refused(
        r"dataset.size: got 128, wanted one of \[28, 64\] for organmnist3d",
        medmnist,
        flag="organmnist3d",
        root=tmp_path,
        size=128,
    )
    assert_refused(r"dataset.flag: got neither flag nor file", medmnist)
    assert_refused(r"dataset.root: got nothing", medmnist, flag="pathmnist")
    assert_refused(
        r"dataset.size: got 32, wanted one of \[28, 64, 128, 224\]", medmnist, flag="pathmnist", root=tmp_path, size=32
    )
    assert_refused(r"pathmnist.npz: no such file; check dataset.root", medmnist, flag="pathmnist", root=tmp_path)
    write_npz(tmp_path / "mine.npz")
    (tmp_path / "mine.npz").write_bytes((tmp_path / "mine.npz").read_bytes()[:2000])
    assert_refused(r"mine.npz: unreadable \(.*\), wanted an npz of plain arrays", medmnist, file=tmp_path / "mine.npz")


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", offline)
    assert_refused(
        r"new/pathmnist.npz: download failed \(no network\)",
        medmnist,
        flag="pathmnist",
        root=tmp_path / "new",
        download=True,
    )


def test_download_is_checked_by_hash(tmp_path, monkeypatch):
    def tampered(url, path, **kwargs):
        Path(path).write_bytes(b"something else")

    monkeypatch.setattr("torchvision.datasets.utils._urlretrieve", tampered)
    monkeypatch.setattr("torchvision.datasets.utils._get_redirect_url", lambda url, **_: url)
    assert_refused(
        r"download failed \(File not found or corrupted", medmnist, flag="pathmnist", root=tmp_path, download=True
    )


def test_pneumoniamnist(shared_data):
    data = medmnist(flag="pneumoniamnist", root=shared_data / "pneumoniamnist")
    assert [len(split) for split in data.splits.values()] == [4708, 524, 624]
    assert torch.bincount(data.train.targets).tolist() == [1214, 3494]
    assert abs(data.train.images.mean() - 0.5719) < 5e-5
    assert abs(data.train.images.std() - 0.1684) < 5e-5


def test_mednist(shared_data):
    data = medmnist(file=shared_data / "mednist" / "mednist.npz")
    assert data.classes == ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT")
    assert [len(split) for split in data.splits.values()] == [4200, 600, 1200]
