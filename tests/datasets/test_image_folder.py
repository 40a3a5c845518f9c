import nibabel
import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, save, write_index

from bench.datasets import image_folder

STEMS = [f"a{i}" for i in range(10)]
LAST_FOUR_TEST = ["train"] * 6 + ["test"] * 4


def by_name(data, name):
    whole = data.split("all")
    row = whole.names.index(name)
    return whole.images[row], whole.targets[row]


def test_exact_pixels_masks_and_seeded_split(folder):
    data, again, other = (image_folder(folder, size=None, split_seed=seed) for seed in (0, 0, 1))
    # 10 images: 2 for test; 20 % of the other 8 is 1.6, rounded to 2 for val
    assert [len(split) for split in data.splits.values()] == [6, 2, 2]
    assert data.train.names == again.train.names
    assert data.train.names != other.train.names
    image, mask = by_name(data, "a7")
    assert (image.dtype, mask.dtype) == (torch.float32, torch.int64)
    assert torch.equal(image, torch.full((1, 8, 8), 70 / 255))
    assert mask[0].tolist() == [1, 1, 1, 1, 0, 0, 0, 0]
    assert data.classes == ("background", "foreground")
    assert data.outputs == 1
    assert data.name == folder.name
    assert data.card()["foreground_share"] == 0.5


def test_intensity_unit_divides_by_the_maximum_of_the_type(folder):
    save(folder / "images" / "a3.png", np.full((8, 8), 13107, np.uint16))  # 65535 / 5
    image, _ = by_name(image_folder(folder, size=None), "a3")
    assert torch.allclose(image, torch.tensor(0.2))
    save(folder / "images" / "a3.png", np.eye(8, dtype=bool))
    image, _ = by_name(image_folder(folder, size=None), "a3")
    assert torch.equal(image[0], torch.eye(8))


def test_minmax_and_zscore_by_image(folder):
    save(folder / "images" / "a5.png", np.uint8(np.arange(64).reshape(8, 8) + 40))
    image, _ = by_name(image_folder(folder, size=None, intensity="minmax"), "a5")
    assert torch.allclose(image.flatten(), torch.arange(64) / 63)
    data = image_folder(folder, size=None, intensity="zscore")
    image, _ = by_name(data, "a5")
    assert type(data.train.images) is torch.Tensor
    assert abs(image.mean()) < 1e-6
    assert abs(image.std(unbiased=False) - 1) < 1e-5
    assert (by_name(data, "a4")[0] == 0).all()  # constant image


def test_resize_averages_blocks_and_keeps_classes(folder):
    rng = np.random.default_rng(0)
    pixels, classes = rng.integers(0, 255, (16, 12), np.uint8), rng.integers(0, 4, (16, 12), np.uint8)
    for i in range(10):
        save(folder / "masks" / f"a{i}.png", np.arange(64, dtype=np.uint8).reshape(8, 8) % 4)
    save(folder / "images" / "a1.png", pixels)
    save(folder / "masks" / "a1.png", classes)
    data = image_folder(folder, size=[8, 6])
    image, mask = by_name(data, "a1")
    assert data.image_size == (8, 6)
    assert torch.allclose(image[0], torch.from_numpy(pixels.reshape(8, 2, 6, 2).mean((1, 3))).float() / 255)
    assert mask.unique().tolist() == [0, 1, 2, 3]
    assert data.classes == ("background", "class 1", "class 2", "class 3")
    larger = image_folder(folder, size=32)
    assert larger.split("all").targets.unique().tolist() == [0, 1, 2, 3]
    assert torch.allclose(by_name(larger, "a9")[0], torch.tensor(90 / 255))  # constant, also at the border


def test_crop_takes_the_middle(folder):
    save(folder / "images" / "a2.png", np.pad(np.full((4, 4), 255, np.uint8), 2))
    image, mask = by_name(image_folder(folder, size=None, crop=4), "a2")
    assert torch.equal(image, torch.ones(1, 4, 4))
    assert mask[0].tolist() == [1, 1, 0, 0]


def test_channels(folder):
    colour = np.zeros((8, 8, 3), np.uint8)
    colour[...] = (255, 0, 51)
    save(folder / "images" / "a0.png", colour)
    data = image_folder(folder, size=None)
    assert data.channels == 3
    assert torch.allclose(by_name(data, "a0")[0][:, 0, 0], torch.tensor([1, 0, 0.2]))
    assert torch.equal(by_name(data, "a1")[0], torch.full((3, 8, 8), 10 / 255))
    grey = image_folder(folder, size=None, channels=1)
    assert torch.allclose(by_name(grey, "a0")[0], torch.tensor(0.299 + 0.2 * 0.114))
    assert_refused(r"a0.png: got 3 channels, wanted 2; set dataset.channels=3", image_folder, folder, channels=2)
    assert_refused(r"dataset.channels: got 'grey', wanted auto, 1 or 3", image_folder, folder, channels="grey")
    assert image_folder(folder, size=None, channels=3, index=None).channels == 3


