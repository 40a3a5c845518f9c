"""Folders of classes and MedNIST: classes, splits, groups, random draws, and refused input."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, save
from hydra.utils import instantiate
from omegaconf import OmegaConf

from bench.datasets import class_folders
from bench.datasets.common import with_val

CONF = Path(__file__).parents[2] / "conf" / "dataset"
CLASSES = ("AbdomenCT", "CXR", "Hand")


def mednist(root, **options):
    """Load by the yaml of MedNIST, with the errors of the function."""
    config = OmegaConf.to_container(OmegaConf.load(CONF / "mednist.yaml"))
    config.pop("_target_")
    return class_folders(**{**config, "root": root, **options})


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
    assert_refused(
        r"wide.png: got 8x9, but 000000.png has 8x8, wanted images of one size; set dataset.size", mednist, root
    )

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


def test_the_yaml_of_mednist_holds_a_tenth_out_twice(root):
    config = OmegaConf.load(CONF / "mednist.yaml")
    config.root = str(root)
    data = instantiate(config)
    assert (data.name, data.licence) == ("mednist", "CC-BY-SA-4.0")
    for count in (10, 30, 4200, 58_954):
        groups = np.arange(count)
        split = np.full(count, "train")
        split[: round(0.1 * count)] = "test"
        held = with_val(split, groups, config.val_share, 0)
        assert (held == "val").sum() == round(0.1 / 0.9 * (split == "train").sum())


def test_a_download_needs_an_archive(tmp_path):
    assert_refused(r"dataset.download: got true, wanted dataset.folder and", class_folders, tmp_path, download=True)


# Other folders


def of_splits(root, parts=("train", "val", "test"), classes=("cat", "dog")):
    """Write four 8x8 images for each split and class; names end in the letter of the patient, two images for each."""
    for part in parts:
        for label, name in enumerate(classes):
            for number in range(4):
                grey = np.full((8, 8), 100 * label + number, np.uint8)
                save(root / part / name / f"{number}_{part}{'ab'[number // 2]}.png", grey)
    return root


def test_folders_of_splits(tmp_path):
    data = class_folders(of_splits(tmp_path), size=None)
    assert data.classes == ("cat", "dog")
    for part, split in data.splits.items():
        assert split.names[:2] == (f"{part}/cat/0_{part}a", f"{part}/cat/1_{part}a")
        assert (split.images * 255).round().long()[:, 0, 0, 0].tolist() == [0, 1, 2, 3, 100, 101, 102, 103]
        assert split.targets.tolist() == [0] * 4 + [1] * 4
    (tmp_path / "val").rename(tmp_path / "valid")
    assert torch.equal(class_folders(tmp_path, size=None).val.images, data.val.images)


def test_without_a_folder_val_a_share_of_train_is_val(tmp_path):
    data = class_folders(of_splits(tmp_path, ("train", "test")), size=None, val_share=0.25)
    assert [len(split) for split in data.splits.values()] == [6, 2, 8]


def test_folders_of_splits_that_do_not_fit_are_refused(tmp_path):
    of_splits(tmp_path / "a", ("train", "val"))
    assert_refused(
        r"a: got the folders train, val, wanted train and test, with or without", class_folders, tmp_path / "a"
    )
    of_splits(tmp_path / "b", ("train", "test", "extra"))
    assert_refused(r"b: got the folders extra, test, train, wanted train and test", class_folders, tmp_path / "b")
    of_splits(tmp_path / "c", ("train", "test", "val", "valid"))
    assert_refused(r"c: got the folders .*, wanted train and test, with or without val", class_folders, tmp_path / "c")
    save(of_splits(tmp_path / "d") / "test" / "bird" / "x.png", np.zeros((8, 8), np.uint8))
    assert_refused(r"d: got the class bird in test but not in train, wanted .* cat, dog", class_folders, tmp_path / "d")


def test_size_channels_and_intensity(tmp_path):
    of_splits(tmp_path)
    colour = np.zeros((10, 6, 3), np.uint8)
    colour[...] = (255, 0, 51)
    save(tmp_path / "train" / "cat" / "0_traina.png", colour)
    data = class_folders(tmp_path, size=[4, 6])
    assert data.train.images.shape == (8, 3, 4, 6)
    assert torch.allclose(data.train.images[0, :, 0, 0], torch.tensor([1, 0, 0.2]))
    assert torch.allclose(data.train.images[4], torch.tensor(100 / 255))
    grey = class_folders(tmp_path, size=8, channels=1, intensity="minmax")
    assert grey.train.images.shape == (8, 1, 8, 8)
    assert grey.split("all").images.max() == 0  # constant images


@pytest.mark.parametrize("seed", range(4))
def test_groups_by_a_pattern_and_by_a_csv_are_the_same_and_stay_whole(tmp_path, seed):
    with open(tmp_path / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "patient"])
        for name in ("cat", "dog"):
            for number in range(20):
                save(tmp_path / name / f"p{number // 4}_{number}.png", np.full((8, 8), number, np.uint8))
                rows.writerow([f"{name}/p{number // 4}_{number}.png", f"p{number // 4}"])
    data = class_folders(tmp_path, size=None, group_pattern=r"/(p\d)_", split_seed=seed)
    groups = [set(split.groups) for split in data.splits.values()]
    assert [len(group) for group in groups] == [3, 1, 1]  # a fifth of 5, then a fifth of 4
    assert len(set.union(*groups)) == 5
    assert set(class_folders(tmp_path, size=None, group_pattern=r"p\d(?=_)").train.groups) <= {
        f"p{i}" for i in range(5)
    }
    assert class_folders(tmp_path, size=None, group="patient", split_seed=seed).fingerprint == data.fingerprint


def test_groups_that_do_not_fit_are_refused(tmp_path):
    of_splits(tmp_path)
    for options, message in (
        ({"group": "patient"}, r"index.csv: no such file"),
        ({"group": "patient", "group_pattern": "a"}, r"dataset.group: got group and group_pattern, wanted one"),
        ({"group_pattern": "("}, r"dataset.group_pattern: got '\(', which is no regular expression \(missing"),
        (
            {"group_pattern": r"val(\w)"},
            r"got 'val.*', which finds no group in test/cat/0_testa.png, wanted one in",
        ),
        ({"group_pattern": r"(x*)"}, r"which finds no group in test/cat/0_testa.png"),
        ({"group_pattern": r"[ab](?=.png)"}, r"got group a in 3 splits, wanted each in one; move its images to one of"),
        ({"size": None, "n": [1, 1, 99]}, r"dataset.n: got 99 for test, wanted 1 to 8"),
    ):
        assert_refused(message, class_folders, tmp_path, **options)
