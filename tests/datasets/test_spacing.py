"""Size of a pixel in millimetres: from each format, and after cropping, resizing, turning and resampling."""

import json
import logging

import nibabel as nib
import numpy as np
import pytest
import tifffile
from dataset_helpers import assert_refused, save, save_dicom, save_series
from nnunet_files import nrrd_bytes, plans_content, write_array, write_plans, write_raw
from PIL import Image

from bench.datasets import decathlon, image_folder, nnunet
from bench.datasets.spacing import spacing_of
from bench.datasets.splits import Split

VOLUME = np.zeros((6, 8, 10), np.uint8)
VOLUME[2:4, 2:6, 3:7] = 1


def test_headers_of_every_format(tmp_path):
    affine = np.diag([0.5, -2.0, 3.0, 1.0])[[1, 0, 2, 3]]  # the first two axes are exchanged
    nib.save(nib.Nifti1Image(VOLUME, affine), tmp_path / "a.nii.gz")
    assert spacing_of(tmp_path / "a.nii.gz", 3) == pytest.approx((0.5, 2, 3))
    nib.save(nib.Nifti1Image(VOLUME[..., :1], affine), tmp_path / "plane.nii")
    assert spacing_of(tmp_path / "plane.nii", 2) == pytest.approx((0.5, 2))
    save_series(tmp_path / "series", VOLUME, np.diag([0.5, 0.7, 4.0, 1.0]))
    assert spacing_of(tmp_path / "series", 3) == pytest.approx((0.5, 0.7, 4))
    save_dicom(tmp_path / "a.dcm", VOLUME[0], PixelSpacing=[0.3, 0.4])  # rows, columns
    assert spacing_of(tmp_path / "a.dcm", 2) == (0.3, 0.4)
    save_dicom(tmp_path / "b.dcm", VOLUME[0], PixelSpacing=None)
    assert spacing_of(tmp_path / "b.dcm", 2) is None
    (tmp_path / "a.nrrd").write_bytes(nrrd_bytes(VOLUME, (3.0, 1.0, 0.5)))
    assert spacing_of(tmp_path / "a.nrrd", 3) == (0.5, 1, 3)  # read_image has the fastest axis first
    (tmp_path / "b.nrrd").write_bytes(nrrd_bytes(VOLUME, (3.0, 1.0, 0.5), space_directions=""))
    assert spacing_of(tmp_path / "b.nrrd", 3) is None
    save(tmp_path / "a.png", VOLUME[0])
    Image.fromarray(VOLUME[0]).save(tmp_path / "dpi.tif", dpi=(72, 72))
    np.save(tmp_path / "a.npy", VOLUME)
    for name, axes in (("a.png", 2), ("dpi.tif", 2), ("a.npy", 3)):
        assert spacing_of(tmp_path / name, axes) is None


@pytest.mark.parametrize("pixels", [VOLUME, VOLUME[0]])
def test_ome_tiff(tmp_path, pixels):
    axes = "ZYX"[-pixels.ndim :]
    known = {"axes": axes, "PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "µm", "PhysicalSizeY": 500.0,
             "PhysicalSizeYUnit": "nm", "PhysicalSizeZ": 2, "PhysicalSizeZUnit": "mm"}  # fmt: skip
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, pixels, metadata=known)
    assert spacing_of(path, pixels.ndim) == pytest.approx((2, 0.0005, 0.00025)[-pixels.ndim :])
    tifffile.imwrite(path, pixels, metadata=known | {"PhysicalSizeXUnit": "pixel"})
    assert spacing_of(path, pixels.ndim) is None
    tifffile.imwrite(path, pixels, metadata={"axes": axes})
    assert spacing_of(path, pixels.ndim) is None


def write_pairs(root, spacing=(0.5, 2.0, 3.0), count=5):
    for number in range(count):
        for part in ("images", "masks"):
            (root / part).mkdir(exist_ok=True)
            nib.save(nib.Nifti1Image(VOLUME, np.diag([*spacing, 1])), root / part / f"{number}.nii.gz")


