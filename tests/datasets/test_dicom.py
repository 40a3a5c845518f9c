"""DICOM: series as volumes, files as pictures, scaling, positions, and refused input."""

import json

import nibabel
import numpy as np
import pytest
from dataset_helpers import assert_refused, save, save_dicom, save_series
from scipy.spatial.transform import Rotation

from bench.datasets import decathlon, image_folder
from bench.datasets.files import files_by_stem, read_image, read_mask, read_pair, shape_of
from bench.datasets.grids import grid_header, read_grid

VOLUME = np.random.default_rng(0).integers(-500, 500, (5, 4, 6)).astype(np.int16)  # columns, rows, slices
AXIAL = np.array([[-0.5, 0, 0, 30], [0, -0.7, 0, 20], [0, 0, 2, -9], [0, 0, 0, 1]])
OBLIQUE = np.eye(4)
OBLIQUE[:3, :3] = Rotation.from_euler("xyz", [20, -35, 50], degrees=True).as_matrix() * [0.5, 0.7, 2]
OBLIQUE[:3, 3] = (12, -7, 40)


@pytest.mark.parametrize("affine", [AXIAL, OBLIQUE])
def test_slices_are_sorted_by_position(tmp_path, affine):
    save_series(tmp_path / "a", VOLUME, affine, order=[3, 0, 5, 1, 4, 2])
    array, found = read_grid(tmp_path / "a")
    assert array.dtype == np.int16
    assert np.array_equal(array, VOLUME)
    assert np.allclose(found, affine, atol=1e-6)
    assert np.allclose(grid_header(tmp_path / "a")[1], found)
    assert shape_of(tmp_path / "a") == (1, 5, 4, 6)
    assert np.array_equal(read_image(tmp_path / "a"), VOLUME[None])


def test_slope_and_intercept_of_each_slice(tmp_path):
    save_series(tmp_path / "ct", VOLUME, AXIAL, RescaleSlope=2, RescaleIntercept=-1024)
    array = read_image(tmp_path / "ct")[0]
    assert array.dtype == np.int32
    assert np.array_equal(array, VOLUME.astype(np.int32) * 2 - 1024)
    save_series(tmp_path / "pet", VOLUME, AXIAL, RescaleSlope=lambda at: 0.25 * (at + 1), RescaleIntercept=0)
    array = read_image(tmp_path / "pet")[0]
    assert array.dtype == np.float32
    assert np.array_equal(array, (VOLUME * (0.25 * np.arange(1, 7))).astype(np.float32))


def test_a_file_is_a_picture_with_black_as_low(tmp_path):
    pixels = np.arange(20, dtype=np.uint16).reshape(5, 4) * 100
    save_dicom(tmp_path / "a.dcm", pixels)
    save_dicom(tmp_path / "b.dcm", pixels, PhotometricInterpretation="MONOCHROME1", BitsStored=12, HighBit=11)
    save_dicom(tmp_path / "c.dcm", pixels, PixelSpacing=None, ImagePositionPatient=None, Modality="DX")
    assert shape_of(tmp_path / "a.dcm") == (1, 5, 4)
    assert np.array_equal(read_image(tmp_path / "a.dcm"), pixels[None])
    assert np.array_equal(read_image(tmp_path / "b.dcm"), 4095 - pixels[None])
    assert np.array_equal(read_mask(tmp_path / "c.dcm"), pixels)


def test_a_mask_in_nifti_gets_the_axes_of_the_series(tmp_path):
    mask = (VOLUME > 0).astype(np.uint8)
    save_series(tmp_path / "images" / "a", VOLUME, OBLIQUE)
    change = np.array([[0, 0, 1.0, 0], [-1, 0, 0, 3], [0, 1, 0, 0], [0, 0, 0, 1]])  # voxel (i,j,k) -> (k, 3 - i, j)
    turned = np.flip(mask.transpose(1, 2, 0), 0)
    assert all(turned[3 - j, k, i] == mask[i, j, k] for i, j, k in np.ndindex(mask.shape))
    nibabel.save(nibabel.Nifti1Image(turned, OBLIQUE @ change), tmp_path / "a.nii.gz")
    pixels, found = read_pair(tmp_path / "images" / "a", tmp_path / "a.nii.gz")
    assert np.array_equal(found, mask)
    assert np.array_equal(pixels, VOLUME[None])
    shifted = OBLIQUE @ change
    shifted[:3, 3] += 1
    nibabel.save(nibabel.Nifti1Image(turned, shifted), tmp_path / "a.nii.gz")
    assert_refused(
        r"images/a: got the affine .* wanted one", read_pair, tmp_path / "images" / "a", tmp_path / "a.nii.gz"
    )


