"""A dataset in the raw format v2 of nnU-Net, preprocessed by the plans of nnU-Net."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import NamedTuple

import numpy as np
import torch

from bench.datasets.augment import augmentation
from bench.datasets.common import hold_out, list_values, rows_by_split
from bench.datasets.data import Data, Volumes
from bench.datasets.memory import COPIES, FLOAT, INT, check_memory
from bench.datasets.nnunet_files import Case, Grid, grid_of, read_case
from bench.datasets.nnunet_preprocessing import Recipe, preprocess
from bench.datasets.nnunet_raw import Raw, check_reader, find_splits, held_out_cases, read_raw
from bench.datasets.preparing import sides
from bench.datasets.progress import progress
from bench.datasets.volumes import patches
from bench.errors import InputError
from models.nnunet_plans import Plans, read_plans


class Sample(NamedTuple):
    """A preprocessed volume or slice: image (channels, *spatial), mask (*spatial), name, and the case as group."""

    image: torch.Tensor
    mask: torch.Tensor
    name: str
    group: str


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

    Raises:
        InputError: A folder or file is missing or not valid, the plans or the fold do not fit the dataset, or mask
            values are not classes.

    References:
        Isensee et al., Nature Methods 18:203 (2021), https://github.com/MIC-DKFZ/nnUNet.

    Example::

        nnunet("nnUNet_raw/Dataset004_Hippocampus", plans="nnUNetPlans.json", configuration="2d", fold=0).card()
    """
    raw = read_raw(root)
    plan = None if plans is None else read_plans(plans, configuration)
    recipe = _recipe(raw, plan)
    cases, assigned = _assign(raw, find_splits(splits, plans, raw.folder), fold, val_share, split_seed)
    rows = rows_by_split(assigned, n, split_seed)
    kept = [cases[row] for row in np.sort(np.concatenate(list(rows.values())))]
    grids = {case.name: grid_of(case.images[0]) for case in kept}
    dims = _dims(plan, configuration, grids)
    _check_memory(raw, grids, recipe)
    loaded = {}
    for case in progress(kept, f"load {raw.folder.name}", "cases", len(kept)):
        loaded[case.name] = _load(case, raw, recipe, dims, slices)
    size = _patch(patch, plan, dims, [sample for samples in loaded.values() for sample in samples])
    volumes = {part: _volumes([loaded[cases[row].name] for row in members], size) for part, members in rows.items()}
    whole = any(tuple(mask.shape) != size for part in volumes.values() for mask in part.targets)
    return Data(
        name=raw.folder.name,
        task="segmentation",
        classes=raw.classes,
        **{part: patches(each, size) for part, each in volumes.items()},
        augment=augmentation(augment, dims, patch=size if whole else None),
        volumes=volumes if whole else None,
        regions=raw.regions,
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


def _assign(raw: Raw, path, fold: int, val_share: float, seed: int) -> tuple[list[Case], np.ndarray]:
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


def _check_memory(raw: Raw, grids: Mapping[str, Grid], recipe: Recipe) -> None:
    """Raise InputError if the preprocessed cases do not fit in memory, by the headers of their images."""
    voxels = 0.0
    for grid in grids.values():
        spacing = [grid.spacing[axis] for axis in recipe.transpose]
        wanted = recipe.spacing or spacing
        shrinks = [old / new for old, new in zip(spacing[len(spacing) - len(wanted) :], wanted, strict=True)]
        voxels += prod(grid.shape) * prod(shrinks)
    needed = COPIES * (len(raw.channels) * FLOAT + INT) * voxels
    check_memory(needed, f"dataset: {len(grids)} cases of {len(raw.channels)} channels", "lower dataset.n")


def _load(case: Case, raw: Raw, recipe: Recipe, dims: int, slices: int | None) -> list[Sample]:
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
    image, mask = preprocess(image, mask, spacing, recipe)
    classes_of = np.array([raw.labels[number] for number in sorted(raw.labels)])
    pixels, classes = torch.from_numpy(image), torch.from_numpy(classes_of[mask.clip(min=0)]).long()
    if dims == 3:
        return [Sample(pixels, classes, case.name, case.name)]
    return [
        Sample(pixels[:, row].contiguous(), classes[row].contiguous(), f"{case.name}_{row:03d}", case.name)
        for row in _rows(classes, slices)
    ]


def _rows(mask: torch.Tensor, slices: int | None) -> list[int]:
    """Return the slices to take: all, or some that are evenly spaced among those with labels."""
    if slices is None:
        return list(range(len(mask)))
    if isinstance(slices, bool) or not isinstance(slices, int) or slices < 1:
        raise InputError(f"dataset.slices: got {slices!r}, wanted a positive integer or null; change dataset.slices")
    labelled = (mask > 0).flatten(1).any(dim=1).nonzero().flatten().tolist() or list(range(len(mask)))
    at = np.linspace(0, len(labelled) - 1, min(slices, len(labelled)) + 2)[1:-1]  # without the ends
    return [labelled[round(row)] for row in at]


def _patch(
    patch: int | Sequence[int] | None, plan: Plans | None, dims: int, samples: Sequence[Sample]
) -> tuple[int, ...]:
    """Return the sides of a patch."""
    if patch is not None:
        return sides(patch, dims, "dataset.patch")
    if plan is not None:
        return plan.patch_size
    return tuple(int(side) for side in np.min([sample.mask.shape for sample in samples], axis=0))


def _volumes(cases: Sequence[Sequence[Sample]], size: tuple[int, ...]) -> Volumes:
    """Join the samples of a split, padded to the size of a patch."""
    samples = [sample for case in cases for sample in case]
    return Volumes(
        tuple(_padded(sample.image, size) for sample in samples),
        tuple(_padded(sample.mask, size) for sample in samples),
        np.array([sample.group for sample in samples]),
        tuple(sample.name for sample in samples),
    )


def _padded(array: torch.Tensor, size: tuple[int, ...]) -> torch.Tensor:
    """Pad the last axes with zeros on both sides, so that they are at least as long as a patch."""
    missing = [max(0, least - side) for least, side in zip(size, array.shape[-len(size) :], strict=True)]
    return torch.nn.functional.pad(array, [zeros for m in reversed(missing) for zeros in (m // 2, m - m // 2)])
