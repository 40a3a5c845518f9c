"""The folders of MedNIST: classes, random draws, and refused input."""

import numpy as np
import pytest
from dataset_helpers import assert_refused, save

from bench.datasets import mednist

CLASSES = ("AbdomenCT", "CXR", "Hand")


@pytest.fixture
def root(tmp_path):
    for label, name in enumerate(CLASSES):
        for number in range(10):
            save(tmp_path / "MedNIST" / name / f"{number:06d}.png", np.full((8, 8), 80 * label + number, np.uint8))
    return tmp_path


def test_each_folder_is_a_class(root):
    data = mednist(root)
    assert data.classes == CLASSES
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 24, "val": 3, "test": 3}
    names = [name for split in data.splits.values() for name in split.names]
    assert sorted(names) == [f"{name}/{number:06d}" for name in CLASSES for number in range(10)]
    for split in data.splits.values():
        for image, label, name in zip(split.images, split.targets, split.names, strict=True):
            assert name.startswith(CLASSES[label])
            assert (image * 255).round().unique().item() == 80 * label + int(name[-6:])
    assert mednist(root / "MedNIST").fingerprint == data.fingerprint
    assert mednist(root, split_seed=1).fingerprint != data.fingerprint


def test_only_drawn_images_are_read(root):
    few = mednist(root, n=[4, 2, 2])
    assert {name: len(split) for name, split in few.splits.items()} == {"train": 4, "val": 2, "test": 2}
    drawn = {name for split in few.splits.values() for name in split.names}
    whole = mednist(root)
    assert all(set(few.split(part).names) <= set(whole.split(part).names) for part in few.splits)
    for path in (root / "MedNIST").glob("*/*.png"):
        if f"{path.parent.name}/{path.stem}" not in drawn:
            path.write_bytes(b"broken")
    assert mednist(root, n=[4, 2, 2]).fingerprint == few.fingerprint
    assert_refused(r"\d{6}.png: unreadable", mednist, root)


def test_bad_input_is_refused(root, tmp_path, monkeypatch):
    assert_refused(r"dataset.n: got 40 for train, wanted 1 to 24", mednist, root, n=[40, None, None])
    assert_refused(r"MedNIST/Hand: got 0 folders, wanted one for each class", mednist, root / "MedNIST" / "Hand")
    save(root / "MedNIST" / "Hand" / "wide.png", np.zeros((8, 9), np.uint8))
    assert_refused(r"wide.png: got 8x9x1, but others have 8x8x1, wanted one size", mednist, root)

    def offline(*args, **kwargs):
        raise OSError("no\nnetwork")

    monkeypatch.setattr("monai.apps.download_and_extract", offline)
    assert_refused(r"new/MedNIST: download failed \(no network\); put", mednist, tmp_path / "new", download=True)


def test_a_download_is_checked_by_hash(tmp_path, monkeypatch):
    def tampered(url, path, **kwargs):
        path.write_bytes(b"something else")

    monkeypatch.setattr("monai.apps.utils.get_filename_from_url", lambda url: "MedNIST.tar.gz")
    monkeypatch.setattr("monai.apps.utils._download_with_progress", tampered)
    assert_refused(
        r"MedNIST: download failed \(.*md5 hash check of downloaded file failed", mednist, tmp_path, download=True
    )
    assert not (tmp_path / "MedNIST").exists()
