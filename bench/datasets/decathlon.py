"""A task of the Medical Segmentation Decathlon, or any folder with its layout."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from bench.datasets.cache import FOLDER
from bench.datasets.common import existing_folder, list_values, refuse_damage, seeded_split, unpacked, with_val
from bench.datasets.data import TOLERANCE, Data
from bench.datasets.reading import Pair
from bench.datasets.volumes import volumetric
from bench.errors import InputError

SUFFIXES = (".nii.gz", ".nii", ".nrrd")


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
    tolerance: float = TOLERANCE,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
) -> Data:
    """Load the volumes that root/TASK/dataset.json lists for training, with their masks, in RAS orientation.

    It may list NIfTI files, NRRD files, or folders of DICOM slices. The test volumes of the source are not used,
    because they have no masks. Training draws patches. Accuracy is of whole volumes, by sliding windows. Layers are
    measured on one patch of each volume, around the centre of its labelled voxels.

    Args:
        root: Folder of the tasks.
        task: Folder of the task in root.
        download: Whether to download root/TASK.tar by MONAI, which checks its MD5.
        patch: Sides of a patch: one number, or one per axis. None takes the largest patch that fits into every volume.
        spacing: Size of a voxel after resampling, in millimetres: one number, or three. None does not resample.
        intensity: Scaling of each volume and channel: `zscore`, `minmax`, or `percentiles` (0.5 % to 0 and 99.5 % to 1,
            clipped).
        n: Number of volumes to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the training volumes for validation.
        test_share: Share of the volumes for the test split.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.
        tolerance: Largest distance in millimetres at which surfaces agree, for the normalised surface Dice.
        cache: Where volumes are held, as in `image_folder`.
        cache_folder: Folder of the cache, as in `image_folder`.

    Raises:
        InputError: The folder is missing, dataset.json is not valid, files can't be read or do not fit together, mask
            values are not classes, or a volume is smaller than the patch.

    References:
        Antonelli et al., Nature Communications 13:4128 (2022), http://medicaldecathlon.com.

    Example::

        decathlon("decathlon", task="Task04_Hippocampus", patch=[32, 40, 24]).card()
    """
    folder = (_download(root, task) if download else existing_folder(root)) / task
    content = read_description(folder / "dataset.json")
    pairs = [_find_pair(folder, each) for each in content["training"]]
    if len({pair.name for pair in pairs}) < len(pairs):
        raise InputError(f"{folder / 'dataset.json'}: got an image twice, wanted each image once; correct training")
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
        tolerance=tolerance,
        licence=str(content.get("licence", "unknown")),
        source=str(folder),
        cache=cache,
        cache_folder=cache_folder,
    )


def read_description(path: Path) -> dict:
    """Read dataset.json, with its `labels` and the list of image and label in `training`.

    Raises:
        InputError: The file is missing, can't be read, or lacks one of the two.
    """
    if not path.is_file():
        raise InputError(f"{path}: no such file; check dataset.root and dataset.task, or set dataset.download=true")
    with refuse_damage(path, "the description of a task", "correct it"):
        content = json.loads(path.read_text(encoding="utf-8"))
    fits = isinstance(content, dict) and isinstance(content.get("labels"), dict)
    listed = content.get("training") if fits else None
    if not isinstance(listed, list) or not listed or not all(map(_is_listed, listed)):
        raise InputError(f"{path}: wanted labels, and image and label of each volume in training; correct it")
    return content


def _is_listed(each) -> bool:
    return isinstance(each, dict) and all(isinstance(each.get(key), str) for key in ("image", "label"))


def numbered_classes(labels: dict, path: Path) -> dict[int, str]:
    """Return the names of the classes by their numbers.

    Args:
        labels: {"1": NAME}, or {NAME: 1} as in nnU-Net.
        path: The file, for messages.

    Raises:
        InputError: The numbers are not 0, 1 and so on, at least two.

    Examples:
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
            f"{path}: got labels {list_values(numbered or labels.items())}, wanted 0, 1 and so on, each with a name; "
            "renumber them"
        )
    return numbered


def _find_pair(folder: Path, listed: dict) -> Pair:
    image, mask = folder / listed["image"], folder / listed["label"]
    for path in (image, mask):
        if not path.exists():
            raise InputError(f"{path}: no such file, but dataset.json lists it; add it or remove it from the list")
    suffix = next((each for each in SUFFIXES if image.name.endswith(each)), "")
    return Pair(image.name.removesuffix(suffix), image, mask)


def _download(root: str, task: str) -> Path:
    from monai.apps import DecathlonDataset

    if task not in DecathlonDataset.resource:
        raise InputError(
            f"dataset.task: got {task!r}, wanted one of {', '.join(DecathlonDataset.resource)} to download"
        )
    return unpacked(root, task, DecathlonDataset.resource[task], DecathlonDataset.md5[task])
