import gzip
import struct

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused

from bench.datasets import fashion_mnist, mnist

N = {"train": 20, "t10k": 10}


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def write_files(folder, zipped=False):
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    arrays = {}
    for part, n in N.items():
        arrays[f"{part}-images-idx3-ubyte"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{part}-labels-idx1-ubyte"] = np.arange(n, dtype=np.uint8) % 10
    for name, array in arrays.items():
        if zipped:
            (folder / f"{name}.gz").write_bytes(gzip.compress(idx(array), compresslevel=1))
        else:
            (folder / name).write_bytes(idx(array))
    return arrays


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inner", [".", "MNIST/raw"])
def test_exact_pixels(tmp_path, zipped, inner):
    arrays = write_files(tmp_path / inner, zipped)
    data, again = mnist(tmp_path), mnist(tmp_path)
    assert [len(split) for split in data.splits.values()] == [16, 4, 10]
    assert data.val.names == again.val.names
    assert not set(data.val.names) & set(data.train.names)
    assert torch.equal(data.test.images[:, 0], torch.from_numpy(arrays["t10k-images-idx3-ubyte"]).float() / 255)
    assert data.test.targets.tolist() == list(range(10))


def test_number_of_samples_and_val_share(tmp_path):
    write_files(tmp_path)
    assert [len(split) for split in mnist(tmp_path, n=[8, 2, None]).splits.values()] == [8, 2, 10]
    assert len(mnist(tmp_path, val_share=0.5).val) == 10
    assert mnist(tmp_path, split_seed=1).val.names != mnist(tmp_path).val.names


@pytest.mark.parametrize("zipped", [False, True])
def test_truncated_files_are_refused(tmp_path, zipped):
    write_files(tmp_path, zipped)
    path = next(tmp_path.glob("train-images*"))
    path.write_bytes(path.read_bytes()[:-40])
    assert_refused(rf"{path.name}: (unreadable gzip|got 15640 values, wanted 15680 for shape)", mnist, tmp_path)


def test_bad_files(tmp_path):
    assert_refused(r"dataset.root: got nothing", mnist, None)
    assert_refused(r"got no train-images-idx3-ubyte or train-images-idx3-ubyte.gz; check dataset.root", mnist, tmp_path)
    write_files(tmp_path)
    labels = tmp_path / "train-labels-idx1-ubyte"
    labels.write_bytes(idx(np.full(20, 10, np.uint8)))
    assert_refused(r"got labels 10, wanted 0 to 9 \(MNIST has 10 classes\)", mnist, tmp_path)
    labels.write_bytes(idx(np.zeros(19, np.uint8)))
    assert_refused(r"got 20 train images and 19 labels", mnist, tmp_path)
    labels.write_bytes(b"hello, I am no IDX")
    assert_refused(r"train-labels-idx1-ubyte: got first bytes 68656c6c, wanted IDX of uint8, 1 axes", mnist, tmp_path)


def test_failed_download_is_one_line(tmp_path, monkeypatch):
    def offline(*args, **kwargs):
        raise RuntimeError("Error downloading\nno network")

    monkeypatch.setattr("torchvision.datasets.mnist.download_and_extract_archive", offline)
    assert_refused(r"MNIST: download failed \(.*no network", mnist, tmp_path, download=True)


@pytest.mark.parametrize("load", [mnist, fashion_mnist])
def test_real_files(shared_data, load):
    data = load(shared_data / load.__name__)
    assert [len(split) for split in data.splits.values()] == [48000, 12000, 10000]
    # label counts of the original training sets
    digits = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    counts = torch.bincount(torch.cat([data.train.targets, data.val.targets])).tolist()
    assert counts == (digits if load is mnist else [6000] * 10)