def test_image_folder_reads_series(tmp_path):
    for number in range(6):
        save_series(tmp_path / "images" / f"case{number}", VOLUME + number, AXIAL)
        (tmp_path / "masks").mkdir(exist_ok=True)
        mask = nibabel.Nifti1Image((VOLUME > 0).astype(np.uint8), AXIAL)
        nibabel.save(mask, tmp_path / "masks" / f"case{number}.nii.gz")
    (tmp_path / "images" / "case0" / "DICOMDIR").write_bytes(b"not read")
    (tmp_path / "images" / "case1" / "000.dcm").rename(tmp_path / "images" / "case1" / "slice0")
    data = image_folder(tmp_path, size=None, intensity="minmax")
    whole = data.split("all")
    assert whole.images.shape == (6, 1, 5, 4, 6)
    assert np.array_equal(whole.targets[0].numpy(), VOLUME > 0)
    assert sorted(whole.names) == [f"case{number}" for number in range(6)]
    assert_refused(r"case\d: got int16 pixels of .*; set dataset.intensity=minmax", image_folder, tmp_path)


def test_volumes_of_a_task_in_dicom_and_nrrd_are_those_in_nifti(tmp_path):
    listed = {"nifti": [], "others": []}
    for number in range(5):
        rng = np.random.default_rng(number)
        mask = np.zeros((10, 9, 8), np.uint8)
        mask[2:6, 3:7, 2:6] = 1
        volume = (100 * mask + rng.integers(0, 50, mask.shape)).astype(np.int16)
        for kind, array in (("image", volume), ("label", mask)):
            (tmp_path / "T" / kind).mkdir(parents=True, exist_ok=True)
            nibabel.save(nibabel.Nifti1Image(array, OBLIQUE), tmp_path / "T" / kind / f"{number}.nii.gz")
        save_series(tmp_path / "T" / "series" / str(number), volume, OBLIQUE)
        directions = " ".join(f"({','.join(map(repr, column))})" for column in OBLIQUE[:3, :3].T.tolist())
        header = (
            "NRRD0004\ntype: uint8\ndimension: 3\nspace: RAS\nsizes: 10 9 8\nencoding: raw\n"
            f"space directions: {directions}\nspace origin: (12,-7,40)\n\n"
        )
        (tmp_path / "T" / "label" / f"{number}.nrrd").write_bytes(header.encode() + mask.T.tobytes())
        listed["nifti"].append({"image": f"image/{number}.nii.gz", "label": f"label/{number}.nii.gz"})
        listed["others"].append({"image": f"series/{number}", "label": f"label/{number}.nrrd"})
    found = []
    for training in listed.values():
        description = {"labels": {"0": "background", "1": "ball"}, "training": training}
        (tmp_path / "T" / "dataset.json").write_text(json.dumps(description))
        found.append(decathlon(tmp_path, task="T", n=[2, 1, 1]))
    assert found[0].fingerprint == found[1].fingerprint
    save(tmp_path / "T" / "a.png", np.zeros((4, 4), np.uint8))
    description["training"] = [{"image": "a.png", "label": "a.png"}] * 5
    (tmp_path / "T" / "dataset.json").write_text(json.dumps(description))
    assert_refused(r"dataset.json: got an image twice", decathlon, tmp_path, task="T")
    description["training"] = [*training[:4], {"image": "a.png", "label": "label/4.nrrd"}]
    (tmp_path / "T" / "dataset.json").write_text(json.dumps(description))
    assert_refused(r"a.png: got no affine, wanted NIfTI, 3-D NRRD or a folder of DICOM", decathlon, tmp_path, task="T")


def test_folders_without_dicom_are_no_image(tmp_path):
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "notes.txt").write_text("x")
    save_dicom(tmp_path / "a" / "no_suffix", np.zeros((2, 2), np.uint8))
    assert list(files_by_stem(tmp_path)) == ["a"]


