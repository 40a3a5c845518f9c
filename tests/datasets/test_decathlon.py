"""Volumes in the layout of the Decathlon: reading, patches, windows, and refused input."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused

from bench.datasets import decathlon
from bench.datasets.patching import patches
from bench.datasets.splits import Volumes
from bench.training.batches import Batches
from bench.training.evaluate import evaluate
from bench.training.predictions import predict_volume
from bench.training.train import fit, loss_function
from models import UNet

TASK = "Task99_Boxes"
HIPPOCAMPUS = Path(__file__).parents[3] / "shared/data/decathlon"


def box(size, number):
    """Return a noisy volume, whose scale depends on `number`, and its mask of two adjacent classes."""
    rng = np.random.default_rng(number)
    mask = np.zeros(size, np.uint8)
    mask[2:6, 3:7, 2:6] = 1
    mask[6:9, 3:7, 2:6] = 2
    return (10.0**number * (mask + 0.1 * rng.normal(size=size))).astype(np.float32), mask


def write(root: Path, sizes, affine=None, **description):
    folder = root / TASK
    listed = []
    for number, size in enumerate(sizes):
        for part, array in zip(("imagesTr", "labelsTr"), box(size, number), strict=True):
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.save(
                nib.Nifti1Image(array, np.eye(4) if affine is None else affine), folder / part / f"box_{number}.nii.gz"
            )
        listed.append({"image": f"./imagesTr/box_{number}.nii.gz", "label": f"./labelsTr/box_{number}.nii.gz"})
    content = {"labels": {"0": "background", "1": "Left", "2": "Right"}, "licence": "CC0", "training": listed}
    (folder / "dataset.json").write_text(json.dumps(content | description))
    return folder


SIZES = [(12, 10, 8), (10, 12, 9), (11, 11, 10), (14, 10, 8), (10, 10, 11)]


@pytest.fixture
def root(tmp_path):
    write(tmp_path, SIZES)
    return tmp_path


def read(root, **options):
    return decathlon(root, task=TASK, **options)


def test_volumes_keep_their_sizes_and_samples_are_patches_of_one_size(root):
    data = read(root)
    assert data.image_size == (10, 10, 8)
    assert data.classes == ("background", "left", "right")
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 3, "val": 1, "test": 1}
    found = {}
    for name, split in data.splits.items():
        volumes = data.whole(name)
        assert volumes.names == split.names
        assert split.images.shape[1:] == (1, 10, 10, 8)
        found |= {label: tuple(mask.shape) for label, mask in zip(volumes.names, volumes.targets, strict=True)}
    assert found == {f"box_{number}": size for number, size in enumerate(SIZES)}
    assert data.card()["volumes"] == {"smallest": [10, 10, 8], "largest": [14, 12, 11]}
    labelled = sum((box(size, number)[1] > 0).sum() for number, size in enumerate(SIZES))
    assert data.card()["foreground_share"] == pytest.approx(labelled / sum(np.prod(size) for size in SIZES))


@pytest.mark.parametrize("intensity", ["zscore", "minmax", "percentiles"])
def test_intensities_are_scaled_volume_by_volume(root, intensity):
    for name in ("train", "val", "test"):
        for image in read(root, intensity=intensity).whole(name).images:
            match intensity:
                case "zscore":
                    assert (image.mean().item(), image.std(unbiased=False).item()) == pytest.approx((0, 1), abs=1e-3)
                case "minmax":
                    assert (image.min(), image.max()) == (0, 1)
                case "percentiles":
                    assert 0.003 < (image == 0).float().mean() < 0.02
                    assert 0.003 < (image == 1).float().mean() < 0.02


def test_spacing_resamples_image_and_mask_alike(tmp_path):
    write(tmp_path, [(20, 20, 10)] * 5, affine=np.diag([1.0, 1.0, 2.0, 1.0]))
    data = read(tmp_path, spacing=2)
    for volume, mask in zip(data.whole("train").images, data.whole("train").targets, strict=True):
        assert volume.shape[1:] == mask.shape == (10, 10, 10)
        assert set(mask.unique().tolist()) == {0, 1, 2}
        assert volume[0][mask == 2].mean() > volume[0][mask == 1].mean() > volume[0][mask == 0].mean()


def test_every_orientation_is_converted_to_the_same(tmp_path):
    write(tmp_path / "ras", SIZES)
    write(tmp_path / "las", SIZES, affine=np.diag([-1.0, 1.0, 1.0, 1.0]))
    one, other = (read(tmp_path / name) for name in ("ras", "las"))
    for right, left in zip(one.whole("train").targets, other.whole("train").targets, strict=True):
        assert torch.equal(right, left.flip(0))


def test_a_patch_is_centred_on_the_foreground_and_inside_the_volume():
    mask = torch.zeros(20, 20, 20, dtype=torch.long)
    mask[14:18, 8:12, 0:2] = 1
    image = torch.arange(8000.0).reshape(1, 20, 20, 20)
    split = patches(Volumes((image,), (mask,), np.array(["a"]), ("a",)), (8, 8, 8))
    assert torch.equal(split.images[0], image[:, 12:20, 6:14, 0:8])  # the middle is 15.5, 9.5, 0.5
    assert split.targets.sum() == mask.sum()
    empty = patches(Volumes((image,), (torch.zeros_like(mask),), np.array(["a"]), ("a",)), (8, 8, 8))
    assert torch.equal(empty.images[0], image[:, 6:14, 6:14, 6:14])


def test_half_of_the_training_patches_are_centred_on_the_foreground(root):
    data = read(root, patch=[2, 2, 2], n=[3, 1, 1])
    drawn, again = (
        [targets for _ in range(60) for _, targets in batches] for batches in (Batches(data, 3, 0), Batches(data, 3, 0))
    )
    assert all(targets.shape[1:] == (2, 2, 2) for targets in drawn)
    centred = torch.cat([targets[:, 1, 1, 1] > 0 for targets in drawn]).float().mean()
    assert 0.4 < centred < 0.6  # 180 draws with probability 1/2
    assert all(torch.equal(one, other) for one, other in zip(drawn, again, strict=True))


class Threshold(torch.nn.Module):
    """Network that classifies each voxel by its grey level, so that the result does not depend on the windows."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))

    def forward(self, x):
        return self.scale * torch.cat([-((x - grey) ** 2) for grey in (0, 1, 2)], dim=1)


