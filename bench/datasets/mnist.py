"""MNIST and Fashion-MNIST from their IDX files."""

from __future__ import annotations

import gzip
import struct
import zlib
from collections.abc import Sequence
from io import BufferedIOBase
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, classification, existing_folder, reason, with_val
from bench.datasets.data import Data
from bench.datasets.memory import RAW_AND_SAMPLES, check_memory
from bench.errors import InputError

DIGITS = tuple("0123456789")
CLOTHES = ("T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")
FILES = {"train": "train", "test": "t10k"}


def mnist(
    root: str,
    download: bool = False,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Load handwritten digits, (1, 28, 28) in [0, 1], in ten classes.

    By default there are 48,000 training, 12,000 validation and 10,000 test images.

    Args:
        root: Folder of the four IDX files, gzipped or not, or the folder that torchvision downloads to.
        download: Whether to download by torchvision, which checks the MD5 of each file.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the training images for validation.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.

    Raises:
        InputError: Files are missing or truncated, or labels are out of range.

    References:
        LeCun, Bottou, Bengio, Haffner, Proc. IEEE 86(11):2278-2324 (1998).

    Example::

        mnist("data/mnist", n=[1000, 200, 500]).card()
    """
    return _load("MNIST", root, download, n, val_share, split_seed, augment, DIGITS, "CC-BY-SA-3.0")


def fashion_mnist(
    root: str,
    download: bool = False,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Load pieces of clothing, (1, 28, 28) in [0, 1], in ten classes. Files, options and errors are as in `mnist`.

    References:
        Xiao, Rasul, Vollgraf, arXiv:1708.07747 (2017).

    Example::

        fashion_mnist("data/fashion_mnist").card()
    """
    return _load("FashionMNIST", root, download, n, val_share, split_seed, augment, CLOTHES, "MIT")


def _load(variant, root, download, n, val_share, split_seed, augment, classes, licence) -> Data:
    if download and root is not None:
        _download(variant, Path(root))
    folder = existing_folder(root)
    raw = folder / variant / "raw"  # torchvision unpacks files to this folder
    images, labels, parts = [], [], []
    for part, prefix in FILES.items():
        place = raw if raw.is_dir() else folder
        pixels = read_idx(_find(place, f"{prefix}-images-idx3-ubyte"), dims=3)
        numbers = read_idx(_find(place, f"{prefix}-labels-idx1-ubyte"), dims=1)
        if len(pixels) != len(numbers):
            raise InputError(
                f"{place}: got {len(pixels)} {part} images and {len(numbers)} labels, wanted the same number of each"
            )
        images.append(pixels)
        labels.append(numbers)
        parts.append(np.full(len(numbers), part))
    split = np.concatenate(parts)
    split = with_val(split, np.arange(len(split)), val_share, split_seed)
    return classification(
        variant,
        np.concatenate(images),
        np.concatenate(labels),
        split,
        classes,
        n=n,
        seed=split_seed,
        augment=augment,
        licence=licence,
        source=str(root),
    )


def read_idx(path: Path, dims: int) -> np.ndarray:
    """Read the uint8 array of an IDX file with `dims` axes, gzipped or not.

    Raises:
        InputError: The file is not such a file, is truncated or damaged, or does not fit in memory.
    """
    try:
        with path.open("rb") as file:
            zipped = file.peek(2).startswith(b"\x1f\x8b")
        with gzip.open(path) if zipped else path.open("rb") as content:
            shape, values = _shape_and_values(path, content, dims)
    except (EOFError, OSError, zlib.error) as error:
        kind = "unreadable gzip" if path.suffix == ".gz" else "unreadable"
        raise InputError(f"{path}: {kind} ({reason(error)}), wanted a whole file; fetch it again") from error
    if len(values) != prod(shape):
        held = "more" if len(values) > prod(shape) else len(values)
        raise InputError(f"{path}: got {held} values, wanted {prod(shape)} for shape {shape}; fetch it again")
    return np.frombuffer(values, np.uint8).reshape(shape)


def _shape_and_values(path: Path, content: BufferedIOBase, dims: int) -> tuple[tuple[int, ...], bytes]:
    """Read the shape from the header, and then the values, at most one more than the shape has."""
    header = content.read(4 + 4 * dims)
    if len(header) < 4 + 4 * dims or header[:4] != bytes([0, 0, 8, dims]):
        raise InputError(f"{path}: got first bytes {header[:4].hex()}, wanted IDX of uint8, {dims} axes; replace it")
    shape = struct.unpack(f">{dims}I", header[4:])
    check_memory(RAW_AND_SAMPLES * prod(shape), f"{path} of {by(shape)}", "fetch it again")
    return shape, content.read(prod(shape) + 1)


def _find(folder: Path, name: str) -> Path:
    for path in (folder / name, folder / f"{name}.gz"):
        if path.is_file():
            return path
    raise InputError(f"{folder}: got no {name} or {name}.gz; check dataset.root or set dataset.download=true")


def _download(variant: str, root: Path):
    """Download by torchvision, which checks the MD5 of each file."""
    from torchvision import datasets

    try:
        getattr(datasets, variant)(root, download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{variant}: download failed ({reason(error)}); put the IDX files into dataset.root={root}"
        ) from error
