"""Images and masks in two folders, matched by the stems of their names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np

from bench.datasets.augment import augmentation
from bench.datasets.cache import FOLDER
from bench.datasets.common import existing_folder, require_samples, rows_by_split, seeded_split, with_val
from bench.datasets.data import TOLERANCE, Data
from bench.datasets.files import SUFFIXES, files_by_stem, shape_of
from bench.datasets.index import AUTO, read_index
from bench.datasets.load import Loading, load_large, load_pairs
from bench.datasets.overlapping import find_class_folders, pair_with_classes
from bench.datasets.patching import patch_size, patches
from bench.datasets.preparing import Size, prepared_size
from bench.datasets.reading import Pair
from bench.datasets.spacing import check_tolerance, image_spacings
from bench.datasets.splits import Split, Volumes
from bench.errors import InputError


def image_folder(
    root: str,
    size: Size = 128,
    crop: Size = None,
    patch: Size = None,
    channels: Literal["auto"] | int = "auto",
    intensity: Literal["unit", "minmax", "zscore"] = "unit",
    classes: int | Sequence[str] | None = None,
    index: str | None = AUTO,
    split: str | None = AUTO,
    group: str | None = None,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    test_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
    licence: str = "unknown",
) -> Data:
    """Load images root/images/STEM.* and masks root/masks/STEM.*, of 2 or 3 axes.

    Labels that may overlap are masks of 0 and not 0 in a folder for each class, root/masks/CLASS/STEM.*. An image
    without a file in a folder does not have its class. A network then has an output for each class, and accuracy is of
    these classes. Layers are measured about the combinations of classes that occur.

    Large images stay whole with `patch`: training draws patches, accuracy is of whole images by sliding windows, and
    layers are measured on one patch of each image, around the centre of its labelled pixels.

    Formats are PNG, JPEG, BMP, GIF, WebP, TIFF of one or several pages, OME-TIFF, NumPy, NRRD, NIfTI and DICOM. A
    folder images/STEM with the slices of a DICOM series is an image. Pictures are rotated upright by their metadata.
    NIfTI, NRRD volumes and DICOM series keep their stored orientation. The mask gets the axes of the image, and the
    affines of both must then agree.

    Args:
        root: Folder with images/ and masks/.
        size: Size of the resized images: one number, or one per axis. None does not resize.
        crop: Central window in pixels, cut before resizing. A shorter side is kept whole.
        patch: Sides of a patch in pixels, after resizing: one number, or one per axis. None uses whole images. Images
            may have different sizes if size is None, but none may be smaller than the patch.
        channels: 1 or 3. `auto` is 3 if any image has colour; grey images are then repeated.
        intensity: `unit` divides by the maximum of the type of the file. `minmax` and `zscore` scale each image.
        classes: Names or number of classes, with the background first. None reads them from the masks (0/1, 0/255, or
            0 to K-1), or takes the names of the folders of classes.
        index: A csv in root with the column `stem`. `auto` takes index.csv if there is one; None takes none.
        split: Column of the index with train, val or test. `auto` takes the column `split` if the index has one. The
            split is random without such a column, without an index, or for None.
        group: Column of the index with groups that must stay in one split, such as patients.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the training groups for validation, if no row has val.
        test_share: Share of the groups for the test split, if the split is random.
        split_seed: Seed of the split and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.
        tolerance: Largest distance in millimetres at which surfaces agree, for the normalised surface Dice. It has an
            effect if the files have the size of a pixel.
        cache: Where samples are held: `memory`; `disk`, in files of `cache_folder` that later runs use again; or
            `auto`, which takes disk if they would take more than a quarter of the available memory.
        cache_folder: Folder of the cache.
        licence: Licence of the data.

    Raises:
        InputError: The root is missing, a file has no partner or can't be read, the index does not fit, sizes differ,
            mask values are not classes, a split is empty, or an image is smaller than the patch.

    Example::

        image_folder("data/cardiac", size=64, group="patient").card()
    """
    folder = existing_folder(root)
    pairs, overlapping = find_pairs(folder, classes)
    assigned, groups = read_index(folder, index, [pair.name for pair in pairs], split, group)
    if assigned is None:
        assigned = seeded_split(groups, test_share, split_seed)
    assigned = with_val(assigned, groups, val_share, split_seed)
    return segmentation(
        folder.resolve().name,
        pairs,
        assigned,
        groups,
        Loading(size, crop, channels, intensity, classes, overlapping, cache, cache_folder),
        patch=patch,
        n=n,
        seed=split_seed,
        augment=augment,
        tolerance=tolerance,
        licence=licence,
        source=str(folder),
    )


def segmentation(
    name: str,
    pairs: Sequence[Pair],
    assigned: np.ndarray,
    groups: np.ndarray,
    loading: Loading,
    *,
    patch: Size,
    n: Sequence[int | None] | None = None,
    seed: int = 0,
    augment: str | Sequence[str] | None,
    tolerance: float = TOLERANCE,
    licence: str,
    source: str,
) -> Data:
    """Make a `Data` for segmentation.

    Args:
        name: Name of the dataset.
        pairs: The files of n images and their masks.
        assigned: (n,) the split of each pair.
        groups: (n,) the group of each pair.
        loading: How the files are loaded.
        patch: Sides of a patch, or None.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        seed: Seed of the draw.
        augment: Names of augmentations.
        tolerance: Tolerance of the normalised surface Dice in millimetres.
        licence: Licence of the data.
        source: Where the data come from.
    """
    check_tolerance(tolerance)
    require_samples(assigned, source)
    rows = rows_by_split(assigned, n, seed)
    kept = np.sort(np.concatenate(list(rows.values())))
    pairs = [pairs[row] for row in kept]
    window = volumes = None
    if patch is not None:
        sizes = {pair.name: prepared_size(shape_of(pair.image)[1:], loading.crop, loading.size) for pair in pairs}
        window = patch_size(patch, sizes)
    images, masks, classes, regions = (load_large if window else load_pairs)(pairs, loading, name)
    dims, names = masks[0].ndim, tuple(pair.name for pair in pairs)
    spacing = image_spacings(name, pairs, dims, loading.crop, loading.size)
    taken = {part: np.searchsorted(kept, members) for part, members in rows.items()}
    if window:
        large = Volumes(images, masks, groups[kept], names, spacing)
        volumes = {part: large.take(members) for part, members in taken.items()}
        splits = {part: patches(each, window) for part, each in volumes.items()}
    else:
        whole = Split(images, masks, groups[kept], names, spacing)
        splits = {part: whole.take(members) for part, members in taken.items()}
    return Data(
        name=name,
        task="segmentation",
        classes=classes,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        augment=augmentation(augment, dims, patch=window),
        volumes=volumes,
        regions=regions,
        tolerance=tolerance,
        licence=licence,
        source=source,
    )


def find_pairs(root: Path, classes: int | Sequence[str] | None) -> tuple[list[Pair], tuple[str, ...]]:
    """Find the image and the mask of each stem, or raise InputError if one is missing.

    Returns:
        The pairs, and the names of the folders of classes, which are empty if there are none.
    """
    images = files_by_stem(root / "images")
    if images and (folders := find_class_folders(root / "masks", images)):
        return pair_with_classes(images, folders, classes)
    masks = files_by_stem(root / "masks")
    for stem, path in images.items():
        if stem not in masks:
            raise InputError(f"{path}: got an image without mask, wanted masks/{stem}.*; add it or remove the image")
    for stem, path in masks.items():
        if stem not in images:
            raise InputError(f"{path}: got a mask without image, wanted images/{stem}.*; add it or remove the mask")
    if not images:
        raise InputError(f"{root / 'images'}: got no image, wanted files of {', '.join(SUFFIXES)}; check dataset.root")
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)], ()
