"""Determine the classes of a dataset from the values of its masks."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench.datasets.common import list_values
from bench.errors import InputError

MOST_FOUND = 64  # most classes without dataset.classes; more distinct values are probably grey levels


def read_classes(values: dict, classes: int | Sequence[str] | None) -> tuple[tuple[str, ...], int]:
    """Determine the classes from the values of all masks.

    Args:
        values: Distinct values of each mask, by file.
        classes: Names or number of classes. None determines them.

    Returns:
        Names of the classes, and the divisor that turns mask values into class numbers (255 for 0/255 masks, else 1).

    Raises:
        InputError: Mask values are not classes.

    Examples:
        >>> read_classes({"a.png": np.array([0, 255])}, classes=None)
        (('background', 'foreground'), 255)
        >>> read_classes({"a.png": np.array([0, 1]), "b.png": np.array([0, 2])}, classes=None)
        (('background', 'class 1', 'class 2'), 1)
    """
    count = classes if classes is None or isinstance(classes, int) else len(classes)
    if count is not None and count < 2:
        raise InputError(f"dataset.classes: got {classes}, wanted two or more, background first; change it or set null")
    found = np.unique(np.concatenate(list(values.values())))
    if found.max() == 255 and set(found) <= {0, 255} and count in (None, 2):
        count, step = 2, 255
    else:
        count, step = count or max(len(found), 2), 1
    lone = classes is None and len(found) == 1 and step == 1
    many = classes is None and count > MOST_FOUND
    wrong = [path for path, held in values.items() if lone or many or len(np.setdiff1d(held / step, np.arange(count)))]
    if wrong:
        path = min(wrong, key=lambda path: set(values[path]) <= {0, 255})  # prefer a mask that is not 0/255
        raise InputError(
            f"{path}: got mask values {list_values(values[path])} ({list_values(found)} in all masks), wanted all of "
            f"{list_values(range(min(count, MOST_FOUND)))}, or 0 and 255; {_suggest_fix(found, lone)}"
        )
    if classes is not None and not isinstance(classes, int):
        return tuple(classes), step
    return ("background", *(("foreground",) if count == 2 else (f"class {number}" for number in range(1, count)))), step


def _suggest_fix(found: np.ndarray, lone: bool) -> str:
    """Return the advice for mask values that are not classes."""
    if lone:
        return "give masks with foreground, or correct how they are read and saved"
    if found.min() >= 0 and found.max() < MOST_FOUND and (found == found.round()).all():
        return f"renumber the masks, or set dataset.classes={int(found.max()) + 1} if a class does not occur"
    return "renumber the masks; grey levels between two classes come from smoothing, so round them to the classes"
