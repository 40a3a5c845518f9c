"""The cache of samples: atomic entries, full disks, changed files, damage, and processes at once; where samples go."""

import errno
import json
import multiprocessing
import os
import resource
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
import torch
from dataset_helpers import assert_refused, save

from bench.datasets import class_folders, image_folder, workers
from bench.datasets import memory as of_datasets
from bench.datasets.npy import Writer
from bench.datasets.pictures import picture_shape
from bench.datasets.storage import Stored, loaded
from bench.datasets.workers import map_in_processes
from bench.errors import InputError


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def read(folder, cache, how="disk", **options):
    return image_folder(folder, size=None, cache=how, cache_folder=str(cache), **options)


def entry(cache):
    (found,) = (path for path in cache.iterdir() if path.is_dir())
    return found


def names(cache):
    return [path.name for path in cache.iterdir() if not path.name.endswith((".lock", ".TAG"))]


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EDQUOT, "Quota")])
def test_a_full_disk_leaves_nothing_and_says_what_to_do(folder, cache, monkeypatch, error):
    def write(*_):
        raise error

    monkeypatch.setattr(Writer, "write", write)
    message = r"dataset.cache_folder: .*cache has too little space for 0.00 GB of samples; make room, or set dataset"
    assert_refused(message, read, folder, cache)
    assert names(cache) == []
    monkeypatch.undo()
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 10, 100))
    assert_refused(message, read, folder, cache)
    assert names(cache) == []


def test_writing_that_is_interrupted_leaves_nothing(folder, cache, monkeypatch):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(Writer, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        read(folder, cache)
    assert names(cache) == []


def test_what_a_killed_process_left_is_written_again(folder, cache):
    wanted = read(folder, cache, "memory").train.images
    part = entry_name(folder, cache)
    (cache / part).mkdir(parents=True)
    (cache / part / "images.npy").write_bytes(b"half")
    assert torch.equal(loaded(read(folder, cache).train.images), wanted)
    assert names(cache) == [part.removesuffix(".part")]


def entry_name(folder, cache):
    read(folder, cache)
    name = entry(cache).name
    shutil.rmtree(cache)
    return f"{name}.part"


def test_a_file_that_changes_while_it_is_read_is_refused(folder, cache, monkeypatch):
    write = Writer.write

    def change(self, row, values):
        write(self, row, values)
        os.utime(folder / "masks" / "a0.png", ns=(5, 5))

    monkeypatch.setattr(Writer, "write", change)
    assert_refused("images: files changed while they were read; start again", read, folder, cache)
    assert names(cache) == []


@pytest.mark.parametrize("file", ["images.npy", "masks.npy", "about.json"])
def test_damage_is_noticed_and_the_folder_is_named(folder, cache, file):
    read(folder, cache)
    path = entry(cache) / file
    content = path.read_bytes()
    for damaged in (content[:-1], b"", None):
        path.write_bytes(damaged) if damaged is not None else path.unlink()
        assert_refused(rf"{entry(cache)}: the cache is damaged \(.*\); delete this folder and", read, folder, cache)
    path.write_bytes(b"x" * len(content))  # of the same size
    assert_refused(r"the cache is damaged \(.*\); delete (.*cache/|this folder)", read, folder, cache)


def test_samples_that_are_lost_during_a_run_are_named(folder, cache):
    images = read(folder, cache).train.images
    whole = (path := entry(cache) / "images.npy").read_bytes()
    path.write_bytes(whole[:200])
    with pytest.raises(InputError, match=r"images.npy: the cache is damaged \(it is too short\); delete"):
        images[:]
    shutil.rmtree(cache)
    with pytest.raises(InputError, match=r"images.npy: the cache is damaged \(.*No such file.*\); delete"):
        images[0]


def test_a_folder_that_is_not_writable_is_named(folder, tmp_path):
    (tmp_path / "file").write_text("")
    assert_refused(r"dataset.cache_folder: got .*file/c, which can't be written", read, folder, tmp_path / "file" / "c")


def test_two_processes_at_once_write_one_entry(folder, cache, monkeypatch):
    write = Writer.write

    def slowly(self, row, values):
        time.sleep(0.02)
        with (folder / "written").open("a") as file:
            file.write("row\n")
        write(self, row, values)

    monkeypatch.setattr(Writer, "write", slowly)
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=read, args=(folder, cache)) for _ in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0, 0]
    assert (folder / "written").read_text().count("row") == 20  # an image and a mask of ten pairs, once
    assert len(names(cache)) == 1


def test_auto_takes_the_disk_above_a_quarter_of_the_available_memory(folder, cache, monkeypatch):
    needed = 10 * 64 * (4 + 8)
    for available, on_disk in ((4 * needed, False), (4 * needed - 1, True)):
        monkeypatch.setattr(of_datasets, "available_memory", lambda available=available: available)
        assert isinstance(read(folder, cache, "auto", split_seed=1).train.images, Stored) is on_disk
        assert cache.exists() is on_disk
    message = "10 images of 1 channels and 8x8: got data that need .* GB of memory, wanted .*; lower dataset.size"
    monkeypatch.setattr(of_datasets, "available_memory", lambda: 2 * needed - 1)
    assert_refused(message, read, folder, cache, "memory")
    monkeypatch.setattr(of_datasets, "available_memory", lambda: 64)
    assert_refused("a0.png of 1x8x8: got data that need", read, folder, cache / "other", "auto")
    assert_refused("dataset.cache: got 'ram', wanted one of", read, folder, cache / "other", "ram")


