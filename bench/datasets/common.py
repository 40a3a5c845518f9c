"""Functions that several datasets share: find folders, hold samples out, and make a `Data` from arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from math import prod
from pathlib import Path

import numpy as np
import torch

from bench.datasets.augment import augmentation
from bench.datasets.data import SPLITS, Data, Task
from bench.datasets.memory import FLOAT, check_memory, stays_in_memory
from bench.datasets.splits import Split
from bench.datasets.storage import Encoding, InMemory
from bench.errors import InputError

LONGEST = 200  # characters of the message of a library


def existing_folder(root: str | Path | None, option: str = "dataset.root") -> Path:
    """Return the path of a folder that exists.

    Raises:
        InputError: The path is None, is not a folder, or can't be read.
    """
    if root is None:
        raise InputError(f"{option}: got nothing, wanted the folder of the data; give {option}=DIR")
    try:
        is_folder = Path(root).is_dir()
    except (OSError, ValueError) as error:  # a parent folder without permission, a name that is too long
        raise InputError(
            f"{option}: got {root}, which can't be read ({reason(error)}); check its permissions"
        ) from error
    if not is_folder:
        raise InputError(f"{option}: got {root}, which is not a folder; set {option} to a folder that exists")
    return Path(root)


def unpacked(root: str | Path | None, folder: str, url: str, md5: str) -> Path:
    """Return the root of a folder; if the folder is missing, download its archive by MONAI and unpack it.

    Raises:
        InputError: The root is None, or the download or the check of its MD5 fails.
    """
    from monai.apps import download_and_extract

    if root is None:
        return existing_folder(root)
    root = Path(root)
    root.mkdir(parents=True, exist_ok=True)
    if not (root / folder).is_dir():
        try:
            download_and_extract(
                url, root / url.rpartition("/")[2], root, hash_val=md5, hash_type="md5", progress=False
            )
        except Exception as error:  # MONAI raises no narrower class
            raise InputError(
                f"{root / folder}: download failed ({reason(error)}); put the unpacked folder there by hand"
            ) from error
    return root


def list_values(values, most: int = 8) -> str:
    """Format the first of several values for a message."""
    values = [str(value) for value in values]
    return ", ".join(values[:most]) + (f" … ({len(values)} in all)" if len(values) > most else "")


def by(shape: Iterable[int]) -> str:
    """Format a shape for a message.

    Examples:
        >>> by((3, 64, 64))
        '3x64x64'
    """
    return "x".join(str(side) for side in shape)


def reason(error: BaseException) -> str:
    """Format the error of a library in one line."""
    return " ".join(str(error).split())[:LONGEST] or type(error).__name__


@contextmanager
def refuse_damage(path: Path, wanted: str, fix: str = "replace or remove it") -> Iterator[None]:
    """Turn any error of a decoder into an InputError that names the file."""
    try:
        yield
    except (InputError, MemoryError):
        raise
    except Exception as error:  # damage leads to any error: KeyError, struct.error, RecursionError, …
        raise InputError(f"{path}: unreadable ({reason(error)}), wanted {wanted}; {fix}") from error


def hold_out(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Choose all samples of a random share of the groups.

    Args:
        groups: (n,) the group of each sample.
        share: Share of the groups, 0 <= share < 1.
        seed: Seed of the choice.

    Returns:
        (n,) bool, whether each sample is held out.

    Raises:
        InputError: The share is out of range.

    Examples:
        >>> hold_out(np.array(["ann", "ann", "bob", "cy", "cy"]), share=0.4, seed=0)
        array([False, False, False,  True,  True])
    """
    if not 0 <= share < 1:
        raise InputError(f"a held-out share: got {share}, wanted 0 <= share < 1; set dataset.val_share or test_share")
    members = np.unique(groups)
    held = np.random.default_rng(seed).permutation(members)[: round(share * len(members))]
    return np.isin(groups, held)


def seeded_split(groups: np.ndarray, test_share: float, seed: int) -> np.ndarray:
    """Assign whole groups to `train` or `test`: (n,) names of splits."""
    return np.where(hold_out(groups, test_share, seed), "test", "train")


def with_val(split: np.ndarray, groups: np.ndarray, val_share: float, seed: int) -> np.ndarray:
    """Return the split if it has `val`, else assign a random share of its training groups to `val`."""
    if "val" in split:
        return split
    train = split == "train"
    split = split.copy()
    split[train] = np.where(hold_out(groups[train], val_share, seed), "val", "train")
    return split


