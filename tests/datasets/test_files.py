import nibabel
import numpy as np
import pytest
from dataset_helpers import save
from PIL import Image

from bench.datasets.files import files_by_stem, read_image, read_mask
from bench.errors import InputError

GREY = np.arange(48, dtype=np.uint8).reshape(6, 8)
RGB = np.stack([GREY, GREY + 50, GREY + 100], axis=-1)
RGBA = np.concatenate([RGB, np.full((6, 8, 1), 7, np.uint8)], axis=-1)
DEEP = GREY.astype(np.uint16) * 1000


@pytest.mark.parametrize(
    ("name", "saved", "read"),
    [
        ("grey.png", GREY, GREY[None]),
        ("rgb.png", RGB, RGB.transpose(2, 0, 1)),
        ("rgba.png", RGBA, RGB.transpose(2, 0, 1)),
        ("bit.png", GREY > 20, (GREY > 20)[None]),
        ("deep.png", DEEP, DEEP[None]),
        ("grey.tif", GREY, GREY[None]),
        ("deep.tiff", DEEP, DEEP[None]),
        ("float.tif", GREY.astype(np.float32), GREY.astype(np.float32)[None]),
        ("rgb.tif", RGB, RGB.transpose(2, 0, 1)),
    ],
)
def test_pictures_are_read_exactly(tmp_path, name, saved, read):
    save(tmp_path / name, saved)
    array = read_image(tmp_path / name)
    assert array.dtype == read.dtype
    assert np.array_equal(array, read)


def test_jpeg_is_read_approximately(tmp_path):
    Image.fromarray(GREY).save(tmp_path / "a.jpg", quality=95)
    assert abs(read_image(tmp_path / "a.jpg").astype(int) - GREY).max() <= 3


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize(("shape", "read"), [((6, 8), (1, 6, 8)), ((6, 8, 1), (1, 6, 8)), ((4, 3, 4), (1, 4, 3, 4))])
def test_nifti_slice_and_volume(tmp_path, suffix, shape, read):
    array = np.arange(48, dtype=np.int16).reshape(-1)[: np.prod(shape)].reshape(shape)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / f"a{suffix}")
    got = read_image(tmp_path / f"a{suffix}")
    assert got.dtype == np.int16
    assert np.array_equal(got, array.reshape(read))
    assert read_mask(tmp_path / f"a{suffix}").shape == read[1:]


def test_nifti_of_four_axes_has_channels_last(tmp_path):
    array = np.arange(48, dtype=np.uint8).reshape(2, 3, 4, 2)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "a.nii.gz")
    assert np.array_equal(read_image(tmp_path / "a.nii.gz")[1], array[..., 1])


def test_masks_with_a_palette_in_colour_and_in_several_files(tmp_path):
    palette = Image.fromarray(GREY % 3, mode="P")
    palette.putpalette([0, 0, 0, 255, 0, 0, 0, 255, 0])
    palette.save(tmp_path / "palette.png")
    assert np.array_equal(read_mask(tmp_path / "palette.png"), GREY % 3)
    save(tmp_path / "same.png", np.stack([GREY % 2] * 3, axis=-1))
    assert np.array_equal(read_mask(tmp_path / "same.png"), GREY % 2)
    save(tmp_path / "colour.png", RGB)
    with pytest.raises(InputError, match=r"colour.png: got a mask in colours, wanted one channel"):
        read_mask(tmp_path / "colour.png")
    save(tmp_path / "one.png", np.uint8(GREY < 5) * 255)
    save(tmp_path / "two.png", np.uint8(GREY > 40) * 255)
    assert np.array_equal(read_mask((tmp_path / "one.png", tmp_path / "two.png")), (GREY < 5) | (GREY > 40))


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.tif", "a.nii", "a.nii.gz"])
@pytest.mark.parametrize("keep", [0, 30, 0.6])
def test_truncated_file_is_named(tmp_path, name, keep):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64), np.uint8)
    if ".nii" in name:
        nibabel.save(nibabel.Nifti1Image(noise, np.eye(4)), tmp_path / name)
    else:
        save(tmp_path / name, noise)
    content = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content[: int(keep * len(content)) if keep < 1 else keep])
    with pytest.raises(InputError, match=rf"{name}: unreadable \(.*; replace or remove it"):
        read_image(tmp_path / name)


def test_a_file_that_is_no_image_and_a_file_of_several_pages_are_refused(tmp_path):
    (tmp_path / "a.png").write_text("hello")
    with pytest.raises(InputError, match=r"a.png: unreadable"):
        read_mask(tmp_path / "a.png")
    page = Image.fromarray(GREY)
    page.save(tmp_path / "b.gif", save_all=True, append_images=[Image.fromarray(GREY + 1), page])
    with pytest.raises(InputError, match=r"b.gif: got 3 pages, wanted one"):
        read_image(tmp_path / "b.gif")


def test_files_are_found_by_their_stem(tmp_path):
    for name in ("b.nii.gz", "a.b.PNG", ".hidden.png", "notes.txt"):
        (tmp_path / name).touch()
    assert {stem: path.name for stem, path in files_by_stem(tmp_path).items()} == {"a.b": "a.b.PNG", "b": "b.nii.gz"}
    (tmp_path / "b.png").touch()
    with pytest.raises(InputError, match=r"b.png: got a second file of stem b \(b.nii.gz\)"):
        files_by_stem(tmp_path)
