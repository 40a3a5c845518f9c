"""A csv of images and their labels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from bench.datasets.cache import FOLDER
from bench.datasets.common import existing_folder, list_values, seeded_split, with_val
from bench.datasets.data import Data, Task
from bench.datasets.index import AUTO, find_split, group_column, read_csv, require_columns, split_column
from bench.datasets.labelled import labelled
from bench.datasets.preparing import Size
from bench.errors import InputError

CLASSES_ONLY = "wanted classes, because regression is not available; join the values into a few classes"


def table(
    root: str,
    index: str = "index.csv",
    path: str = "path",
    label: str | Sequence[str] = "label",
    classes: Sequence[str] | None = None,
    size: Size = 128,
    crop: Size = None,
    channels: Literal["auto"] | int = "auto",
    intensity: Literal["unit", "minmax", "zscore"] = "unit",
    split: str | None = AUTO,
    group: str | None = None,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
    licence: str = "unknown",
) -> Data:
    """Load the images that a csv lists, with the labels in its columns.

    One column of labels gives one class for each image. Several columns of 0 and 1 give several labels for each image.
    Only images that are drawn are read.

    Args:
        root: Folder of the csv. Paths in the csv are relative to it, or absolute.
        index: Name of the csv.
        path: Column with the files of the images.
        label: Column with the class, or two or more columns of 0 and 1, whose names are those of the labels.
        classes: The values of the column of classes, in the order of the classes. None sorts the values found, numbers
            by size.
        size: Size, as in `image_folder`.
        crop: Central window, as in `image_folder`.
        channels: Channels, as in `image_folder`.
        intensity: Scaling, as in `image_folder`.
        split: Column with train, val or test, as in `image_folder`.
        group: Column with groups that must stay in one split, such as patients.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the training groups for validation, if no row has val.
        test_share: Share of the groups for the test split, if the split is random.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.
        cache: Where samples are held, as in `image_folder`.
        cache_folder: Folder of the cache, as in `image_folder`.
        licence: Licence of the data.

    Raises:
        InputError: The csv is missing, can't be read, or lacks a column; a path is missing or listed twice; labels are
            empty, numbers to predict, or not 0 and 1; or images can't be read or differ in size.

    Example::

        table("data/chest", index="labels.csv", label=["effusion", "nodule"], group="patient").card()
    """
    folder = existing_folder(root)
    file = folder / index
    rows = read_csv(file)
    split = find_split(rows, split)
    columns = [label] if isinstance(label, str) else list(label)
    options = "dataset.path, dataset.label, dataset.split or dataset.group"
    require_columns(rows, [path, *columns, split, group], file, options)
    if rows.empty:
        raise InputError(f"{file}: got no rows, wanted one for each image; add them")
    files = find_files(folder, rows[path], file)
    if isinstance(label, str):
        task: Task = "classification"
        names, labels = read_labels(rows[label], classes, file)
    else:
        task, names, labels = "multilabel", columns, read_columns(rows[columns], classes, file)
    named = rows.set_index(path)
    assigned = None if split is None else split_column(rows[split], file)
    groups = rows[path].to_numpy(dtype=str) if group is None else group_column(named[group], assigned, file, path)
    if assigned is None:
        assigned = seeded_split(groups, test_share, split_seed)
    return labelled(
        folder.resolve().name,
        files,
        labels,
        with_val(assigned, groups, val_share, split_seed),
        groups,
        list(rows[path]),
        names,
        task=task,
        n=n,
        seed=split_seed,
        augment=augment,
        licence=licence,
        source=str(file),
        size=size,
        crop=crop,
        channels=channels,
        intensity=intensity,
        cache=cache,
        cache_folder=cache_folder,
    )


def find_files(folder: Path, paths: pd.Series, file: Path) -> list[Path]:
    """Return the files of the images, or raise InputError if one is missing or listed twice."""
    if twice := list(paths[paths.duplicated()]):
        raise InputError(f"{file}: got {list_values(twice, 3)} twice, wanted each image once; correct the csv")
    found = [folder / each for each in paths]
    if missing := [str(path) for path in found if not path.exists()]:
        raise InputError(
            f"{file}: got images that do not exist: {list_values(missing, 3)}, wanted paths relative to dataset.root; "
            "correct the csv or dataset.root"
        )
    return found


def read_labels(column: pd.Series, classes: Sequence[str] | None, file: Path) -> tuple[list[str], np.ndarray]:
    """Read one class for each image.

    Args:
        column: The n values, as text.
        classes: The values in the order of the classes, or None.
        file: The csv, for messages.

    Returns:
        Names of the classes, and classes (n,).

    Raises:
        InputError: A value is empty or is not in `classes`, there are fewer than two values, or the values are numbers
            to predict.

    Examples:
        >>> read_labels(pd.Series(["10", "9", "10"], name="grade"), None, Path("index.csv"))
        (['9', '10'], array([1, 0, 1]))
    """
    values = column.str.strip()
    found = sorted(set(values), key=_in_order)
    if "" in found:
        raise InputError(f"{file}: got no {column.name} in {(values == '').sum()} rows, wanted one in each; fill them")
    numbers = [number for number in map(_number, found) if number is not None]
    if fractions := [number for number in numbers if number != round(number)]:
        raise InputError(f"{file}: got {column.name} {fractions[0]:g}, {CLASSES_ONLY}")
    if len(numbers) == len(found) > max(2, len(values) / 2):
        raise InputError(f"{file}: got {len(found)} different numbers in {len(values)} rows, {CLASSES_ONLY}")
    names = found if classes is None else [str(name) for name in classes]
    if unknown := [value for value in found if value not in names]:
        raise InputError(
            f"{file}: got {column.name} {list_values(unknown, 3)}, wanted one of {list_values(names)}; correct the csv "
            "or dataset.classes"
        )
    if len(names) < 2:
        raise InputError(f"{file}: got the single {column.name} {list_values(names)}, wanted two classes or more")
    return names, values.map(names.index).to_numpy(dtype=np.int64)


def read_columns(columns: pd.DataFrame, classes: Sequence[str] | None, file: Path) -> np.ndarray:
    """Read several labels for each image: (n, labels) of 0 and 1, or raise InputError."""
    if classes is not None:
        raise InputError("dataset.classes: got names, but dataset.label has those of the labels; set it to null")
    if columns.shape[1] < 2:
        raise InputError(f"dataset.label: got {list(columns)}, wanted two columns or more, or the name of one alone")
    numbers = columns.apply(pd.to_numeric, errors="coerce").to_numpy(dtype=float)
    wrong = ~np.isin(numbers, (0, 1))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise InputError(
            f"{file}: got {columns.columns[column]} {columns.iat[row, column]!r} in row {row + 1}, wanted 0 or 1 in "
            "columns of labels; correct the csv, or give dataset.label the name of one column of classes"
        )
    return numbers.astype(np.int64)


def _number(value: str) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return None
    return number if np.isfinite(number) else None


def _in_order(value: str) -> tuple[bool, float, str]:
    """Sort numbers by size, before text."""
    number = _number(value)
    return number is None, number or 0.0, value