def test_available_memory_respects_the_limits_of_the_process():
    code = (
        "import resource; from bench.datasets.memory import available_memory;"
        "used = [int(n) * resource.getpagesize() for n in open('/proc/self/statm').read().split()];"
        "kind, at = getattr(resource, NAME), INDEX; resource.setrlimit(kind, (used[at] + 2**28, -1));"
        "print(available_memory())"
    )
    for name, at in (("RLIMIT_AS", 0), ("RLIMIT_DATA", 5)):
        code_of = code.replace("NAME", repr(name)).replace("INDEX", str(at))
        done = subprocess.run([sys.executable, "-c", code_of], capture_output=True, text=True, check=True)
        assert 0 < int(done.stdout) <= 2**28
    assert resource.getrlimit(resource.RLIMIT_AS)[0] == resource.RLIM_INFINITY


@pytest.fixture
def eager(monkeypatch):
    """Fork processes after the first item."""
    monkeypatch.setattr(workers, "ALONE", 0.0)
    monkeypatch.setattr(workers, "WORTH", 0.0)
    monkeypatch.setattr(workers, "CHUNK", 1e-9)


def test_results_of_processes_come_in_order_and_draw_no_random_number(eager):
    drawn = torch.get_rng_state()
    found = list(map_in_processes(lambda number: (number**2, os.getpid()), range(20), "count", "numbers", processes=2))
    assert [square for square, _ in found] == [number**2 for number in range(20)]
    assert {pid for _, pid in found} > {os.getpid()}
    assert torch.equal(torch.get_rng_state(), drawn)
    assert list(map_in_processes(str, [], "count", "numbers")) == []


def test_an_error_in_a_process_is_raised_as_it_is(eager):
    def refuse(number):
        if number == 7:
            raise InputError("7: got seven")
        return number

    with pytest.raises(InputError, match=r"^7: got seven$"):
        list(map_in_processes(refuse, range(20), "count", "numbers", processes=2))


@pytest.mark.parametrize("how", ["memory", "disk"])
def test_processes_read_the_same_samples(folder, cache, eager, monkeypatch, how):
    monkeypatch.setattr(workers, "_processes", lambda: 2)
    found = read(folder, cache, how, intensity="zscore").split("all").loaded()
    monkeypatch.setattr(workers, "_processes", lambda: 1)
    alone = read(folder, cache / "other", how, intensity="zscore").split("all").loaded()
    assert torch.equal(found.images, alone.images)
    assert torch.equal(found.targets, alone.targets)


def test_headers_of_png_are_read_as_pillow_reads_them(tmp_path):
    rng = np.random.default_rng(0)
    from PIL import Image

    arrays = {"L": (3, 5), "RGB": (3, 5, 3), "RGBA": (3, 5, 4), "LA": (3, 5, 2)}
    for mode, shape in arrays.items():
        image = Image.fromarray(rng.integers(0, 256, shape, dtype=np.uint8), mode)
        image.save(tmp_path / f"{mode}.png")
        image.save(tmp_path / f"{mode}.bmp") if mode in ("L", "RGB") else None
    Image.new("P", (5, 3)).save(tmp_path / "P.png")
    exif = Image.Exif()
    exif[0x0112] = 6  # rotated
    Image.new("L", (5, 3)).save(tmp_path / "rotated.png", exif=exif)
    found = {path.stem: picture_shape(path) for path in tmp_path.glob("*.png")}
    wanted = {"L": (1, 3, 5), "LA": (1, 3, 5), "RGB": (3, 3, 5), "RGBA": (3, 3, 5), "P": (3, 3, 5)}
    assert found == wanted | {"rotated": (1, 5, 3)}


def test_about_says_what_the_entry_has(folder, cache):
    save(folder / "masks" / "a0.png", np.full((8, 8), 255, np.uint8))
    read(folder, cache)
    about = json.loads((entry(cache) / "about.json").read_text())
    assert about["files"] == {name: (entry(cache) / name).stat().st_size for name in ("images.npy", "masks.npy")}
    values = [[255], *[[0, 255]] * 9]
    assert about["note"] == {"divisor": 255, "values": values, "kept": values}


def test_a_cache_inside_the_dataset_is_no_class(tmp_path):
    for name in ("benign", "malignant"):
        for number in range(8):
            save(tmp_path / name / f"{number}.png", np.full((8, 8), 16 * number, np.uint8))
    for _ in range(2):
        data = class_folders(str(tmp_path), size=8, cache="disk", cache_folder=str(tmp_path / "cache"))
        assert data.classes == ("benign", "malignant")
