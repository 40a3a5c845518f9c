"""A task of the Medical Segmentation Decathlon, or any folder of its layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.datasets.common import existing_folder, refuse_damage, seeded_split, shown, unpacked, with_val
from bench.datasets.data import Data
from bench.datasets.load import Pair
from bench.datasets.volumes import volumetric
from bench.errors import InputError

SUFFIX = ".nii.gz"


def decathlon(
    root: str,
    task: str = "Task04_Hippocampus",
    download: bool = False,
    patch: int | Sequence[int] | None = None,
    spacing: float | Sequence[float] | None = None,
    intensity: str = "zscore",
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Volumes of root/TASK/dataset.json with their masks, in RAS orientation; its test volumes have none and stay out.

    Training draws patches, accuracy is of whole volumes by sliding windows, and what is measured of layers is measured
    on one patch of each volume, around the middle of what is labelled.

    download: fetch root/TASK.tar by MONAI, which checks its MD5.
    patch: a side, or one per axis; None is as large as the smallest volume.
    spacing: millimetres of a voxel to resample to, one or three; None keeps each volume's own.
    intensity: of each volume and channel, `zscore`, `minmax` or `percentiles` (0.5 and 99.5 to 0 and 1, clipped).
    n: a seeded draw of so many for (train, val, test); None in it, or for it, means all.

    Errors: `InputError` for a missing folder, a dataset.json that is not one, files that can't be read or do not fit,
    mask values that are no classes, a volume smaller than the patch.
    Source: Antonelli et al., Nature Communications 13:4128 (2022), http://medicaldecathlon.com.

    Example::

        decathlon("decathlon", task="Task04_Hippocampus", patch=[32, 40, 24]).card()
    """
    root = _downloaded(root, task) if download else existing_folder(root)
    folder = root / task
    content = read_description(folder / "dataset.json")
    pairs = [_pair(folder, each) for each in content["training"]]
    if len({pair.name for pair in pairs}) < len(pairs):
        raise InputError(f"{folder / 'dataset.json'}: lists an image twice, wanted each once; correct training")
    groups = np.array([pair.name for pair in pairs])
    numbered = numbered_classes(content["labels"], folder / "dataset.json")
    return volumetric(
        task,
        pairs,
        with_val(seeded_split(groups, test_share, split_seed), groups, val_share, split_seed),
        classes=[numbered[number] for number in sorted(numbered)],
        patch=patch,
        spacing=spacing,
        intensity=intensity,
        n=n,
        seed=split_seed,
        augment=augment,
        licence=str(content.get("licence", "unknown")),
        source=str(folder),
    )


def read_description(path: Path) -> dict:
    """dataset.json, with its `labels` and a list of image and label in `training`."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; check dataset.root and dataset.task, or set dataset.download=true")
    with refuse_damage(path, "the description of a task", "correct it"):
        content = json.loads(path.read_text(encoding="utf-8"))
    fits = isinstance(content, dict) and isinstance(content.get("labels"), dict)
    listed = content.get("training") if fits else None
    if not isinstance(listed, list) or not listed or not all(map(_is_listed, listed)):
        raise InputError(f"{path}: wanted labels, and image and label of each in training; correct it")
    return content


def _is_listed(each) -> bool:
    return isinstance(each, dict) and all(isinstance(each.get(key), str) for key in ("image", "label"))


def numbered_classes(labels: dict, path: Path) -> dict[int, str]:
    """The names of the classes by their numbers, from {"1": NAME} or, as nnU-Net has it, {NAME: 1}.

    >>> numbered_classes({"background": 0, "Tumour": 1}, Path("dataset.json"))
    {0: 'background', 1: 'tumour'}
    """
    named_first = all(isinstance(number, int) for number in labels.values())
    pairs = [(number, name) if named_first else (name, number) for name, number in labels.items()]
    try:
        numbered = {int(number): str(name).lower() for number, name in pairs}
    except (TypeError, ValueError):
        numbered = {}
    if sorted(numbered) != list(range(len(labels))) or len(numbered) < 2:
        raise InputError(
            f"{path}: got labels {shown(numbered or labels.items())}, wanted 0, 1 and so on, each with a name; "
            "renumber them"
        )
    return numbered


def _pair(folder: Path, listed: dict) -> Pair:
    image, mask = folder / listed["image"], folder / listed["label"]
    for path in (image, mask):
        if not path.is_file():
            raise InputError(f"{path}: listed in dataset.json, and no such file; add it or take it off the list")
    return Pair(image.name.removesuffix(SUFFIX), image, mask)


def _downloaded(root: str, task: str) -> Path:
    from monai.apps import DecathlonDataset

    if task not in DecathlonDataset.resource:
        raise InputError(
            f"dataset.task: got {task!r}, wanted one of {', '.join(DecathlonDataset.resource)} to download"
        )
    return unpacked(root, task, DecathlonDataset.resource[task], DecathlonDataset.md5[task])
