"""Samples on disk: indices and views, and equality with samples in memory."""

import os

import numpy as np
import pytest
import torch
from dataset_helpers import save
from nnunet_files import write_raw
from small_data import write_data

from bench.datasets import decathlon, dsb2018, image_folder, nnunet, storage, table
from bench.datasets.npy import Writer
from bench.datasets.splits import Split
from bench.datasets.storage import Encoding, InMemory, OnDisk, Stored, join, loaded

RNG = np.random.default_rng(0)
FLOATS = Encoding(torch.float32, 255)


@pytest.fixture
def stored(tmp_path):
    """Ten samples of 2x3 uint8 in a file, and the tensor that they are."""
    values = RNG.integers(0, 256, (10, 2, 3), dtype=np.uint8)
    np.save(tmp_path / "a.npy", values)
    return OnDisk(tmp_path / "a.npy", FLOATS), torch.from_numpy(values).float() / 255


@pytest.mark.parametrize(
    "index",
    [0, -1, 7, slice(2, 5), slice(None), slice(8, 20), slice(None, None, 3), [3, 3, 0], [], torch.tensor([9, -10, 2]),
     np.array([1, 4]), torch.arange(10) > 6, torch.tensor(4)],
    ids=str,
)  # fmt: skip
def test_an_index_gives_what_it_gives_of_the_tensor(stored, index):
    on_disk, tensor = stored
    wanted = tensor[torch.as_tensor(index)] if isinstance(index, list | np.ndarray) and len(index) else tensor[index]
    for samples in (on_disk, InMemory((tensor * 255).numpy().astype(np.uint8), FLOATS)):
        assert torch.equal(samples[index], wanted)


def test_views_of_samples_on_disk_read_the_same_rows(stored):
    on_disk, tensor = stored
    rows = np.array([4, 1, 9, 1])
    assert torch.equal(on_disk.take(rows)[:], tensor[rows])
    assert torch.equal(on_disk.take(rows).take(np.array([3, 0]))[:], tensor[[1, 4]])
    both = join([on_disk, tensor[:3]])
    assert isinstance(both, Stored)
    assert torch.equal(both[[11, 0, 10, 9]], torch.cat([tensor, tensor[:3]])[[11, 0, 10, 9]])
    assert torch.equal(torch.cat([*on_disk.split(4)]), tensor)
    assert torch.equal(torch.stack([*on_disk]), tensor)
    assert (len(on_disk), on_disk.ndim, on_disk.shape, on_disk.dtype) == (10, 3, (10, 2, 3), torch.float32)


def test_splits_of_samples_on_disk_read_nothing_before_they_are_loaded(stored, monkeypatch):
    on_disk, tensor = stored
    monkeypatch.setattr(OnDisk, "read", lambda *_: pytest.fail("it was read"))
    split = Split(on_disk, torch.arange(10), np.arange(10), tuple("abcdefghij"))
    both = Split.join(split.take([2, 1]), split.take([0]))
    monkeypatch.undo()
    assert torch.equal(both.loaded().images, tensor[[2, 1, 0]])
    assert both.names == ("c", "b", "a")


def test_rows_are_written_in_any_order_and_read_by_numpy(tmp_path):
    values = RNG.normal(size=(4, 3, 2)).astype(np.float32)
    writer = Writer(tmp_path / "a.npy", values.shape, values.dtype)
    for row in (2, 0, 3, 1):
        writer.write(row, values[row].T.copy().T)  # of any layout
    assert np.array_equal(np.load(tmp_path / "a.npy", allow_pickle=False), values)


def assert_same(first, second):
    """Assert that two datasets are equal to the last bit, and that the second is on disk."""
    for part in ("train", "val", "test"):
        one, other = first.splits[part], second.splits[part]
        assert isinstance(one.images, torch.Tensor)
        assert isinstance(other.images, Stored)
        assert one.names == other.names
        assert torch.equal(one.images, loaded(other.images))
        assert torch.equal(one.targets, loaded(other.targets))
        if first.volumes:
            pairs = [(getattr(data.volumes[part], side)) for side in ("images", "targets") for data in (first, second)]
            for a, b in (*zip(*pairs[:2], strict=True), *zip(*pairs[2:], strict=True)):
                assert torch.equal(a, b)
                assert a.dtype == b.dtype
    assert first.card() == second.card()


