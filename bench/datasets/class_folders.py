"""Images in a folder for each class, with or without folders for train, val and test above them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from bench.datasets.cache import FOLDER
from bench.datasets.common import existing_folder, list_values, reason, seeded_split, unpacked, with_val
from bench.datasets.data import Data
from bench.datasets.files import entries, files_by_stem
from bench.datasets.index import SPLIT_NAMES, check_groups, read_index
from bench.datasets.labelled import labelled
from bench.datasets.preparing import Size
from bench.errors import InputError


class Found(NamedTuple):
    """An image, its class, and the split of the folder that has it, or None."""

    name: str
    file: Path
    label: str
    split: str | None


def class_folders(
    root: str,
    size: Size = 128,
    crop: Size = None,
    channels: Literal["auto"] | int = "auto",
    intensity: Literal["unit", "minmax", "zscore"] = "unit",
    group: str | None = None,
    index: str = "index.csv",
    group_pattern: str | None = None,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
    licence: str = "unknown",
    name: str | None = None,
    folder: str | None = None,
    archive: Sequence[str] | None = None,
    download: bool = False,
) -> Data:
    """Load images root/CLASS/*, or root/train/CLASS/*, root/val/CLASS/* and root/test/CLASS/*.

    Only images that are drawn are read. The names of the classes are those of the folders, in their order.

    Args:
        root: Folder of the class folders, or of train/, val/ and test/. Without val/, a part of train/ is val.
        size: Size, as in `image_folder`.
        crop: Central window, as in `image_folder`.
        channels: Channels, as in `image_folder`.
        intensity: Scaling, as in `image_folder`.
        group: Column of the index with groups that must stay in one split, such as patients.
        index: A csv beside the class folders with the columns `path` (CLASS/FILE) and `group`. It is read for `group`.
        group_pattern: Regular expression of the group in CLASS/FILE: its first parentheses, or without any the match.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the training groups for validation, if there is no folder val/.
        test_share: Share of the groups for the test split, if there is no folder test/.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.
        cache: Where samples are held, as in `image_folder`.
        cache_folder: Folder of the cache, as in `image_folder`.
        licence: Licence of the data.
        name: Name of the dataset. None takes that of the folder.
        folder: Folder in root that has the class folders. If it does not exist, they are in root.
        archive: URL and MD5 of an archive that has `folder`.
        download: Whether to download and unpack the archive in root by MONAI, if `folder` does not exist.

    Raises:
        InputError: The folder is missing, there are fewer than two classes, a class has no image, a group is in
            several splits, or images can't be read or differ in size.

    Example::

        class_folders("data/skin", size=64, group_pattern=r"patient(\\d+)").card()
    """
    given = _download(root, folder, archive) if download else existing_folder(root)
    top = given / folder if folder and (given / folder).is_dir() else given
    found, classes = find_images(top)
    of_folders = None if found[0].split is None else np.array([each.split for each in found])
    groups = _find_groups(top, found, group, index, group_pattern)
    check_groups(groups, of_folders, f"{top}: got group", "move its images to one of train, val and test")
    assigned = seeded_split(groups, test_share, split_seed) if of_folders is None else of_folders
    return labelled(
        name or top.resolve().name,
        [each.file for each in found],
        np.array([classes.index(each.label) for each in found]),
        with_val(assigned, groups, val_share, split_seed),
        groups,
        [each.name for each in found],
        classes,
        n=n,
        seed=split_seed,
        augment=augment,
        licence=licence,
        source=str(top),
        size=size,
        crop=crop,
        channels=channels,
        intensity=intensity,
        cache=cache,
        cache_folder=cache_folder,
    )


def find_images(top: Path) -> tuple[list[Found], list[str]]:
    """Find the images of each class, and the names of the classes.

    Raises:
        InputError: There are fewer than two classes, a class has no image, train/ lacks a class, or folders of splits
            stand beside others.
    """
    folders = [path for path in entries(top) if path.is_dir()]
    of_splits = [path for path in folders if path.name.lower() in SPLIT_NAMES]
    if not of_splits:
        return _in_classes(top, None, "")
    names = [SPLIT_NAMES[path.name.lower()] for path in of_splits]
    if len(of_splits) < len(folders) or len(set(names)) < len(names) or not {"train", "test"} <= set(names):
        raise InputError(
            f"{top}: got the folders {list_values(path.name for path in folders)}, wanted train and test, with or "
            "without val, and no others; rename or move them (without val, dataset.val_share of train is val)"
        )
    found: list[Found] = []
    classes: dict[str, list[str]] = {}
    for path, split in zip(of_splits, names, strict=True):
        images, classes[split] = _in_classes(path, split, f"{path.name}/")
        found += images
    for split, each in classes.items():
        if unknown := sorted(set(each) - set(classes["train"])):
            raise InputError(
                f"{top}: got the class {unknown[0]} in {split} but not in train, wanted the classes of train, "
                f"{list_values(classes['train'])}; add or rename a folder"
            )
    return found, classes["train"]


def _in_classes(top: Path, split: str | None, prefix: str) -> tuple[list[Found], list[str]]:
    """Find the images of each class in one folder."""
    classes = [path.name for path in entries(top) if path.is_dir()]
    if len(classes) < 2:
        raise InputError(f"{top}: got {len(classes)} folders, wanted one for each class; check dataset.root")
    found = []
    for label in classes:
        files = files_by_stem(top / label)
        if not files:
            raise InputError(
                f"{top / label}: got no image, wanted a folder of images for each class; add some or remove it"
            )
        found += [Found(f"{prefix}{label}/{stem}", file, label, split) for stem, file in files.items()]
    return found, classes


def _find_groups(top: Path, found: list[Found], group: str | None, index: str, pattern: str | None) -> np.ndarray:
    """Return the group of each image: by the index, by the pattern, or the name of the image."""
    if group is not None and pattern is not None:
        raise InputError("dataset.group: got group and group_pattern, wanted one of them; remove one")
    paths = [each.file.relative_to(top).as_posix() for each in found]
    if group is not None:
        return read_index(top, index, paths, None, group, key="path")[1]
    if pattern is None:
        return np.array([each.name for each in found])
    try:
        expression = re.compile(pattern)
    except re.error as error:
        raise InputError(
            f"dataset.group_pattern: got {pattern!r}, which is no regular expression ({reason(error)}); correct it"
        ) from error
    groups = []
    for path in paths:
        match = expression.search(path)
        if match is None or not (match[1] if expression.groups else match[0]):
            raise InputError(
                f"dataset.group_pattern: got {pattern!r}, which finds no group in {path}, wanted one in each image; "
                "correct it"
            )
        groups.append(match[1] if expression.groups else match[0])
    return np.array(groups)


def _download(root: str, folder: str | None, archive: Sequence[str] | None) -> Path:
    """Download and unpack the archive if the folder is missing, and return the root."""
    if folder is None or archive is None or len(archive) != 2:
        raise InputError("dataset.download: got true, wanted dataset.folder and dataset.archive=[URL,MD5] too")
    return unpacked(root, folder, *archive)