def spoil(folder, number=2, **changes):
    """Write one slice anew with other tags."""
    affine = np.diag([-1.0, -1, 1, 1]) @ AXIAL
    where = {
        "PixelSpacing": [0.7, 0.5],
        "ImagePositionPatient": list(affine[:3, 3] + number * affine[:3, 2]),
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0],
    }
    pixels = changes.pop("pixels", VOLUME[:, :, number].T)
    save_dicom(folder / f"{number:03d}.dcm", pixels, **(where | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, None),
        ({"Modality": "CT"}, r"a: got Modality MR in 00\d.dcm and CT in 002.dcm, wanted one in all 6 slices"),
        ({"SeriesInstanceUID": "9.9"}, r"a: got SeriesInstanceUID 1.2.3 in .* and 9.9 in 002.dcm, wanted one"),
        ({"pixels": np.zeros((4, 6), np.int16)}, r"a: got Columns 5 in .* and 6 in 002.dcm, wanted one"),
        ({"ImageOrientationPatient": [0, 1, 0, 0, 0, 1]}, r"a: got ImageOrientationPatient .* in 002.dcm, wanted one"),
        ({"PixelSpacing": None}, r"a: got PixelSpacing .* and None in 002.dcm, wanted one"),
        ({"ImagePositionPatient": None}, r"a: unreadable \(.*ImagePositionPatient.*\), wanted the position of each"),
        ({"ImagePositionPatient": [-30, -20, -9]}, r"a: got several slices at one position, wanted one each"),
        ({"ImagePositionPatient": [-30, -20, -5.5]}, r"a: got distances between slices of 1.5, 2, 2.5 mm, wanted one"),
        ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, r"002.dcm: got pixels of kind RGB, wanted grey"),
        ({"NumberOfFrames": 4}, r"002.dcm: got 4 frames, wanted one; save each slice in its own file"),
        ({"BitsAllocated": 32}, r"002.dcm: unreadable \(.*\), wanted a whole DICOM file; replace it, or save it"),
    ],
)
def test_slices_that_do_not_fit_are_refused(tmp_path, changes, message):
    save_series(tmp_path / "a", VOLUME, AXIAL)
    spoil(tmp_path / "a", **changes)
    if message is None:
        assert np.array_equal(read_image(tmp_path / "a")[0], VOLUME)
    else:
        assert_refused(message, read_image, tmp_path / "a")


def test_missing_and_damaged_slices_are_refused(tmp_path):
    save_series(tmp_path / "a", VOLUME, AXIAL)
    (tmp_path / "a" / "003.dcm").unlink()
    assert_refused(
        r"a: got distances between slices of 2, 4 mm, wanted one distance; add the", read_image, tmp_path / "a"
    )
    save_series(tmp_path / "a", VOLUME, AXIAL)
    whole = (tmp_path / "a" / "004.dcm").read_bytes()
    for kept in (0, 140, len(whole) // 2, len(whole) - 10):
        (tmp_path / "a" / "004.dcm").write_bytes(whole[:kept])
        assert_refused(r"004.dcm: unreadable \(.*\), wanted a whole DICOM file", read_image, tmp_path / "a")
    (tmp_path / "a" / "004.dcm").write_bytes(whole.replace(b"0.7\\0.5", b"0.7\\x.5"))
    message = r"a: got PixelSpacing \[0.7, 0.5\] in .* and \['0.7', 'x.5'\] in 004.dcm, wanted one in all 6"
    assert_refused(message, read_image, tmp_path / "a")
    (tmp_path / "a" / "004.dcm").write_text("hello")
    assert_refused(r"004.dcm: unreadable", read_image, tmp_path / "a")


def test_hippocampus_as_dicom_and_back(shared_data, tmp_path):
    """Volumes of whole numbers come back equal; volumes of fractions within half a step of their 16 bits."""
    folder = shared_data / "decathlon" / "Task04_Hippocampus"
    kinds = set()
    for number, path in enumerate(sorted((folder / "imagesTr").glob("*.nii.gz"))[:12]):
        array, affine = read_grid(path)
        whole = np.array_equal(array, np.round(array)) and array.max() < 2**16
        if whole in kinds:
            continue
        kinds.add(whole)
        slope = 1 if whole else float(array.max()) / (2**16 - 1)
        order = np.random.default_rng(number).permutation(array.shape[2])
        stored = np.round(array / slope).astype(np.uint16)
        save_series(tmp_path / f"case{number}", stored, affine, order, RescaleSlope=f"{slope:.10g}", RescaleIntercept=0)
        found, of_dicom = read_grid(tmp_path / f"case{number}")
        assert np.array_equal(found, array) if whole else np.abs(found - array).max() <= 0.51 * slope
        assert np.allclose(of_dicom, affine, atol=1e-4)
        mask = folder / "labelsTr" / path.name
        assert np.array_equal(read_pair(tmp_path / f"case{number}", mask)[1], read_pair(path, mask)[1])
    assert kinds == {True, False}
