"""Images and masks in two folders, matched by the stems of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.datasets.augment import augmentation
from bench.datasets.common import existing_folder, list_values, reason, rows_by_split, seeded_split, with_val
from bench.datasets.data import Data, Split
from bench.datasets.files import SUFFIXES, files_by_stem
from bench.datasets.load import Pair, Size, load_pairs
from bench.errors import InputError

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}


def image_folder(
    root: str,
    size: Size = 128,
    crop: Size = None,
    channels: Literal["auto"] | int = "auto",
    intensity: Literal["unit", "minmax", "zscore"] = "unit",
    classes: int | Sequence[str] | None = None,
    index: str | None = "auto",
    split: str | None = "split",
    group: str | None = None,
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    licence: str = "unknown",
) -> Data:
    """Load images root/images/STEM.* and masks root/masks/STEM.*: PNG, TIFF, JPEG, BMP, GIF, WebP, NIfTI.

    Pictures are rotated upright by their metadata. NIfTI files (2-D or 3-D) keep their stored orientation, and the
    affines of an image and of its mask must agree.

    Args:
        root: Folder with images/ and masks/.
        size: Size of the resized images: one number, or one per axis. None does not resize.
        crop: Central window in pixels, cut before resizing. A shorter side is kept whole.
        channels: 1 or 3. `auto` is 3 if any image has colour; grey images are then repeated.
        intensity: `unit` divides by the maximum of the type of the file. `minmax` and `zscore` scale each image.
        classes: Names or number of classes. None reads them from the masks (0/1, 0/255, or 0 to K-1).
        index: A csv in root with the column `stem`. `auto` takes index.csv if there is one; None takes none.
        split: Column of the index with train, val or test. Without an index, or for None, the split is random.
        group: Column of the index with groups that must stay in one split, such as patients.
        val_share: Share of the training groups for validation, if no row has val.
        test_share: Share of the groups for the test split, if the split is random.
        split_seed: Seed of the split.
        augment: Any of `flips`, `rotations`, `intensity`.
        licence: Licence of the data.

    Raises:
        InputError: The root is missing, a file has no partner or can't be read, the index does not fit, sizes differ,
            mask values are not classes, or a split is empty.

    Example::

        image_folder("data/cardiac", size=64, group="patient").card()
    """
    folder = existing_folder(root)
    pairs = find_pairs(folder)
    assigned, groups = read_index(folder, index, [pair.name for pair in pairs], split, group)
    if assigned is None:
        assigned = seeded_split(groups, test_share, split_seed)
    assigned = with_val(assigned, groups, val_share, split_seed)
    return segmentation(
        folder.resolve().name,
        pairs,
        assigned,
        groups,
        augment=augment,
        licence=licence,
        source=str(folder),
        size=size,
        crop=crop,
        channels=channels,
        intensity=intensity,
        classes=classes,
    )


def segmentation(
    name: str,
    pairs: Sequence[Pair],
    assigned: np.ndarray,
    groups: np.ndarray,
    *,
    augment: str | Sequence[str] | None,
    licence: str,
    source: str,
    **preprocessing,
) -> Data:
    """Make a `Data` for segmentation.

    Args:
        name: Name of the dataset.
        pairs: The files of n images and their masks.
        assigned: (n,) the split of each pair.
        groups: (n,) the group of each pair.
        augment: Names of augmentations.
        licence: Licence of the data.
        source: Where the data come from.
        **preprocessing: Arguments of `load_pairs`.
    """
    rows = rows_by_split(assigned)
    empty = [part for part, members in rows.items() if len(members) == 0]
    if empty:
        raise InputError(
            f"{source}: the {empty[0]} split is empty ({len(pairs)} images in all), wanted at least one image; "
            "give it rows in the index or a larger dataset.val_share or test_share"
        )
    images, masks, classes = load_pairs(pairs, title=name, **preprocessing)
    whole = Split(images, masks, groups, tuple(pair.name for pair in pairs))
    return Data(
        name=name,
        task="segmentation",
        classes=classes,
        train=whole.take(rows["train"]),
        val=whole.take(rows["val"]),
        test=whole.take(rows["test"]),
        augment=augmentation(augment, spatial_dims=images.ndim - 2),
        licence=licence,
        source=source,
    )


def find_pairs(root: Path) -> list[Pair]:
    """Find the image and the mask of each stem, or raise InputError if one is missing."""
    images, masks = files_by_stem(root / "images"), files_by_stem(root / "masks")
    for stem, path in images.items():
        if stem not in masks:
            raise InputError(f"{path}: got an image without mask, wanted masks/{stem}.*; add it or remove the image")
    for stem, path in masks.items():
        if stem not in images:
            raise InputError(f"{path}: got a mask without image, wanted images/{stem}.*; add it or remove the mask")
    if not images:
        raise InputError(f"{root / 'images'}: got no image, wanted files of {', '.join(SUFFIXES)}; check dataset.root")
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)]


def read_index(
    root: Path, index: str | None, stems: list[str], split: str | None, group: str | None
) -> tuple[np.ndarray | None, np.ndarray]:
    """Read the split and the group of each of n stems from the index.

    Returns:
        Splits (n,), or None if the index has none, and groups (n,).

    Raises:
        InputError: The index is missing, can't be read, lacks a column, or does not fit the stems.
    """
    if index == "auto":
        index = "index.csv" if (root / "index.csv").exists() else None
    if index is None:
        if group is not None:
            raise InputError(f"dataset.group: got {group} without an index, wanted a column of index.csv; add the file")
        return None, np.array(stems)
    path = root / index
    if not path.is_file():
        raise InputError(f"{path}: no such file; set dataset.index to a csv in dataset.root, or to null")
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: unreadable ({reason(error)}), wanted a csv with a header; correct it") from error
    for column in ("stem", split, group):
        if column is not None and column not in table:
            raise InputError(
                f"{path}: got columns {list_values(table.columns)}, wanted {column}; rename one, "
                "or change dataset.split or dataset.group"
            )
    wrong = {
        "listed twice": table.stem[table.stem.duplicated()],
        "without an image": sorted(set(table.stem) - set(stems)),
        "missing": sorted(set(stems) - set(table.stem)),
    }
    for what, found in wrong.items():
        if len(found):
            raise InputError(f"{path}: stems {what}: {list_values(found, 3)}, wanted each image once; correct the csv")
    table = table.set_index("stem").loc[stems]
    assigned = None if split is None else split_column(table[split], path)
    return assigned, np.array(stems) if group is None else group_column(table[group], assigned, path)


def split_column(column: pd.Series, path: Path) -> np.ndarray:
    """Return the names of splits in a column, or raise InputError for an unknown name."""
    unknown = sorted(set(column) - set(SPLIT_NAMES))
    if unknown:
        raise InputError(f"{path}: got split {unknown[0]!r}, wanted one of {list(SPLIT_NAMES)}; correct the csv")
    return column.map(SPLIT_NAMES).to_numpy(dtype=str)


def group_column(column: pd.Series, assigned: np.ndarray | None, path: Path) -> np.ndarray:
    """Return the groups in a column, or raise InputError if a value is empty or a group is in several splits."""
    groups = column.to_numpy(dtype=str)
    if "" in groups:
        raise InputError(f"{path}: got no {column.name} for stem {column.index[groups == ''][0]}; fill the column")
    if assigned is not None:
        splits = pd.Series(assigned).groupby(groups).nunique()
        if splits.max() > 1:
            raise InputError(
                f"{path}: got {column.name} {splits.idxmax()} in {splits.max()} splits, wanted each in one; "
                "correct the split column, or set dataset.split=null for a seeded split"
            )
    return groups
