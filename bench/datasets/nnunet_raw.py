"""The raw format v2 of nnU-Net: dataset.json, the files of each case, and the folds of splits_final.json."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets.common import existing_folder, list_values, refuse_damage
from bench.datasets.files import entries
from bench.datasets.nnunet_files import ENDINGS, Case
from bench.errors import InputError

IGNORE = "ignore"  # the name of the label of voxels without annotation
FOLDS, SEED = 5, 12345  # of nnU-Net's own split
SPLITS = "splits_final.json"
READERS = ("SimpleITKIO", "NibabelIO", "NaturalImage2DIO", "Tiff3DIO")
RAW = "nnUNet_raw"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Raw:
    """A dataset in nnU-Net's raw format v2.

    Attributes:
        folder: Folder of the dataset.
        channels: Names of the channels.
        classes: Names of the classes, the background first.
        labels: The class of each number in the masks.
        regions: Regions that overlap, with the numbers of their classes; None if all labels are single numbers.
        cases: The labelled cases of imagesTr by name, sorted.
        tests: The labelled cases of imagesTs by name, sorted; none without labelsTs.
        licence: Licence of the data.
    """

    folder: Path
    channels: tuple[str, ...]
    classes: tuple[str, ...]
    labels: dict[int, int]
    regions: dict[str, tuple[int, ...]] | None
    cases: dict[str, Case]
    tests: dict[str, Case]
    licence: str


def read_raw(root: str | None) -> Raw:
    """Read dataset.json and find the files of all cases.

    Args:
        root: Folder of the dataset, or the name of one in the folder that the environment variable nnUNet_raw names.

    Raises:
        InputError: The folder or dataset.json is missing or not valid, or a case lacks a file.
    """
    folder = _find_folder(root)
    path = folder / "dataset.json"
    if not path.is_file():
        raise InputError(
            f"dataset.root: got {folder}, which has no dataset.json; set dataset.root to a folder of the raw format, "
            f"such as {RAW}/Dataset004_Hippocampus"
        )
    with refuse_damage(path, "the description of a dataset", "correct it"):
        content = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("labels"), dict):
        raise InputError(f"{path}: got no labels, wanted channel_names, labels and file_ending; correct it")
    channels, ending = content.get("channel_names"), content.get("file_ending")
    if not isinstance(channels, dict) or not channels or not isinstance(ending, str):
        raise InputError(
            f"{path}: got no channel_names or no file_ending, as in the formats of nnU-Net v1 and the Decathlon, "
            "wanted raw format v2; convert it by nnUNetv2_convert_MSD_dataset, or set dataset=decathlon"
        )
    if ending.lower() not in ENDINGS:
        raise InputError(f"{path}: got file_ending {ending!r}, wanted one of {list_values(ENDINGS)}; convert the files")
    check_reader(content.get("overwrite_image_reader_writer"), path)
    described = _classes(content["labels"], path)
    cases = _listed(folder, content["dataset"], path) if "dataset" in content else _found(folder, "Tr", ending)
    if not cases:
        raise InputError(
            f"{folder / 'imagesTr'}: got no case, wanted files such as case_0000{ending}; check file_ending"
        )
    has_tests = "dataset" not in content and (folder / "labelsTs").is_dir() and any(entries(folder / "labelsTs"))
    names = tuple(str(channels[key]) for key in sorted(channels, key=_number))
    return Raw(
        folder, names, *described, cases, _found(folder, "Ts", ending) if has_tests else {},
        str(content.get("licence", content.get("license", "unknown"))),
    )  # fmt: skip


def _number(key: str) -> tuple[int, str]:
    return (int(key) if key.isdigit() else 0, key)


def _find_folder(root: str | None) -> Path:
    """Return the folder of a dataset, which can be named relative to nnUNet_raw."""
    if root is None or Path(root).is_dir() or Path(root).name != str(root):
        return existing_folder(root)
    base = os.environ.get(RAW)
    if not base:
        raise InputError(
            f"dataset.root: got {root}, which is not a folder, and {RAW} is not set; set dataset.root to the folder of "
            f"the raw dataset, or the environment variable {RAW} to the folder that has it"
        )
    if not Path(base, root).is_dir():
        raise InputError(f"dataset.root: got {root}, which is not in {RAW}={base}; check the name, or {RAW}")
    return Path(base, root)


def check_reader(name: Any, path: Path | str) -> None:
    """Raise InputError if a file names a reader of nnU-Net that changes images or is not known.

    Args:
        name: Name of the class. None lets nnU-Net choose.
        path: The file that names it.
    """
    if name not in (None, "None", *READERS):
        raise InputError(f"{path}: got the reader {name}, wanted one of {', '.join(READERS)}; convert the files")


Described = tuple[tuple[str, ...], dict[int, int], dict[str, tuple[int, ...]] | None]


def _classes(labels: dict[str, Any], path: Path) -> Described:
    """Return the names of the classes, the class of each number in masks, and the regions.

    A region is a label with several numbers. Then the numbers that are in the same regions are one class.
    """
    if IGNORE in labels:
        raise InputError(
            f"{path}: got the label {IGNORE!r}, wanted masks in which all voxels are labelled; remove such cases and "
            "the label"
        )
    with refuse_damage(path, "a number, or a list of numbers, for each label", "correct labels"):
        lists = {name: value if isinstance(value, list) else [value] for name, value in labels.items()}
        members = {name: tuple(map(int, value)) for name, value in lists.items()}
    numbers = sorted({number for each in members.values() for number in each})
    if numbers != list(range(len(numbers))) or len(numbers) < 2 or 0 not in members.get("background", ()):
        raise InputError(
            f"{path}: got labels {list_values(numbers)}, wanted 0, 1 and so on, with background 0; renumber them"
        )
    regions = {name: each for name, each in members.items() if any(each)}
    if all(len(each) == 1 for each in regions.values()):
        if len(members) != len(numbers):
            raise InputError(f"{path}: got two labels of one number, wanted a number for each; correct labels")
        return tuple(sorted(members, key=lambda name: members[name])), {n: n for n in numbers}, None
    inside = {n: tuple(name for name, each in regions.items() if n in each) for n in numbers}
    kinds = [(), *dict.fromkeys(names for names in inside.values() if names)]
    joined = [[n for n in numbers if inside[n] == names] for names in kinds[1:]]
    classes = ("background", *("label " + " ".join(map(str, each)) for each in joined))
    of_region = {name: tuple(kinds.index(names) for names in kinds if name in names) for name in regions}
    return classes, {n: kinds.index(inside[n]) for n in numbers}, of_region


def _found(folder: Path, part: str, ending: str) -> dict[str, Case]:
    """Find the cases of imagesTr or imagesTs with their masks."""
    images, labels = existing_folder(folder / f"images{part}", "dataset.root"), folder / f"labels{part}"
    pattern = re.compile(rf"(.+)_(\d{{4}}){re.escape(ending)}")
    files: dict[str, list[Path]] = {}
    for path in entries(images):
        if match := pattern.fullmatch(path.name):
            files.setdefault(match[1], []).append(path)
    cases = {}
    for name, paths in sorted(files.items()):
        numbers = [int(path.name[: -len(ending)][-4:]) for path in paths]
        if numbers != list(range(len(paths))):
            raise InputError(
                f"{images / name}: got the channels {list_values(numbers)}, wanted 0 and so on; add the missing files"
            )
        mask = labels / f"{name}{ending}"
        if not mask.is_file():
            raise InputError(f"{mask}: no such file, wanted the mask of {paths[0].name}; add it or remove the image")
        cases[name] = Case(name, tuple(paths), mask)
    return cases


def _listed(folder: Path, listed: Any, path: Path) -> dict[str, Case]:
    """Return the cases that dataset.json lists under `dataset`."""
    cases = {}
    with refuse_damage(path, "images and label of each case in dataset", "correct it"):
        for name, files in sorted(listed.items()):
            cases[name] = Case(name, tuple(folder / image for image in files["images"]), folder / files["label"])
    for case in cases.values():
        for file in (*case.images, case.mask):
            if not file.is_file():
                raise InputError(f"{file}: no such file, but dataset.json lists it; add it or remove case {case.name}")
    return cases


def find_splits(given: str | None, plans: str | None, folder: Path) -> Path | None:
    """Return the file with the folds: the given one, or one beside the plans or dataset.json; None if there is none."""
    if given is not None:
        if not Path(given).is_file():
            raise InputError(f"dataset.splits: got {given}, which is no file; set it to {SPLITS}, or to null")
        return Path(given)
    places = [*([Path(plans).parent] if plans else []), folder]
    return next((place / SPLITS for place in places if (place / SPLITS).is_file()), None)


def held_out_cases(path: Path | None, fold: int, names: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the training and the validation cases of a fold.

    Args:
        path: The file with the folds. Without it, the folds are those that nnU-Net draws and writes: 5 folds of the
            sorted names, shuffled with the seed 12345.
        fold: Number of the fold, from 0.
        names: Names of the cases with files.

    Raises:
        InputError: There is no such fold, or the file lists cases that have no files, or one case in both parts.
    """
    if path is None:
        log.warning("no %s beside the plans or dataset.json: the folds are those that nnU-Net draws by default", SPLITS)
        folds = _default_folds(names)
    else:
        with refuse_damage(path, "a list of folds with train and val", "correct it"):
            content = json.loads(path.read_text(encoding="utf-8"))
            folds = [(list(map(str, each["train"])), list(map(str, each["val"]))) for each in content]
    if isinstance(fold, bool) or not isinstance(fold, int) or not 0 <= fold < len(folds):
        raise InputError(f"dataset.fold: got {fold!r}, wanted a number from 0 to {len(folds) - 1}; change dataset.fold")
    train, val = folds[fold]
    if both := sorted(set(train) & set(val)):
        raise InputError(f"{path}: fold {fold} has {both[0]} in train and in val, wanted each case in one; correct it")
    if absent := sorted({*train, *val} - set(names)):
        raise InputError(
            f"{path}: fold {fold} lists {list_values(absent, 3)}, which has no file in imagesTr; set "
            "dataset.root to the dataset of this file"
        )
    return train, val


def _default_folds(names: Sequence[str]) -> list[tuple[list[str], list[str]]]:
    from sklearn.model_selection import KFold  # here, because it takes a second to load

    if len(names) < FOLDS:
        raise InputError(f"dataset: got {len(names)} cases, wanted at least {FOLDS} for {FOLDS} folds; add cases")
    ordered = np.sort(list(names))
    drawn = KFold(FOLDS, shuffle=True, random_state=SEED).split(ordered)
    return [([str(name) for name in ordered[a]], [str(name) for name in ordered[b]]) for a, b in drawn]
