"""The 2018 Data Science Bowl in the layout of Kaggle: a folder per image, and a mask per nucleus."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from bench.datasets.cache import FOLDER
from bench.datasets.common import existing_folder, seeded_split, with_val
from bench.datasets.data import Data
from bench.datasets.files import entries, files_by_stem
from bench.datasets.image_folder import segmentation
from bench.datasets.load import Loading
from bench.datasets.preparing import Size
from bench.datasets.reading import Pair
from bench.errors import InputError

CLASSES = ("background", "nucleus")


def dsb2018(
    root: str,
    size: Size = 128,
    crop: Size = None,
    patch: Size = None,
    channels: Literal["auto"] | int = "auto",
    intensity: Literal["unit", "minmax", "zscore"] = "unit",
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
) -> Data:
    """Load images of nuclei: ID/images/ID.png, with the masks ID/masks/*.png joined by OR.

    Args:
        root: Folder of the ID folders, or of stage1_train/ with them. If it has stage1_test/ with masks, that is the
            test split.
        size: Size, as in `image_folder`.
        crop: Central window, as in `image_folder`.
        patch: Patch, as in `image_folder`.
        channels: Channels, as in `image_folder`.
        intensity: Scaling, as in `image_folder`.
        val_share: Share of the training images for validation.
        test_share: Share of the images for the test split, if there is no stage1_test/ with masks.
        split_seed: Seed of the split.
        augment: Any of `flips`, `rotations`, `intensity`.
        cache: Where samples are held, as in `image_folder`.
        cache_folder: Folder of the cache, as in `image_folder`.

    Raises:
        InputError: The root is missing, an ID has no image or no masks, or `image_folder` refuses a file.

    References:
        Caicedo et al., Nature Methods 16:1247-1253 (2019), https://bbbc.broadinstitute.org/BBBC038.

    Example::

        dsb2018("data-science-bowl-2018", size=[128, 128]).card()
    """
    folder = existing_folder(root)
    train_folder = folder / "stage1_train" if (folder / "stage1_train").is_dir() else folder
    train = find_nuclei(train_folder)
    test = find_nuclei(folder / "stage1_test") if any(folder.glob("stage1_test/*/masks")) else []
    pairs = train + test
    groups = np.array([pair.name for pair in pairs])
    if test:
        assigned = np.array(["train"] * len(train) + ["test"] * len(test))
    else:
        assigned = seeded_split(groups, test_share, split_seed)
    return segmentation(
        "dsb2018",
        pairs,
        with_val(assigned, groups, val_share, split_seed),
        groups,
        Loading(size, crop, channels, intensity, CLASSES, cache=cache, cache_folder=cache_folder),
        patch=patch,
        augment=augment,
        licence="CC0-1.0",
        source="https://bbbc.broadinstitute.org/BBBC038",
    )


def find_nuclei(folder: Path) -> list[Pair]:
    """Find the image and the masks of each ID, or raise InputError if one has none."""
    pairs = []
    for case in (path for path in entries(folder) if path.is_dir()):
        images, masks = files_by_stem(case / "images"), files_by_stem(case / "masks")
        if len(images) != 1 or not masks:
            raise InputError(
                f"{case}: got {len(images)} images and {len(masks)} masks, wanted one image and its masks; "
                "unpack the archive again or remove the folder"
            )
        pairs.append(Pair(case.name, next(iter(images.values())), tuple(masks.values())))
    if not pairs:
        raise InputError(f"{folder}: got no ID/images/ID.png, wanted the unpacked Kaggle folder; check dataset.root")
    return pairs