@pytest.mark.parametrize(
    "options",
    [{}, {"size": None}, {"size": None, "crop": 5}, {"intensity": "zscore"}, {"size": 6, "channels": 3}],
    ids=str,
)
def test_a_folder_is_the_same_in_memory_and_on_disk(folder, tmp_path, options):
    save(folder / "images" / "a3.png", RNG.integers(0, 256, (8, 8), dtype=np.uint8))
    places = {"cache_folder": str(tmp_path / "cache"), "index": None} | options
    in_memory = image_folder(folder, cache="memory", **places)
    for _ in range(2):  # written, and found again
        assert_same(in_memory, image_folder(folder, cache="disk", **places))


def test_images_of_several_types_become_floats(folder, tmp_path):
    for cache in ("memory", "disk"):
        save(folder / "images" / "a3.png", RNG.integers(0, 2**16, (8, 8)).astype(np.uint16))
        data = image_folder(folder, size=None, cache=cache, cache_folder=tmp_path / "cache", split_seed=1)
        images = loaded(data.split("all").images)
        greys = {name: float(image.mean()) for name, image in zip(data.split("all").names, images, strict=True)}
        assert greys["a7"] == pytest.approx(70 / 255)
        assert 0.2 < greys["a3"] < 0.8
    assert data.train.images.whole.stored == np.float32


@pytest.mark.parametrize("configuration", ["2d", "3d_fullres"])
def test_cases_of_nnunet_are_the_same_in_memory_and_on_disk(tmp_path, configuration):
    root = write_raw(tmp_path / "Dataset901_Test", 6)
    options = {"configuration": configuration, "cache_folder": str(tmp_path / "cache")}
    options["patch"] = [16] * int(configuration[0])
    in_memory = nnunet(str(root), cache="memory", **options)
    for _ in range(2):
        assert_same(in_memory, nnunet(str(root), cache="disk", **options))


@pytest.mark.parametrize("name", ["dsb2018", "decathlon", "table"])
def test_other_sources_are_the_same_in_memory_and_on_disk(tmp_path, name):
    root = tmp_path / "data"
    root.mkdir()
    write_data(name, root)
    load = {"dsb2018": dsb2018, "decathlon": decathlon, "table": table}[name]
    options = {"task": next(root.iterdir()).name} if name == "decathlon" else {"size": 16}
    places = {"cache_folder": str(tmp_path / "cache")} | options
    in_memory = load(root, cache="memory", **places)
    for _ in range(2):
        assert_same(in_memory, load(root, cache="disk", **places))


def test_the_key_has_files_and_preprocessing(folder, tmp_path):
    def entries(**options):
        image_folder(folder, cache="disk", cache_folder=tmp_path / "cache", **options)
        return {path.name for path in (tmp_path / "cache").iterdir() if path.is_dir()}

    one = entries(size=8)
    assert entries(size=8, val_share=0.5) == one
    two = entries(size=4)
    assert len(two) == 2
    save(folder / "images" / "a3.png", np.full((8, 8), 99, np.uint8))
    os.utime(folder / "images" / "a3.png", ns=(1, 1))
    assert len(entries(size=4)) == 3
    whole = image_folder(folder, size=None, cache="disk", cache_folder=tmp_path / "cache").split("all")
    assert float(whole.images[whole.names.index("a3")].max()) == np.float32(99) / np.float32(255)


def test_many_pictures_in_memory_stay_whole_numbers_of_the_same_values(tmp_path, monkeypatch):
    for number in range(10):
        save(tmp_path / "images" / f"{number}.png", RNG.integers(0, 256, (12, 9), dtype=np.uint8))
        save(tmp_path / "masks" / f"{number}.png", 255 * (RNG.random((12, 9)) > 0.5).astype(np.uint8))
    few = image_folder(str(tmp_path), size=None, cache="memory")
    monkeypatch.setattr(storage, "LARGE", 0)
    many = image_folder(str(tmp_path), size=None, cache="memory")
    assert isinstance(few.train.images, torch.Tensor)
    assert many.split("train").images.whole.array.dtype == np.uint8
    assert_same(few, many)
