"""A dataset in the raw format v2 of nnU-Net, preprocessed by the plans of nnU-Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from math import prod
from pathlib import Path
from typing import Literal

import numpy as np
import torch

from bench.datasets.augment import augmentation
from bench.datasets.cache import FOLDER, Cache
from bench.datasets.common import hold_out, list_values, rows_by_split
from bench.datasets.data import TOLERANCE, Data
from bench.datasets.memory import Extent
from bench.datasets.nnunet_files import Case as NnunetCase
from bench.datasets.nnunet_files import Grid, grid_of, is_spacing_known, read_case
from bench.datasets.nnunet_preprocessing import Recipe, preprocess
from bench.datasets.nnunet_raw import Raw, check_reader, find_splits, held_out_cases, read_raw
from bench.datasets.patching import patches
from bench.datasets.preparing import sides
from bench.datasets.spacing import check_tolerance
from bench.datasets.volume_cases import Case, read_cases, volumes_of
from bench.errors import InputError
from models.nnunet_plans import Plans, read_plans


def nnunet(
    root: str,
    plans: str | None = None,
    configuration: str | None = None,
    fold: int = 0,
    splits: str | None = None,
    patch: int | Sequence[int] | None = None,
    slices: int | None = None,
    n: Sequence[int | None] | None = None,
    val_share: float = 0.2,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
    tolerance: float = TOLERANCE,
    cache: Literal["auto", "memory", "disk"] = "auto",
    cache_folder: str = FOLDER,
) -> Data:
    """Load the labelled cases of a dataset of nnU-Net.

    With plans, images and masks are preprocessed as nnU-Net does: axes, crop, normalisation, spacing. A configuration
    of 2 axes gives slices, one of 3 axes volumes. Images smaller than the patch are padded with zeros. Larger ones
    stay whole: training draws patches of them, accuracy is of whole images by sliding windows, and layers are measured
    on one patch of each image, around the centre of its labelled voxels.

    Regions, which are labels with several numbers, may overlap: a network has an output for each region, and accuracy
    is of regions. Layers are measured about the numbers, which decide all regions.

    The test split has cases that nnU-Net did not train on in this fold. It is imagesTs, if labelsTs has their masks;
    then val is the val of the fold. Else the test split is the val of the fold, and val is a random share of its
    training cases.

    Args:
        root: Folder of the dataset, such as nnUNet_raw/Dataset004_Hippocampus; or its name alone, if the environment
            variable nnUNet_raw names the folder that has it.
        plans: The plans.json of nnU-Net. None normalises each channel by its mean and deviation and does not resample.
        configuration: Name of the configuration in the plans, such as 2d or 3d_fullres. Without plans, 2d gives slices,
            and None gives volumes, or slices if all cases have one.
        fold: Number of the fold, from 0.
        splits: The splits_final.json of nnU-Net. None takes the one beside the plans or dataset.json, and without
            such a file the folds that nnU-Net draws.
        patch: Sides of a patch: one number, or one per axis. None takes the patch of the plans; without plans, the
            largest that fits into every image.
        slices: Number of slices of each case in 2d, evenly spaced among those with labels. None takes all slices.
        n: Number of cases to draw for (train, val, test). None in it, or for it, takes all.
        val_share: Share of the fold's training cases for validation, if imagesTs has no masks.
        split_seed: Seed of this share and of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.
        tolerance: Largest distance in millimetres at which surfaces agree, for the normalised surface Dice.
        cache: Where images are held, as in `image_folder`.
        cache_folder: Folder of the cache, as in `image_folder`.

    Raises:
        InputError: A folder or file is missing or not valid, the plans or the fold do not fit the dataset, or mask
            values are not classes.

    References:
        Isensee et al., Nature Methods 18:203 (2021), https://github.com/MIC-DKFZ/nnUNet.

    Example::

        nnunet("nnUNet_raw/Dataset004_Hippocampus", plans="nnUNetPlans.json", configuration="2d", fold=0).card()
    """
    check_tolerance(tolerance)
    raw = read_raw(root)
    plan = None if plans is None else read_plans(plans, configuration)
    recipe = _recipe(raw, plan)
    cases, assigned = _assign(raw, find_splits(splits, plans, raw.folder), fold, val_share, split_seed)
    rows = rows_by_split(assigned, n, split_seed)
    kept = [cases[row] for row in np.sort(np.concatenate(list(rows.values())))]
    grids = {case.name: grid_of(case.images[0]) for case in kept}
    dims = _dims(plan, configuration, grids)
    arguments = {
        "kind": "nnunet",
        "recipe": vars(recipe),
        "dims": dims,
        "slices": slices,
        "labels": [*raw.labels.items()],
    }
    read = partial(_load, raw=raw, recipe=recipe, dims=dims, slices=slices)
    entry = Cache(cache_folder, raw.folder.name, [file for case in kept for file in _files(case)], arguments)
    name, extent = raw.folder.name, partial(_extent, raw, grids, recipe)
    loaded = {case.group: case for case in read_cases(read, kept, name, "cases", extent, entry, cache)}
    size = _patch(patch, plan, dims, [*loaded.values()])
    volumes = {part: volumes_of([loaded[cases[row].name] for row in members], size) for part, members in rows.items()}
    whole = any(_exceeds(case, size) for case in loaded.values())
    return Data(
        name=raw.folder.name,
        task="segmentation",
        classes=raw.classes,
        **{part: patches(each, size) for part, each in volumes.items()},
        augment=augmentation(augment, dims, patch=size if whole else None),
        volumes=volumes if whole else None,
        regions=raw.regions,
        tolerance=tolerance,
        licence=raw.licence,
        source=str(raw.folder),
    )


def _recipe(raw: Raw, plan: Plans | None) -> Recipe:
    """Return the steps of preprocessing, after a check that the plans are for these channels."""
    if plan is None:
        return Recipe.without_plans(len(raw.channels))
    check_reader(plan.reader, plan.path)
    if len(plan.normalization_schemes) != len(raw.channels):
        raise InputError(
            f"dataset.plans: {plan.path} is for {len(plan.normalization_schemes)} channels, and {raw.folder} has "
            f"{list_values(raw.channels)}; choose the plans of this dataset"
        )
    return Recipe.of(plan)


def _dims(plan: Plans | None, configuration: str | None, grids: Mapping[str, Grid]) -> int:
    """Return the number of axes of the samples."""
    flat = all(grid.shape[0] == 1 for grid in grids.values())
    if plan is None:
        if configuration not in (None, "2d", "3d_fullres"):
            raise InputError(
                f"dataset.configuration: got {configuration} without plans, wanted 2d, 3d_fullres or null; "
                "set dataset.plans"
            )
        dims = 2 if configuration == "2d" or (configuration is None and flat) else 3
    else:
        dims = plan.dims
    if dims == 3 and flat:
        raise InputError(f"dataset.configuration: got {configuration}, and all cases have one slice; set it to 2d")
    return dims


def _assign(raw: Raw, path, fold: int, val_share: float, seed: int) -> tuple[list[NnunetCase], np.ndarray]:
    """Return the cases of the fold and the split of each."""
    train, held = held_out_cases(path, fold, list(raw.cases))
    if raw.tests:
        val, test = held, [*raw.tests.values()]
    else:
        names = np.array(train)
        val = list(names[hold_out(names, val_share, seed)])
        test = [raw.cases[name] for name in held]
    if not val:
        raise InputError(f"dataset.val_share: got {val_share}, which takes none of {len(train)} cases; raise it")
    training = [raw.cases[name] for name in train if raw.tests or name not in set(val)]
    cases = [*training, *(raw.cases[name] for name in val), *test]
    sizes = {"train": len(training), "val": len(val), "test": len(test)}
    return cases, np.repeat(list(sizes), list(sizes.values()))


def _extent(raw: Raw, grids: Mapping[str, Grid], recipe: Recipe) -> Extent:
    """Return how large the preprocessed cases are, by the headers of their images."""
    voxels = []
    for grid in grids.values():
        spacing = [grid.spacing[axis] for axis in recipe.transpose]
        wanted = recipe.spacing or spacing
        shrinks = [old / new for old, new in zip(spacing[len(spacing) - len(wanted) :], wanted, strict=True)]
        voxels.append(prod(grid.shape) * prod(shrinks))
    what = f"dataset: {len(grids)} cases of {len(raw.channels)} channels"
    return Extent(sum(voxels), max(voxels), len(raw.channels), what, "lower dataset.n")


def _files(case: NnunetCase) -> list[Path]:
    """Return all files that a case is read from, also those with the spacing of a TIFF."""
    beside = case.images[0].parent.glob(f"{case.name}*.json")
    return [*case.images, case.mask, *sorted(beside), *sorted(case.mask.parent.glob(f"{case.name}.json"))]


def _load(case: NnunetCase, raw: Raw, recipe: Recipe, dims: int, slices: int | None) -> Case:
    """Load and preprocess a case: one volume, or its slices."""
    image, mask, spacing = read_case(case)
    if len(image) != len(raw.channels):
        raise InputError(
            f"{case.images[0]}: got {len(image)} channels, wanted {len(raw.channels)} ({list_values(raw.channels)} in "
            "dataset.json); add the missing files, or correct channel_names"
        )
    found = np.unique(mask)
    if len(np.setdiff1d(found, [*raw.labels])):
        raise InputError(
            f"{case.mask}: got mask values {list_values(found)}, wanted all of {list_values(raw.labels)}; correct the "
            "mask, or the labels in dataset.json"
        )
    image, mask, voxel = preprocess(image, mask, spacing, recipe)
    sides_mm = voxel[-dims:] if is_spacing_known(case.images[0]) else None
    classes_of = np.array([raw.labels[number] for number in sorted(raw.labels)])
    classes = classes_of[mask.clip(min=0)].astype(np.uint8)
    if dims == 3:
        return Case(image[None], classes[None], [case.name], case.name, sides_mm)
    rows = _rows(torch.from_numpy(classes), slices)
    names = [f"{case.name}_{row:03d}" for row in rows]
    return Case(np.ascontiguousarray(image[:, rows].swapaxes(0, 1)), classes[rows], names, case.name, sides_mm)


def _rows(mask: torch.Tensor, slices: int | None) -> list[int]:
    """Return the slices to take: all, or some that are evenly spaced among those with labels."""
    if slices is None:
        return list(range(len(mask)))
    if isinstance(slices, bool) or not isinstance(slices, int) or slices < 1:
        raise InputError(f"dataset.slices: got {slices!r}, wanted a positive integer or null; change dataset.slices")
    labelled = (mask > 0).flatten(1).any(dim=1).nonzero().flatten().tolist() or list(range(len(mask)))
    at = np.linspace(0, len(labelled) - 1, min(slices, len(labelled)) + 2)[1:-1]  # without the ends
    return [labelled[round(row)] for row in at]


def _patch(patch: int | Sequence[int] | None, plan: Plans | None, dims: int, cases: Sequence[Case]) -> tuple[int, ...]:
    """Return the sides of a patch."""
    if patch is not None:
        return sides(patch, dims, "dataset.patch")
    if plan is not None:
        return plan.patch_size
    return tuple(int(side) for side in np.min([case.masks.shape[1:] for case in cases], axis=0))


def _exceeds(case: Case, size: tuple[int, ...]) -> bool:
    """Return whether the images of a case are larger than a patch along an axis."""
    return any(side > least for side, least in zip(case.masks.shape[1:], size, strict=True))
