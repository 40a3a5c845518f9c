"""Readers respect the information in file headers, such as the orientation, or refuse the file by name."""

import json
import logging
import os

import nibabel as nib
import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, png16, save
from PIL import Image

from bench.datasets import class_folders, decathlon, image_folder
from bench.datasets.files import check_pair, files_by_stem, read_image, read_mask, shape_of

GREY = np.random.default_rng(0).integers(0, 256, (12, 20), np.uint8)
UPRIGHT = {
    1: GREY,
    2: GREY[:, ::-1],
    3: GREY[::-1, ::-1],
    4: GREY[::-1],
    5: GREY.T,
    6: np.rot90(GREY, -1),
    7: GREY[::-1, ::-1].T,
    8: np.rot90(GREY),
}  # as viewers show an image that is stored as GREY with this orientation


@pytest.mark.parametrize("orientation", UPRIGHT)
@pytest.mark.parametrize("suffix", ["png", "webp", "tif"])
def test_pictures_and_masks_are_turned_upright(tmp_path, suffix, orientation):
    path = tmp_path / f"a.{suffix}"
    picture = Image.fromarray(GREY)
    exif = picture.getexif()
    exif[274] = orientation
    picture.save(path, exif=exif, **({"lossless": True} if suffix == "webp" else {}))
    if suffix == "tif" and orientation > 4:
        assert_refused(rf"a.tif: got a TIFF of orientation {orientation}, wanted 1 to 4", read_image, path)
        return
    assert np.array_equal(read_image(path)[0], UPRIGHT[orientation])
    assert np.array_equal(read_mask(path), UPRIGHT[orientation])
    assert shape_of(path)[1:] == UPRIGHT[orientation].shape


def test_a_jpeg_is_turned_upright(tmp_path):
    smooth = np.add.outer(np.arange(16) * 8, np.arange(24) * 4).astype(np.uint8)
    picture = Image.fromarray(smooth)
    exif = picture.getexif()
    exif[274] = 3
    picture.save(tmp_path / "a.jpg", quality=98, exif=exif)
    assert abs(read_image(tmp_path / "a.jpg")[0].astype(int) - smooth[::-1, ::-1]).max() <= 4


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.uint16])
def test_tiff_where_white_is_zero(tmp_path, dtype):
    most = 1 if dtype is bool else np.iinfo(dtype).max
    dark = (GREY > 99) if dtype is bool else GREY.astype(dtype)
    Image.fromarray(most - dark if dtype is not bool else ~dark).save(tmp_path / "a.tif", tiffinfo={262: 0})
    read = read_image(tmp_path / "a.tif")[0]
    if dtype is np.uint8 or dtype is bool:  # Pillow inverts the pixels both when it writes and when it reads
        assert read.shape == GREY.shape
    else:
        assert np.array_equal(read, dark)


def test_tiff_of_floats_where_white_is_zero_and_unsigned_32_bits(tmp_path):
    Image.fromarray(GREY.astype(np.float32)).save(tmp_path / "a.tif", tiffinfo={262: 0})
    assert_refused(r"a.tif: got a TIFF where white is zero", read_image, tmp_path / "a.tif")
    large = GREY.astype(np.uint32) * 2**24
    Image.fromarray(large.view(np.int32)).save(tmp_path / "b.tif")
    signed, unsigned = (b"\x53\x01\x03\x00\x01\x00\x00\x00" + kind for kind in (b"\x02", b"\x01"))  # SampleFormat
    (tmp_path / "b.tif").write_bytes((tmp_path / "b.tif").read_bytes().replace(signed, unsigned))
    assert np.array_equal(read_image(tmp_path / "b.tif")[0], large)


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colour_of_16_bits_is_refused(tmp_path, channels):
    png16(tmp_path / "a.png", np.dstack([GREY.astype(np.uint16) * 256] * channels))
    for read in (read_image, read_mask):
        assert_refused(r"a.png: got colours or alpha of 16 bits, of which 8 would be kept", read, tmp_path / "a.png")


def test_modes_without_grey_or_rgb_are_refused(tmp_path):
    Image.fromarray(np.dstack([GREY] * 4), "CMYK").save(tmp_path / "a.jpg")
    assert_refused(r"a.jpg: got a picture of mode CMYK, wanted grey or RGB", read_image, tmp_path / "a.jpg")


