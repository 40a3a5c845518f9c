"""MedNIST: radiographs and slices, with a folder of pictures for each class."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, classification, existing_folder, rows_by_split, seeded_split, unpacked, with_val
from bench.datasets.data import Data
from bench.datasets.files import entries, files_by_stem, read_image, shape_of
from bench.datasets.memory import RAW_AND_SAMPLES, check_memory
from bench.datasets.progress import progress
from bench.errors import InputError


def mednist(
    root: str,
    download: bool = False,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.1,
    test_share: float = 0.1,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Load pictures (1 or 3, H, W) in [0, 1] from root/MedNIST/CLASS/*.jpeg, or from class folders in root.

    The split is by picture, because the patients are not known. Neighbouring slices of a patient are therefore in
    several splits, and accuracy is too high. Only pictures that are drawn are read.

    Args:
        root: Folder of MedNIST, or of the class folders.
        download: Whether to download root/MedNIST.tar.gz by MONAI, which checks its MD5.
        n: Number of pictures to draw for (train, val, test). None in it, or for it, takes all, 58,954 in six classes.
        val_share: Share of the pictures for validation.
        test_share: Share of the pictures for the test split.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.

    Raises:
        InputError: The folder is missing, there are fewer than two classes, or pictures can't be read or differ in
            size.

    References:
        B. J. Erickson, Mayo Clinic, as distributed by MONAI.

    Example::

        mednist("data", download=True, n=[3000, 600, 600]).card()
    """
    given = _download(root) if download else existing_folder(root)
    folder = given / "MedNIST" if (given / "MedNIST").is_dir() else given
    classes = [path.name for path in entries(folder) if path.is_dir()]
    if len(classes) < 2:
        raise InputError(f"{folder}: got {len(classes)} folders, wanted one for each class; check dataset.root")
    found = [files_by_stem(folder / name) for name in classes]
    if not all(found):
        empty = folder / classes[[len(files) for files in found].index(0)]
        raise InputError(f"{empty}: got no picture, wanted a folder of pictures for each class; add some or remove it")
    files = [(label, path) for label, each in enumerate(found) for path in each.values()]
    groups = np.array([f"{classes[label]}/{path.stem}" for label, path in files])
    split = with_val(seeded_split(groups, test_share, split_seed), groups, val_share / (1 - test_share), split_seed)
    rows = np.sort(np.concatenate(list(rows_by_split(split, n, split_seed).values())))
    shape = shape_of(files[rows[0]][1]) if len(rows) else ()
    what = f"dataset: {len(rows)} pictures of {by(shape)}"
    check_memory(RAW_AND_SAMPLES * len(rows) * prod(shape), what, "lower dataset.n")
    pictures: list[np.ndarray] = []
    for row in progress(rows, "load MedNIST", "pictures", len(rows)):
        picture = np.moveaxis(read_image(files[row][1]), 0, -1)  # (H, W, C)
        if pictures and picture.shape != pictures[0].shape:
            raise InputError(
                f"{files[row][1]}: got {by(picture.shape)}, but others have {by(pictures[0].shape)}, wanted one size; "
                "resize it"
            )
        if picture.dtype != np.uint8:
            raise InputError(f"{files[row][1]}: got {picture.dtype} pixels, wanted uint8; convert it")
        pictures.append(picture)
    return classification(
        "mednist",
        np.stack(pictures),
        np.array([files[row][0] for row in rows]),
        split[rows],
        classes,
        seed=split_seed,
        augment=augment,
        names=groups[rows],
        licence="CC-BY-SA-4.0",
        source=str(folder),
    )


def _download(root: str) -> Path:
    from monai.apps import MedNISTDataset

    return unpacked(root, "MedNIST", MedNISTDataset.resource, MedNISTDataset.md5)
