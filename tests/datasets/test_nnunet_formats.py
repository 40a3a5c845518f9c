"""Formats of raw datasets of nnU-Net: NRRD, TIFF and colour pictures."""

import json

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused
from nnunet_files import nrrd_bytes, write_array, write_plans, write_raw
from PIL import Image

from bench.datasets import nnunet
from bench.datasets.nnunet_files import Case, read_case
from bench.datasets.nrrd import read_nrrd


@pytest.fixture
def root(tmp_path):
    return write_raw(tmp_path / "Dataset901_Test")


@pytest.fixture
def plans(tmp_path):
    return str(write_plans(tmp_path / "pre"))


@pytest.mark.parametrize("ending", [".nrrd", ".tif"])
def test_other_formats_hold_the_same_volumes(root, tmp_path, ending):
    other = write_raw(tmp_path / "Dataset902_Other", ending=ending)
    nifti, data = nnunet(str(root), n=[4, 2, 2]), nnunet(str(other), n=[4, 2, 2])
    assert torch.equal(nifti.test.targets, data.test.targets)
    tolerance = 1e-6 if ending == ".nrrd" else 0.1  # the TIFFs are rounded to bytes
    assert (nifti.test.images - data.test.images).abs().max() < tolerance


def test_colour_pictures_have_three_channels_in_one_file(tmp_path):
    folder, rng = tmp_path / "Dataset903_Colours", np.random.default_rng(0)
    for part in ("imagesTr", "labelsTr"):
        (folder / part).mkdir(parents=True)
    for number in range(10):
        mask = np.zeros((20, 24), np.uint8)
        mask[5:12, 6:14] = 1
        write_array(folder / "imagesTr" / f"c{number}_0000.png", rng.integers(0, 256, (20, 24, 3)).astype(np.uint8))
        write_array(folder / "labelsTr" / f"c{number}.png", mask)
    content = {"channel_names": dict(zip("012", "RGB", strict=True)), "labels": {"background": 0, "cell": 1}}
    (folder / "dataset.json").write_text(json.dumps(content | {"file_ending": ".png"}))
    data = nnunet(str(folder))
    assert data.train.images.shape == (6, 3, 20, 24)
    assert data.outputs == 1
    content["channel_names"] = {"0": "grey"}
    (folder / "dataset.json").write_text(json.dumps(content | {"file_ending": ".png"}))
    assert_refused(r"c\d_0000.png: got 3 channels, wanted 1 \(grey in dataset.json\)", nnunet, str(folder))


def test_the_spacing_of_a_tiff_is_in_the_json_beside_it(tmp_path):
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    paths = tmp_path / "a_0000.tif", tmp_path / "a.tif"
    for path in paths:
        write_array(path, array)
    image, mask, spacing = read_case(Case("a", paths[:1], paths[1]))
    assert np.array_equal(image[0], array)
    assert np.array_equal(mask, array)
    assert spacing == (1, 1, 1)
    (tmp_path / "a.json").write_text(json.dumps({"spacing": [3, 1, 0.5]}))
    assert read_case(Case("a", paths[:1], paths[1]))[2] == (3, 1, 0.5)
    Image.fromarray(array[0]).save(paths[0])
    assert_refused("a.tif: got 2x3x4, but a_0000.tif has 1x3x4", read_case, Case("a", paths[:1], paths[1]))


@pytest.mark.parametrize("encoding", ["raw", "gzip"])
def test_nrrd_files_hold_array_and_spacing(tmp_path, encoding):
    array = np.random.default_rng(0).normal(size=(2, 3, 4)).astype(np.float32)
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_bytes(array, (3.0, 1.0, 0.5), encoding))
    found, spacing = read_nrrd(path)
    assert np.array_equal(found, array)
    assert spacing == (3.0, 1.0, 0.5)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoding": "hex"}, "got encoding 'hex', wanted one of raw, gzip"),
        ({"type": "block"}, "got type 'block', wanted one of signed char"),
        ({"data_file": "a.raw"}, "got data in another file, wanted them in this one"),
        ({"sizes": "4 3 9"}, r"unreadable \(24 values for a size of 9x3x4"),
        ({"kinds": "vector domain domain"}, "of the kinds vector domain domain, wanted 2 or 3 spatial axes"),
        ({"space_directions": "(1,0,0) (0,nan,0) (0,0,1)"}, r"unreadable \(spacings of 1.0, nan, 1.0\)"),
        ({"sizes": ""}, r"unreadable \('sizes'\)"),
    ],
)
def test_nrrd_files_that_can_not_be_read_are_refused(tmp_path, fields, message):
    path = tmp_path / "a.nrrd"
    path.write_bytes(nrrd_bytes(np.zeros((2, 3, 4), np.uint8), (1, 1, 1), **{"encoding": "raw"} | fields))
    assert_refused(message, read_nrrd, path)


def test_damaged_nrrd_files_are_refused(tmp_path):
    path = tmp_path / "a.nrrd"
    whole = nrrd_bytes(np.ones((4, 4, 4), np.float32), (1, 1, 1))
    for damaged in (b"", b"PK", whole[:40], whole[:-10]):
        path.write_bytes(damaged)
        assert_refused(r"a.nrrd: unreadable", read_nrrd, path)