def test_cropping_keeps_the_size_of_a_pixel_and_resizing_changes_it(tmp_path):
    write_pairs(tmp_path)
    data = image_folder(tmp_path, size=None, n=[2, 1, 1])
    assert data.train.spacing.tolist() == [[0.5, 2, 3]] * 2
    assert data.card()["spacing_mm"] == [0.5, 2, 3]
    cropped = image_folder(tmp_path, crop=[4, 4, 20], size=None, n=[2, 1, 1])
    assert cropped.train.spacing.tolist() == data.train.spacing.tolist()
    resized = image_folder(tmp_path, crop=[4, 4, 20], size=[8, 2, 4], n=[2, 1, 1])
    assert resized.test.spacing == pytest.approx(np.array([[0.25, 4, 7.5]]))  # 4 · 0.5 / 8, 4 · 2 / 2, 10 · 3 / 4
    patched = image_folder(tmp_path, size=None, patch=4, n=[2, 1, 1])
    assert patched.volumes["val"].spacing.tolist() == patched.val.spacing.tolist() == [[0.5, 2, 3]]
    assert Split.join(data.train, data.val).spacing.shape == (3, 3)
    assert_refused(r"dataset.tolerance: got 0, wanted a number above 0, in mm", image_folder, tmp_path, tolerance=0)


def test_the_fingerprint_has_the_spacing(tmp_path):
    found = []
    for spacing in ((1, 1, 1), (1, 1, 1), (1, 1, 2)):
        write_pairs(tmp_path, spacing)
        found.append(image_folder(tmp_path, size=None).fingerprint)
    assert found[0] == found[1] != found[2]


def test_some_images_without_a_spacing_leave_all_distances_in_pixels(tmp_path, caplog):
    for number in range(5):
        spacing = [0.5, 0.5] if number != 3 else None
        save_dicom(tmp_path / "images" / f"{number}.dcm", VOLUME[2] * number, PixelSpacing=spacing)
        save(tmp_path / "masks" / f"{number}.png", VOLUME[2])
    with caplog.at_level(logging.WARNING):
        data = image_folder(tmp_path, size=None)
    assert data.train.spacing is None
    (line,) = [record.message for record in caplog.records]
    assert line.endswith("1 of 5 images have no spacing in their headers (3 is the first); distances are in pixels")


def test_volumes_of_the_decathlon_are_turned_and_resampled(tmp_path):
    turn = np.array([[0, 0, 3.0, 0], [0.5, 0, 0, 0], [0, 2.0, 0, 0], [0, 0, 0, 1]])  # axes are A, S, R
    listed = []
    for number in range(5):
        for part in ("images", "labels"):
            (tmp_path / "T" / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(VOLUME, turn), tmp_path / "T" / part / f"{number}.nii.gz")
        listed.append({"image": f"images/{number}.nii.gz", "label": f"labels/{number}.nii.gz"})
    described = {"labels": {"0": "background", "1": "one"}, "training": listed}
    (tmp_path / "T" / "dataset.json").write_text(json.dumps(described))
    data = decathlon(tmp_path, "T")
    assert data.train.images.shape[2:] == (10, 6, 8)
    assert data.volumes["train"].spacing == pytest.approx(np.tile([3, 0.5, 2], (3, 1)))
    assert decathlon(tmp_path, "T", spacing=[1.5, 1, 2]).test.spacing == pytest.approx(np.array([[1.5, 1, 2]]))


def test_nnunet_resamples_to_the_extent_of_the_image(tmp_path):
    root = write_raw(tmp_path / "Dataset901_Test")
    for path in (*root.glob("imagesTr/*"), *root.glob("labelsTr/*")):
        array = np.asarray(nib.load(path).dataobj).T
        write_array(path, array, (2.0, 1.0, 0.5))  # slices, rows, columns
    assert nnunet(str(root)).train.spacing[0].tolist() == [2, 1, 0.5]
    plans = write_plans(tmp_path / "pre", plans_content(spacing=(1.7, 1.0, 0.9), transpose=(0, 1, 2)))
    volumes = nnunet(str(root), str(plans), "3d_fullres", patch=[4, 4, 4]).volumes["train"]
    extent = np.array(volumes.targets[0].shape) * volumes.spacing[0]
    assert extent == pytest.approx([14 * 2, 18 * 1, 16 * 0.5])
    assert volumes.spacing[0] == pytest.approx([1.7, 1, 0.9], rel=0.05)  # by whole numbers of voxels
    slices = nnunet(str(root), str(plans), "2d", slices=1)
    assert slices.train.spacing[0] == pytest.approx(volumes.spacing[0][1:])
