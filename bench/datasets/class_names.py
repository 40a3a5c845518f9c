"""Names of the classes of a dataset, which tables and names of metrics contain."""

from __future__ import annotations

import re
from collections import Counter
from typing import Literal

from bench.errors import InputError

Task = Literal["segmentation", "classification", "multilabel", "reconstruction"]
MOST_CLASSES = {"segmentation": 256, "classification": 1000, "multilabel": 1000, "reconstruction": 1000}
LONGEST_NAME = 100  # characters of the name of a class; names of metrics contain it, and MLflow allows 250
IN_METRICS = r"[\w.\- :]+"  # characters that MLflow allows in names of metrics, without /, which begins a section


def check_classes(data: str, task: Task, classes: tuple[str, ...]) -> None:
    """Raise InputError for names of classes that tables, or for segmentation names of metrics, can't contain.

    Examples:
        >>> check_classes("mine", "segmentation", ("background", "edema (ED)"))
        Traceback (most recent call last):
        bench.errors.InputError: dataset mine: got the class name 'edema (ED)', wanted ...
    """
    fix = "rename it in dataset.classes, or in the file or folder that names the classes"
    if len(classes) > MOST_CLASSES[task]:
        raise InputError(f"dataset {data}: got {len(classes)} classes, wanted at most {MOST_CLASSES[task]}; join some")
    for name in classes:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or len(name) > LONGEST_NAME:
            shown = str(name)[:LONGEST_NAME]
            raise InputError(
                f"dataset {data}: got the class name {shown!r}, wanted a line of 1 to {LONGEST_NAME} characters; {fix}"
            )
        if task == "segmentation" and not re.fullmatch(IN_METRICS, name):
            raise InputError(
                f"dataset {data}: got the class name {name!r}, wanted only letters, digits, spaces and _ - . :, "
                f"because names of metrics contain it; {fix}"
            )
    ends = ("", "_low", "_high") if task == "segmentation" else ("",)  # of metrics and their intervals
    names = [f"{name.strip().casefold()}{end}" for name in classes for end in ends]
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise InputError(
            f"dataset {data}: got two classes that share the name {twice[0]!r}, wanted names that differ by more than "
            f"case{', _low and _high' if len(ends) > 1 else ''}; {fix}"
        )