def test_windows_cover_every_voxel_and_scores_are_of_whole_volumes(root):
    data = read(root, patch=4)
    volume = torch.randn(1, 11, 13, 9)
    whole = Threshold()(volume[None])
    torch.testing.assert_close(predict_volume(Threshold(), volume, (4, 4, 4)), whole)

    greys = {part: tuple(mask[None].float() for mask in data.whole(part).targets) for part in data.splits}
    clean = {part: Volumes(greys[part], v.targets, v.groups, v.names) for part, v in data.volumes.items()}
    object.__setattr__(data, "volumes", clean)
    metrics, table = evaluate(Threshold(), data, "train", seed=0)
    assert list(table["name"]) == list(data.train.names)
    assert metrics["dice"] == metrics["dice.left"] == metrics["dice.right"] == metrics["iou"] == 1
    assert metrics["hd95"] == 0


def test_a_network_learns_boxes_from_patches(root):
    data = read(root, patch=8)
    torch.manual_seed(0)
    model = UNet(1, 3, widths=(4, 8), norm="batch", spatial_dims=3)
    optimizer = torch.optim.Adam(model.parameters(), 0.02)
    best = fit(model, data, epochs=60, batch_size=3, optimizer=optimizer, schedule=None,
               loss=loss_function("dice_ce", data), amp=False, seed=0, on_epoch=lambda *_: None)  # fmt: skip
    assert best.val_score > 0.8


def test_bad_input_is_refused_with_its_name(root, tmp_path):
    folder = root / TASK
    assert_refused(r"dataset.patch: got 11x10x8, but box_1 has 10x12x9, which is smaller; wanted at most 10x10x8", read,
                   root, patch=[11, 10, 8])  # fmt: skip
    assert_refused(r"dataset.patch: got \[4, 4\], wanted a positive integer or 3", read, root, patch=[4, 4])
    assert_refused(r"dataset.spacing: got 0, wanted one number or 3 numbers above 0, in mm", read, root, spacing=0)
    assert_refused(r"dataset.intensity: got 'unit', wanted one of", read, root, intensity="unit")
    assert_refused(r"Task98/dataset.json: no such file; check", decathlon, root, task="Task98")
    assert_refused(r"dataset.task: got 'Task98', wanted one of Task01", decathlon, root, task="Task98", download=True)

    write(root, SIZES, labels={"0": "background", "1": "all"})
    assert_refused(r"labelsTr/box_\d.nii.gz: got mask values 0.0, 1.0, 2.0, wanted all of 0, 1;", read, root)
    write(root, SIZES, labels={"1": "a", "2": "b"})
    assert_refused(r"dataset.json: got labels 1, 2, wanted 0, 1 and so on", read, root)
    write(root, SIZES, training=[])
    assert_refused(r"dataset.json: wanted labels, and image and label of each", read, root)

    write(root, SIZES)
    image = folder / "imagesTr/box_0.nii.gz"
    image.write_bytes(image.read_bytes()[:90])
    assert_refused(r"imagesTr/box_0.nii.gz: unreadable \(.*\), wanted a whole NIfTI file", read, root)
    image.unlink()
    assert_refused(r"imagesTr/box_0.nii.gz: no such file, but dataset.json lists it", read, root)
    write(root, SIZES)
    nib.save(nib.Nifti1Image(np.zeros((3, 3, 3), np.uint8), np.eye(4)), folder / "labelsTr/box_0.nii.gz")
    assert_refused(r"box_0.nii.gz: got 12x10x8 and a mask of 3x3x3, wanted one size", read, root)
    nan = box(SIZES[0], 0)
    nan[0][0, 0, 0] = np.nan
    for part, array in zip(("imagesTr", "labelsTr"), nan, strict=True):
        nib.save(nib.Nifti1Image(array, np.eye(4)), folder / part / "box_0.nii.gz")
    assert_refused(r"imagesTr/box_0.nii.gz: got NaN or infinite voxels", read, root)
    (folder / "dataset.json").write_text("{")
    assert_refused(r"dataset.json: unreadable", read, root)


@pytest.mark.skipif(not HIPPOCAMPUS.is_dir(), reason=f"no data in {HIPPOCAMPUS}")
def test_the_published_hippocampus_data_are_read():
    data = decathlon(HIPPOCAMPUS, n=[6, 2, 2])
    assert data.classes == ("background", "anterior", "posterior")
    assert data.licence == "CC-BY-SA 4.0"
    for part in data.splits:
        for image, mask in zip(data.whole(part).images, data.whole(part).targets, strict=True):
            assert set(mask.unique().tolist()) == {0, 1, 2}
            assert image.std().item() == pytest.approx(1, abs=0.01)