def test_nifti_volumes(tmp_path):
    rng = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for i in range(6):
        volume, mask = rng.normal(size=(8, 6, 4)).astype(np.float32), rng.integers(0, 3, (8, 6, 4)).astype(np.float32)
        nibabel.save(nibabel.Nifti1Image(volume, np.eye(4)), tmp_path / "images" / f"v{i}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), tmp_path / "masks" / f"v{i}.nii.gz")
    data = image_folder(tmp_path, size=[4, 4, 4], intensity="minmax", augment=["flips", "rotations"])
    assert data.train.images.shape[1:] == (1, 4, 4, 4)
    assert data.split("all").targets.unique().tolist() == [0, 1, 2]
    out = data.augment({"image": data.train.images[0], "mask": data.train.targets[:1]})
    assert out["mask"].shape == (1, 4, 4, 4)
    assert_refused(
        r"v0.nii.gz: got float32 pixels of .*; set dataset.intensity=minmax or zscore", image_folder, tmp_path
    )
    assert_refused(
        r"dataset.size: got \[4, 4\], wanted a positive integer or 3 of them",
        image_folder,
        tmp_path,
        size=[4, 4],
        intensity="minmax",
    )


def test_without_val_in_the_index_a_fifth_of_the_training_groups_is_val(folder):
    rows = [{"stem": s, "split": p, "note": "x"} for s, p in zip(STEMS, LAST_FOUR_TEST, strict=True)]
    write_index(folder, rows[::-1])
    data = image_folder(folder, size=None)
    assert data.test.names == ("a6", "a7", "a8", "a9")
    assert (len(data.train), len(data.val)) == (5, 1)  # 20 % of 6 is 1.2
    rows[0]["split"], rows[1]["split"] = "valid", "validation"
    write_index(folder, rows)
    assert image_folder(folder, size=None).val.names == ("a0", "a1")
    assert [len(split) for split in image_folder(folder, size=None, index=None).splits.values()] == [6, 2, 2]


def test_an_index_without_splits_is_split_by_the_seed(folder):
    write_index(folder, [{"stem": stem, "patient": f"p{i // 2}"} for i, stem in enumerate(STEMS)])
    data = image_folder(folder, size=None, group="patient")
    assert [len(set(split.groups)) for split in data.splits.values()] == [3, 1, 1]
    assert data.fingerprint == image_folder(folder, size=None, group="patient", split=None).fingerprint
    assert data.fingerprint != image_folder(folder, size=None, group="patient", split_seed=1).fingerprint


def test_only_drawn_images_are_read(folder):
    whole, few = image_folder(folder, size=None), image_folder(folder, size=None, n=[3, None, 1])
    assert [len(split) for split in few.splits.values()] == [3, 2, 1]
    for part, split in few.splits.items():
        assert set(split.names) <= set(whole.splits[part].names)
    for stem in set(STEMS) - {name for split in few.splits.values() for name in split.names}:
        (folder / "images" / f"{stem}.png").write_bytes(b"broken")
    assert image_folder(folder, size=None, n=[3, None, 1]).fingerprint == few.fingerprint
    assert_refused(r"dataset.n: got 7 for train, wanted 1 to 6", image_folder, folder, n=[7, None, None])


@pytest.mark.parametrize("split", ["split", None])
@pytest.mark.parametrize("seed", range(5))
def test_groups_are_never_split(folder, split, seed):
    patients = ["p", "p", "q", "r", "r", "s", "t", "t", "t", "u"]
    rows = zip(STEMS, LAST_FOUR_TEST, patients, strict=True)
    write_index(folder, [{"stem": stem, "split": part, "patient": patient} for stem, part, patient in rows])
    data = image_folder(folder, size=None, group="patient", split=split, split_seed=seed)
    groups = [set(part.groups) for part in data.splits.values()]
    assert sum(len(group) for group in groups) == len(set.union(*groups)) == 6
    assert len(groups[1]) == 1  # 20 % of 4 or 5 groups


def test_named_classes_and_a_class_that_does_not_occur(folder):
    data = image_folder(folder, size=None, classes=["ground", "nucleus"], licence="CC0-1.0")
    assert data.classes == ("ground", "nucleus")
    assert data.card()["licence"] == "CC0-1.0"
    for stem in STEMS:
        save(folder / "masks" / f"{stem}.png", np.resize(np.array([0, 2], np.uint8), (8, 8)))
    assert_refused(
        r"wanted all of 0, 1, or 0 and 255; renumber the masks, or set dataset.classes", image_folder, folder
    )
    assert image_folder(folder, classes=3).split("all").targets.unique().tolist() == [0, 2]


def test_nuclei(shared_data):
    data = image_folder(shared_data / "nuclei")
    assert [len(split) for split in data.splits.values()] == [484, 121, 65]
    assert data.train.images.shape[1:] == (3, 128, 128)
    assert data.split("all").targets.unique().tolist() == [0, 1]
    assert 0.1 < data.card()["foreground_share"] < 0.2


def test_cardiac_by_patient(shared_data):
    data = image_folder(shared_data / "cardiac", size=64, group="patient")
    assert len(data.test) == 279
    assert len(data.train) + len(data.val) == 513
    assert list(data.card()["groups"].values()) == [23, 6, 15]
    train, val, test = (set(split.groups) for split in data.splits.values())
    assert not train & val
    assert not train & test
    assert not val & test
