"""The csv of a folder: split, group and labels of each image."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.datasets.common import list_values, reason
from bench.errors import InputError

SPLIT_NAMES = {"train": "train", "val": "val", "valid": "val", "validation": "val", "test": "test"}
AUTO = "auto"
SPLIT = "split"  # the column that `auto` takes if the csv has it
SEEDED = "correct the split column, or set dataset.split=null for a seeded split"


def read_index(
    root: Path, index: str | None, names: Sequence[str], split: str | None, group: str | None, key: str = "stem"
) -> tuple[np.ndarray | None, np.ndarray]:
    """Read the split and the group of each of n images from the index.

    Args:
        root: Folder of the index.
        index: Name of the csv. `auto` takes index.csv if there is one; None takes none.
        names: The n values of the column `key`, in the order of the images.
        split: Column of the splits. `auto` takes the column `split` if there is one; None takes none.
        group: Column of the groups. None makes each image a group.
        key: Column that names the image.

    Returns:
        Splits (n,), or None if the index has none, and groups (n,).

    Raises:
        InputError: The index is missing, can't be read, lacks a column, or does not fit the images.
    """
    if index == AUTO:
        index = "index.csv" if (root / "index.csv").exists() else None
    if index is None:
        if group is not None:
            raise InputError(f"dataset.group: got {group} without an index, wanted a column of index.csv; add the file")
        return None, np.array(names)
    path = root / index
    table = read_csv(path)
    split = find_split(table, split)
    require_columns(table, [key, split, group], path, "dataset.split or dataset.group")
    wrong = {
        "listed twice": table[key][table[key].duplicated()],
        "without an image": sorted(set(table[key]) - set(names)),
        "missing": sorted(set(names) - set(table[key])),
    }
    for what, found in wrong.items():
        if len(found):
            raise InputError(f"{path}: {key}s {what}: {list_values(found, 3)}, wanted each image once; correct the csv")
    table = table.set_index(key).loc[list(names)]
    assigned = None if split is None else split_column(table[split], path)
    return assigned, np.array(names) if group is None else group_column(table[group], assigned, path, key)


def read_csv(path: Path) -> pd.DataFrame:
    """Read a csv with all values as text, or raise InputError."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; set dataset.index to a csv in dataset.root, or to null")
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: unreadable ({reason(error)}), wanted a csv with a header; correct it") from error


def require_columns(table: pd.DataFrame, columns: Sequence[str | None], path: Path, options: str) -> None:
    """Raise InputError if the table lacks a column. None stands for no column."""
    for column in columns:
        if column is not None and column not in table:
            raise InputError(
                f"{path}: got columns {list_values(table.columns)}, wanted {column}; rename one, or change {options}"
            )


def find_split(table: pd.DataFrame, split: str | None) -> str | None:
    """Return the column of the splits: for `auto`, `split` if the table has it, else None."""
    return (SPLIT if SPLIT in table else None) if split == AUTO else split


def split_column(column: pd.Series, path: Path) -> np.ndarray:
    """Return the names of splits in a column, or raise InputError for an unknown name."""
    unknown = sorted(set(column) - set(SPLIT_NAMES))
    if unknown:
        raise InputError(f"{path}: got split {unknown[0]!r}, wanted one of {list(SPLIT_NAMES)}; correct the csv")
    return column.map(SPLIT_NAMES).to_numpy(dtype=str)


def group_column(column: pd.Series, assigned: np.ndarray | None, path: Path, key: str = "stem") -> np.ndarray:
    """Return the groups in a column, or raise InputError if a value is empty or a group is in several splits."""
    groups = column.to_numpy(dtype=str)
    if "" in groups:
        raise InputError(f"{path}: got no {column.name} for {key} {column.index[groups == ''][0]}; fill the column")
    check_groups(groups, assigned, f"{path}: got {column.name}", SEEDED)
    return groups


def check_groups(groups: np.ndarray, assigned: np.ndarray | None, found: str, fix: str) -> None:
    """Raise InputError if a group is in several splits. `found` begins the message, `fix` ends it."""
    if assigned is None:
        return
    splits = pd.Series(assigned).groupby(groups).nunique()
    if splits.max() > 1:
        raise InputError(f"{found} {splits.idxmax()} in {splits.max()} splits, wanted each in one; {fix}")