@pytest.mark.parametrize("suffix", [".bmp", ".gif", ".webp", ".BMP", ".TIF"])
def test_other_formats_are_read(tmp_path, suffix):
    options = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(GREY).save(tmp_path / f"a{suffix}", **options)
    (found,) = files_by_stem(tmp_path).values()
    assert np.array_equal(read_image(found)[0], GREY)


def test_masks_in_alpha_in_jpeg_and_of_an_odd_palette(tmp_path):
    disc = np.uint8(GREY > 99) * 255
    save(tmp_path / "rgba.png", np.dstack([disc * 0] * 3 + [disc]))
    save(tmp_path / "la.png", np.dstack([disc * 0, disc]))
    for name in ("rgba.png", "la.png"):
        message = r"got a mask with an alpha channel of 0 to 255, .*; save the alpha channel as a grey picture"
        assert_refused(message, read_mask, tmp_path / name)
        assert_refused(r"got a picture that varies only in its alpha channel", read_image, tmp_path / name)
        Image.open(tmp_path / name).getchannel("A").save(tmp_path / "followed.png")
        assert np.array_equal(read_mask(tmp_path / "followed.png"), disc)
    save(tmp_path / "opaque.png", np.dstack([disc] * 3 + [disc * 0 + 255]))
    assert np.array_equal(read_mask(tmp_path / "opaque.png"), disc)
    Image.fromarray(disc).save(tmp_path / "a.jpg")
    assert_refused(r"a.jpg: got mask values .* in a JPEG, whose compression changes", read_mask, tmp_path / "a.jpg")
    palette = Image.fromarray(disc // 255, mode="P")
    palette.putpalette([255, 255, 255, 0, 0, 0])
    palette.save(tmp_path / "odd.png")
    assert_refused(r"odd.png: got a palette whose greys 255, 0 are not in the order", read_mask, tmp_path / "odd.png")


def test_files_that_are_not_read_are_named(tmp_path, caplog):
    save(tmp_path / "a.png", GREY)
    for name in ("._a.png", ".DS_Store", "Thumbs.db", "b.svg", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "more").mkdir()
    with caplog.at_level(logging.WARNING):
        assert list(files_by_stem(tmp_path)) == ["a"]
    assert "these are ignored" in caplog.text
    assert caplog.text.strip().endswith("b.svg, more, notes.txt")


def test_a_file_that_is_not_regular_is_refused(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    assert_refused(r"pipe.png: is not a regular file", files_by_stem, tmp_path)
    (tmp_path / "pipe.png").unlink()
    (tmp_path / "loop.png").symlink_to(tmp_path / "loop.png")
    assert_refused(r"loop.png: is not a regular file", files_by_stem, tmp_path)


def test_a_class_is_a_folder_with_pictures(tmp_path):
    for name in ("hand", "head", "__MACOSX"):
        for number in range(10):
            save(tmp_path / name / f"{number}.png", GREY)
    assert class_folders(tmp_path, size=None).classes == ("hand", "head")
    (tmp_path / "foot").mkdir()
    assert_refused(r"foot: got no image, wanted a folder of images for each class", class_folders, tmp_path)


def pair(folder, of_image, of_mask, shape=(8, 8, 8)):
    for kind, affine in (("image", of_image), ("mask", of_mask)):
        nib.save(nib.Nifti1Image(np.ones(shape, np.uint8), affine), folder / f"{kind}.nii.gz")
    return folder / "image.nii.gz", folder / "mask.nii.gz"


def test_affines_of_a_pair_must_agree(tmp_path):
    check_pair(*pair(tmp_path, np.diag([2.0, 2, 2, 1]), np.diag([2.001, 2, 2, 1])))
    for other in (np.diag([-1.0, 1, 1, 1]), np.diag([1.0, 1, 1.25, 1]), np.eye(4) + np.eye(4, k=3)):
        message = r"image.nii.gz: got the affine \[1 0 0 0; .*\], and .*mask.nii.gz has \[.*\], wanted one"
        assert_refused(message, check_pair, *pair(tmp_path, np.eye(4), other))
    save(tmp_path / "mask.png", GREY)
    assert_refused(
        r"image.nii.gz: got the mask .*mask.png, wanted files with an affine", check_pair, tmp_path / "image.nii.gz",
        tmp_path / "mask.png",
    )  # fmt: skip


def task(root, affine, of_mask=None, labels=None, units="mm"):
    folder, listed, rng = root / "T", [], np.random.default_rng(0)
    for number in range(5):
        mask = np.zeros((10, 10, 10), np.uint8)
        mask[2:6, 3:8, 4:9] = 1
        grey = (mask * 9 + rng.normal(size=mask.shape)).astype(np.float32)
        for kind, array, at in (("images", grey, affine), ("labels", mask, affine if of_mask is None else of_mask)):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            image = nib.Nifti1Image(array, at)
            image.header.set_xyzt_units(units)
            nib.save(image, folder / kind / f"{number}.nii")
        listed.append({"image": f"images/{number}.nii", "label": f"labels/{number}.nii"})
    description = {"labels": labels or {"0": "background", "1": "ball"}, "training": listed}
    (folder / "dataset.json").write_text(json.dumps(description))
    return root


def test_decathlon_compares_affines_and_reads_labels_in_both_directions(tmp_path):
    data = decathlon(task(tmp_path, np.eye(4), labels={"background": 0, "Ball": 1}), task="T")
    assert data.classes == ("background", "ball")
    flipped = np.diag([-1.0, 1, 1, 1])
    flipped[0, 3] = 9  # the same positions, with the first axis from right to left
    root = task(tmp_path, np.eye(4), of_mask=flipped)
    turned = decathlon(root, task="T").volumes["train"].targets[0]
    assert torch.equal(turned, data.volumes["train"].targets[0].flip(0))
    root = task(tmp_path, np.eye(4), of_mask=np.diag([-1.0, 1, 1, 1]))
    assert_refused(r"images/\d.nii: got the affine .*labels/\d.nii has", decathlon, root, task="T")
    root = task(tmp_path, np.diag([0.8, 0.8, 0.8, 1]), of_mask=np.eye(4))
    assert_refused(r"images/\d.nii: got the affine .*labels/\d.nii has", decathlon, root, task="T", spacing=1)
    root = task(tmp_path, np.eye(4), labels={"0": "background", "whole": 1})
    assert_refused(r"dataset.json: got labels .*, wanted 0, 1 and so on", decathlon, root, task="T")


def test_spacing_is_in_millimetres_whatever_the_unit_of_the_file(tmp_path):
    data = decathlon(task(tmp_path, np.diag([0.001, 0.001, 0.001, 1]), units="meter"), task="T", spacing=2)
    assert set(data.volumes["train"].targets[0].shape) <= {5, 6}  # 10 mm / 2 mm; 6 by rounding to float32 metres


@pytest.mark.parametrize("damage", ["singular", "nan"])
def test_affines_that_cannot_be_inverted_are_refused(tmp_path, damage):
    root = task(tmp_path, np.eye(4))
    for path in root.rglob("*.nii"):
        content = bytearray(path.read_bytes())
        content[280:296] = np.array([0 if damage == "singular" else np.nan] * 4, np.float32).tobytes()  # srow_x
        path.write_bytes(content)
    assert_refused(r"\d.nii: got the affine .*, wanted one that can be inverted", decathlon, root, task="T")
    assert_refused(r"\d.nii: got the affine .*, wanted one that can be inverted", decathlon, root, task="T", spacing=1)


@pytest.mark.parametrize("dtype", [np.complex64, [("R", "u1"), ("G", "u1"), ("B", "u1")]])
def test_voxels_that_are_not_real_numbers_are_refused(tmp_path, dtype):
    nib.save(nib.Nifti1Image(np.zeros((4, 4, 4), dtype), np.eye(4)), tmp_path / "a.nii.gz")
    for read in (read_image, read_mask, shape_of):
        assert_refused(r"a.nii.gz: got voxels of type .*, wanted one real number", read, tmp_path / "a.nii.gz")


def test_masks_without_foreground_or_with_grey_levels_are_refused(folder):
    for number in range(10):
        save(folder / "masks" / f"a{number}.png", np.zeros((8, 8), np.uint8))
    assert_refused(r"no mask of the train split has foreground", image_folder, folder, classes=2)
    for number in range(10):
        save(folder / "masks" / f"a{number}.png", np.arange(64, dtype=np.uint8).reshape(8, 8) + 64 * (number % 4))
    assert_refused(r"grey levels between two classes come from smoothing, so round them", image_folder, folder)
