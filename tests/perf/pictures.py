"""Time to read a folder of pictures, against a plain loop of Pillow in two processes."""

import argparse
import multiprocessing
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from bench.datasets.load import load_images

OPTIONS = {"size": None, "crop": None, "channels": "auto", "intensity": "unit", "title": "pictures"}


def draw(folder: Path, count: int, side: int) -> list[Path]:
    """Draw smooth pictures with noise."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side]
    paths = [folder / f"{number:05d}.png" for number in range(count)]
    for number, path in enumerate(paths):
        image = 127 + 60 * np.sin(x / 7 + number) + 40 * np.cos(y / 5 + number) + rng.normal(0, 8, x.shape)
        Image.fromarray(image.clip(0, 255).astype(np.uint8)).save(path)
    return paths


def plain(paths: list[Path]) -> np.ndarray:
    """Read pictures by Pillow alone."""
    return np.stack([np.asarray(Image.open(path)) for path in paths])


def seconds_of_plain(paths: list[Path]) -> float:
    """Read one half of the pictures in each of two processes."""
    started = time.perf_counter()
    halves = paths[::2], paths[1::2]
    processes = [multiprocessing.get_context("fork").Process(target=plain, args=(half,)) for half in halves]
    for process in processes:
        process.start()
    for process in processes:
        process.join()
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=5000)
    parser.add_argument("--sides", type=int, nargs="+", default=[64, 256])
    asked = parser.parse_args()
    for side in asked.sides:
        with tempfile.TemporaryDirectory() as scratch:
            paths = draw(Path(scratch), asked.count, side)
            wanted = seconds_of_plain(paths)
            print(f"{asked.count} pictures of {side}x{side}: a plain loop in two processes {wanted:.2f} s")
            for where, cache in (("in memory", "memory"), ("on disk", "disk"), ("on disk, again", "disk")):
                started = time.perf_counter()
                load_images(paths, cache=cache, cache_folder=f"{scratch}/cache", **OPTIONS)
                spent = time.perf_counter() - started
                print(f"  {where:15}{spent:8.2f} s   ratio {wanted / spent:.2f}")


if __name__ == "__main__":
    main()
