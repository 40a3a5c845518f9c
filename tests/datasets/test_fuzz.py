"""Readers of every format return an array for a mutated file, or refuse it with one line that names the file."""

import gzip
import json

import nibabel as nib
import numpy as np
import pytest
import tifffile
from dataset_helpers import assert_refused, png16, save, save_dicom, save_series, write_index
from nnunet_files import nrrd_bytes
from PIL import Image

from bench.datasets.decathlon import numbered_classes, read_description
from bench.datasets.files import read_image, read_mask, shape_of
from bench.datasets.index import read_index
from bench.datasets.medmnist import read_npz
from bench.datasets.mnist import read_idx
from bench.errors import InputError

MUTANTS = 60  # number for each file
GREY = np.arange(12 * 10, dtype=np.uint8).reshape(12, 10)


def mutants(content: bytes, rng: np.random.Generator):
    """Yield the content with bytes replaced (mostly in the header), removed, repeated or set to one value."""
    for number in range(MUTANTS):
        changed = bytearray(content)
        reach = min(len(content), 400) if number % 2 else len(content)
        for position in rng.integers(reach, size=rng.integers(1, 9)):
            changed[position] = rng.choice([0, 1, 127, 128, 255, rng.integers(256)])
        start, stop = sorted(rng.integers(len(content), size=2))
        match number % 5:
            case 0:
                del changed[start:stop]
            case 1:
                changed[start:start] = changed[start:stop]
            case 2:
                changed[start:stop] = bytes([rng.choice([0, 255])]) * (stop - start)
        yield bytes(changed)


def assert_read_or_refused(path, content, *readers):
    rng = np.random.default_rng(0)
    messages = []
    for mutant in mutants(content, rng):
        path.write_bytes(mutant)
        for read in readers:
            try:
                read(path)
            except InputError as error:
                messages.append(str(error))
    assert messages
    assert all(str(path) in message and "\n" not in message for message in messages)


@pytest.mark.parametrize(
    "name",
    ["grey.png", "colour.png", "palette.png", "deep.png", "a.jpg", "a.tif", "lzw.tif", "a.bmp", "a.gif", "a.webp"],
)
def test_pictures(tmp_path, name):
    path = tmp_path / name
    match name:
        case "deep.png":
            png16(path, np.dstack([GREY.astype(np.uint16) * 300] * 3))
        case "colour.png" | "a.webp":
            save(path, np.dstack([GREY, GREY + 9, GREY + 99]))
        case "palette.png":
            Image.fromarray(GREY).convert("P").save(path)
        case "lzw.tif":
            Image.fromarray(GREY).save(path, compression="tiff_lzw")
        case _:
            save(path, GREY)
    assert_read_or_refused(path, path.read_bytes(), read_image, read_mask, shape_of)


@pytest.mark.parametrize("name", ["stack.tif", "a.ome.tif", "a.npy", "a.npz", "a.nrrd", "a.dcm"])
def test_stacks_and_slices(tmp_path, name, caplog):
    path, volume = tmp_path / name, GREY.reshape(4, 5, 6)
    match name:
        case "stack.tif" | "a.ome.tif":
            tifffile.imwrite(path, volume, photometric="minisblack", metadata={"axes": "ZYX"})
        case "a.npy":
            np.save(path, volume)
        case "a.npz":
            np.savez_compressed(path, volume)
        case "a.nrrd":
            path.write_bytes(nrrd_bytes(volume, (1, 1, 2)))
        case "a.dcm":
            save_dicom(path, GREY)
    assert_read_or_refused(path, path.read_bytes(), read_image, read_mask, shape_of)


def test_series(tmp_path):
    save_series(tmp_path / "a", GREY.reshape(4, 5, 6), np.eye(4))
    path = tmp_path / "a" / "001.dcm"
    content = path.read_bytes()

    def read(_):
        try:
            read_image(tmp_path / "a")
        except InputError as error:
            raise InputError(str(error).replace(str(tmp_path / "a") + ":", str(path))) from error

    assert_read_or_refused(path, content, read)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path, suffix):
    path = tmp_path / f"a{suffix}"
    nib.save(nib.Nifti1Image(GREY.reshape(6, 5, 4).astype(np.float32), np.eye(4)), path)
    assert_read_or_refused(path, path.read_bytes(), read_image, read_mask, shape_of)


def test_headers_of_zipped_nifti(tmp_path):
    plain, path = tmp_path / "a.nii", tmp_path / "a.nii.gz"
    nib.save(nib.Nifti1Image(GREY.reshape(6, 5, 4), np.eye(4)), plain)

    def read(_):
        path.write_bytes(gzip.compress(plain.read_bytes()))
        try:
            read_image(path)
        except InputError as error:
            raise InputError(str(error).replace(str(path), str(plain))) from error

    assert_read_or_refused(plain, plain.read_bytes(), read)


def test_npz(tmp_path):
    path, arrays = tmp_path / "a.npz", {}
    for part in ("train", "val", "test"):
        arrays |= {f"{part}_images": np.zeros((4, 5, 5), np.uint8), f"{part}_labels": np.zeros((4, 1), np.uint8)}
    np.savez(path, **arrays)
    assert_read_or_refused(path, path.read_bytes(), read_npz)
    np.savez_compressed(path, **arrays)
    assert_read_or_refused(path, path.read_bytes(), read_npz)


@pytest.mark.parametrize("zipped", [False, True])
def test_idx(tmp_path, zipped):
    content = bytes([0, 0, 8, 3]) + np.array([3, 5, 5], ">u4").tobytes() + GREY.tobytes()[:75]
    content = gzip.compress(content) if zipped else content
    assert_read_or_refused(tmp_path / "a.gz", content, lambda path: read_idx(path, dims=3))


def test_csv(tmp_path):
    write_index(tmp_path, [{"stem": f"a{i}", "split": part} for i, part in enumerate(("train", "val", "test"))])
    path = tmp_path / "index.csv"
    stems = ["a0", "a1", "a2"]
    assert_read_or_refused(path, path.read_bytes(), lambda _: read_index(tmp_path, "auto", stems, "split", None))


def test_descriptions(tmp_path):
    path = tmp_path / "dataset.json"
    listed = [{"image": f"images/{i}.nii.gz", "label": f"labels/{i}.nii.gz"} for i in range(3)]
    content = json.dumps({"labels": {"0": "background", "1": "ball"}, "training": listed}).encode()
    assert_read_or_refused(path, content, lambda path: numbered_classes(read_description(path)["labels"], path))
    untyped = b'{"labels": {"0": "a", "1": "b"}, "training": [{"image": 1, "label": 2}]}'
    for odd in (b"[" * 100_000, b"null", untyped, b"\xff\xfe"):
        path.write_bytes(odd)
        assert_refused(r"dataset.json: ", read_description, path)
    assert_refused(r"got labels .*, wanted 0, 1 and so on", numbered_classes, {"a": [1, 2], "b": None}, path)