def rows_by_split(split: np.ndarray, n: Sequence[int | None] | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    """Return the rows of each split, in their order.

    Args:
        split: (n,) the split of each row.
        n: Number of rows to draw for (train, val, test). None in it, or for it, takes all.
        seed: Seed of the draw.

    Raises:
        InputError: n does not have three numbers, or a split has fewer rows.

    Examples:
        >>> rows_by_split(np.array(["train", "test", "val", "train"]))["train"]
        array([0, 3])
    """
    if n is not None and len(n) != len(SPLITS):
        raise InputError(f"dataset.n: got {list(n)}, wanted three numbers; give dataset.n=[TRAIN,VAL,TEST]")
    rng = np.random.default_rng(seed)
    rows = {name: np.flatnonzero(split == name) for name in SPLITS}
    for name, count in zip(SPLITS, n or [None] * 3, strict=True):
        if count is None:
            continue
        if not 1 <= count <= len(rows[name]):
            raise InputError(f"dataset.n: got {count} for {name}, wanted 1 to {len(rows[name])}; change dataset.n")
        rows[name] = np.sort(rng.choice(rows[name], count, replace=False))
    return rows


def require_samples(split: np.ndarray, source: str) -> None:
    """Raise InputError if one of train, val and test has no sample.

    Args:
        split: (n,) the split of each sample.
        source: Folder of the data, for the message.
    """
    empty = [name for name in SPLITS if name not in split]
    if empty:
        raise InputError(
            f"{source}: the {empty[0]} split is empty ({len(split)} images in all), wanted at least one image; "
            "give it rows in the index or a larger dataset.val_share or test_share"
        )


def classification(
    name: str,
    images: np.ndarray,
    labels: np.ndarray,
    split: np.ndarray,
    classes: Sequence[str],
    *,
    task: Task = "classification",
    n: Sequence[int | None] | None = None,
    seed: int = 0,
    augment: str | Sequence[str] | None = None,
    spatial_dims: int = 2,
    names: Sequence[str] | None = None,
    licence: str,
    source: str,
) -> Data:
    """Make a `Data` for classification. Images are scaled to [0, 1]; many of them stay uint8 until a batch is read.

    Args:
        name: Name of the dataset.
        images: (n, *spatial) or (n, *spatial, C) uint8.
        labels: (n,) classes, or (n, L) of 0 and 1 for multilabel.
        split: (n,) the split of each image.
        classes: Names of the classes.
        task: `classification` or `multilabel`.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        seed: Seed of the draw.
        augment: Names of augmentations.
        spatial_dims: Number of spatial axes.
        names: Names of the images. None numbers them.
        licence: Licence of the data.
        source: Where the data come from.

    Raises:
        InputError: Labels are out of range, or the images do not fit in memory.
    """
    limit = 2 if task == "multilabel" else len(classes)
    wrong = np.setdiff1d(labels, np.arange(limit))
    if len(wrong):
        raise InputError(
            f"{source}: got labels {list_values(wrong)}, wanted 0 to {limit - 1} ({name} has {len(classes)} classes); "
            "correct the labels, or choose the dataset that they belong to"
        )

    rows = rows_by_split(split, n, seed)
    count, shape = sum(map(len, rows.values())), images.shape[1:]
    check_memory(count * prod(shape), f"dataset: {count} images of {by(shape)}", "lower dataset.n")
    small = stays_in_memory(FLOAT * count * prod(shape), "auto")  # else they stay uint8

    def take(rows: np.ndarray) -> Split:
        pixels = images[rows]
        grey = pixels.ndim == spatial_dims + 1
        pixels = np.ascontiguousarray(pixels[:, np.newaxis] if grey else np.moveaxis(pixels, -1, 1))  # (n, C, *spatial)
        stored = InMemory(pixels, Encoding(torch.float32, 255))
        named = tuple(f"{row:05d}" if names is None else names[row] for row in rows)
        samples = stored[:] if small else stored
        return Split(samples, torch.from_numpy(labels[rows].astype(np.int64)), np.array(named), named)

    return Data(
        name=name,
        task=task,
        classes=tuple(classes),
        train=take(rows["train"]),
        val=take(rows["val"]),
        test=take(rows["test"]),
        augment=augmentation(augment, spatial_dims),
        licence=licence,
        source=source,
    )
