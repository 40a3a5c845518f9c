"""Data that do not fit into memory are refused before they are loaded; running out of memory gives one line."""

import gzip
import zipfile

import nibabel as nib
import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused
from hydra.errors import InstantiationException
from PIL import Image

from bench.datasets import image_folder, medmnist, phantoms
from bench.datasets import memory as of_datasets
from bench.datasets.files import read_image
from bench.datasets.mnist import read_idx
from bench.errors import InputError, explain

NEEDS = r"got data that need [\d,.]+ GB of memory, wanted at most the available [\d,.]+ GB; "


def test_messages_of_phantoms_and_folders_name_the_setting_to_lower(folder):
    fix = "lower dataset.n or dataset.size"
    assert_refused(f"dataset: 1000002 phantoms of 1x512x512: {NEEDS}{fix}", phantoms, n=[10**6, 1, 1], size=512)
    assert_refused(f"dataset: 3 phantoms of 1x1000000x1000000: {NEEDS}{fix}", phantoms, n=[1, 1, 1], size=10**6)
    message = f"dataset: 10 images of 1 channels and 100000x100000: {NEEDS}lower dataset.size"
    assert_refused(message, image_folder, folder, size=100_000)


def test_pictures_with_too_many_pixels_are_refused(tmp_path):
    Image.new("1", (40_000, 25_000)).save(tmp_path / "a.png")
    assert_refused(r"a.png: got too many pixels .*; shrink the picture", read_image, tmp_path / "a.png")


def test_headers_with_terabytes_of_values_are_refused(tmp_path):
    header = nib.Nifti1Header()
    header.set_data_shape((20_000, 20_000, 20_000))
    (tmp_path / "a.nii.gz").write_bytes(gzip.compress(header.binaryblock + bytes(100)))
    assert_refused(rf"a.nii.gz of 20000x20000x20000: {NEEDS}", read_image, tmp_path / "a.nii.gz")

    idx = bytes([0, 0, 8, 3]) + np.array([2**31, 2**10, 2**10], ">u4").tobytes()
    for name, content in (("idx", idx), ("idx.gz", gzip.compress(idx))):
        (tmp_path / name).write_bytes(content)
        assert_refused(rf"{name} of 2147483648x1024x1024: {NEEDS}", read_idx, tmp_path / name, dims=3)

    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        for part in ("train", "val", "test"):
            for what in ("images", "labels"):
                with archive.open(f"{part}_{what}.npy", "w") as member:
                    claim = {"descr": "|u1", "fortran_order": False, "shape": (10**9, 10**3)}
                    np.lib.format.write_array_header_1_0(member, claim)
    assert_refused(r"a.npz: unreadable \(train_images.npy: it has 0 bytes of values", medmnist, file=tmp_path / "a.npz")


def test_a_file_with_more_values_than_its_header_states_is_refused(tmp_path):
    idx = bytes([0, 0, 8, 1]) + np.array([4], ">u4").tobytes() + bytes(10**6)
    (tmp_path / "a.gz").write_bytes(gzip.compress(idx))
    assert_refused(r"a.gz: got more values, wanted 4", read_idx, tmp_path / "a.gz", dims=1)


def limits(folder, **values):
    folder.mkdir(parents=True)
    for name, value in values.items():
        (folder / name.replace("__", ".")).write_text(f"{value}\n")


def test_available_memory_respects_the_limits_of_cgroups(tmp_path, monkeypatch):
    of_version_2 = {"memory__max": 3000, "memory__current": 2500, "memory__stat": "anon 1\ninactive_file 400"}
    of_version_1 = {
        "memory__limit_in_bytes": 800,
        "memory__usage_in_bytes": 500,
        "memory__stat": "total_inactive_file 0",
    }
    limits(tmp_path / "two", **of_version_2)
    limits(tmp_path / "one", **of_version_1)
    limits(tmp_path / "none", **(of_version_2 | {"memory__max": "max"}))
    monkeypatch.setattr(of_datasets, "_cgroups", lambda: [tmp_path / name for name in ("two", "none", "away")])
    assert of_datasets.available_memory() == 900
    monkeypatch.setattr(of_datasets, "_cgroups", lambda: [tmp_path / name for name in ("two", "one")])
    assert of_datasets.available_memory() == 300
    of_datasets.check_memory(300, "what", "fix")
    with pytest.raises(InputError, match="what: got data that need"):
        of_datasets.check_memory(301, "what", "fix")


def with_cause(error, cause=None):
    error.__cause__ = cause
    return error


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory"),
        torch.OutOfMemoryError("the device is full"),
        RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes"),
        OSError(12, "Cannot allocate memory"),
        with_cause(InstantiationException("Error in call to target"), MemoryError()),
        with_cause(InputError("model: refuses images"), RuntimeError("DefaultCPUAllocator: can't allocate memory")),
        with_cause(ValueError("wrapped"), with_cause(KeyError("twice"), MemoryError())),
    ],
)
def test_running_out_of_memory_gives_one_line_whatever_exception_wraps_it(error):
    code, line = explain(error)
    assert code == 1
    assert line.startswith("out of memory: lower train.batch_size, probe.batch_size or probe.budget_gb, or take fewer")
    assert explain(InputError("memory: got 1, wanted 2"))[0] == 2
