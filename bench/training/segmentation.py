"""Segmentation: Dice, IoU and distances of surfaces, in millimetres where the size of a pixel is known."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import one_hot

from bench.datasets.data import TOLERANCE
from bench.datasets.splits import in_regions

Masks = tuple[torch.Tensor, torch.Tensor]
Regions = dict[str, tuple[int, ...]]
DISTANCE = "hd95"  # the columns of this distance begin with it


def segmentation_table(
    logits: torch.Tensor,
    targets: torch.Tensor,
    classes: Sequence[str],
    regions: Regions | None = None,
    spacing: np.ndarray | None = None,
    tolerance: float = TOLERANCE,
) -> pd.DataFrame:
    """Compute Dice, IoU and distances of every image, as means over the foreground classes.

    A class that is neither in the prediction nor in the truth of an image has Dice and IoU 1. The column `both_empty`
    counts such classes. The distances are those of `surface_distances`: `hd95` in pixels, or `hd95_mm`, `assd_mm` and
    NSD, such as `nsd_2mm`. Each is the mean over the classes that are in the prediction or the truth. It is NaN if
    there are none. HD95 and ASSD are also NaN if one of them is absent from the other.

    Args:
        logits: (n, outputs, *spatial).
        targets: (n, *spatial).
        classes: Names of the classes, the background first.
        regions: Regions that may overlap, with the numbers of their classes. They replace the foreground classes.
        spacing: (n, axes) the size of a pixel in millimetres, or None if it is not known.
        tolerance: Tolerance of NSD in millimetres.

    Returns:
        A row for each image. For several foreground classes also the columns `dice.CLASS` and `hd95.CLASS` (or
        `hd95_mm.CLASS`).
    """
    from monai.metrics import compute_iou

    masks = to_masks(logits, targets, len(classes), regions)
    distances = surface_distances(masks, spacing, tolerance)
    in_prediction, in_truth = (mask[:, 1:].flatten(2).any(dim=2).numpy() for mask in masks)  # (n, foreground classes)
    occurs = in_prediction | in_truth
    with np.errstate(invalid="ignore"):  # 0 / 0 where no class occurs
        means = {name: np.where(occurs, each, 0).sum(axis=1) / occurs.sum(axis=1) for name, each in distances.items()}
    iou = compute_iou(*masks, include_background=False, ignore_empty=False).mean(dim=1)
    dice = dice_of(masks)
    table = pd.DataFrame({"dice": dice.mean(dim=1).numpy(), "iou": iou.numpy(), **means})
    names = tuple(regions or classes[1:])
    for row, name in enumerate(names if len(names) > 1 else ()):
        table[f"dice.{name}"] = dice[:, row].numpy()
        for distance in (each for each in distances if each.startswith(DISTANCE)):
            table[f"{distance}.{name}"] = distances[distance][:, row]
    return table.assign(both_empty=(~occurs).sum(axis=1))


def surface_distances(masks: Masks, spacing: np.ndarray | None, tolerance: float) -> dict[str, np.ndarray]:
    """Compute distances of each image and foreground class.

    A surface has the pixels of a mask that have a neighbour outside, along an axis or at the border of the image.

    Args:
        masks: Prediction and truth, (n, classes, *spatial) of 0 and 1 with the background first.
        spacing: (n, axes) the size of a pixel in millimetres, or None if it is not known.
        tolerance: Tolerance of NSD in millimetres.

    Returns:
        (n, foreground classes) by name. Without a spacing only `hd95`, in pixels. With a spacing

        - `hd95_mm`: the 95 % quantile of the distances to the other surface; the larger one of the two directions.
        - `assd_mm`: the average symmetric surface distance, the mean over the pixels of both surfaces.
        - `nsd_2mm` for a tolerance of 2: the normalised surface Dice, the share of the pixels of both surfaces that are
          within the tolerance of the other surface.

        Distances are NaN if the class is absent from the prediction or the truth. NSD is then 0, and NaN if it is
        absent from both.

    References:
        Maier-Hein et al., Nature Methods 21:195 (2024); NSD: Nikolov et al. 2018, arXiv 1809.04430.

    Examples:
        >>> truth = torch.zeros(1, 2, 12, 12)
        >>> truth[0, 1, 3:9, 3:9] = 1
        >>> shifted = truth.roll(1, dims=3)
        >>> found = surface_distances((shifted, truth), np.array([[0.5, 2.0]]), tolerance=1)
        >>> {name: round(values.item(), 3) for name, values in found.items()}
        {'hd95_mm': 2.0, 'assd_mm': 0.75, 'nsd_1mm': 0.7}
    """
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    sides: Sequence[Sequence[float]] | None = None if spacing is None else spacing.tolist()
    with warnings.catch_warnings(action="ignore"):  # about empty masks, which the result shows too
        far = compute_hausdorff_distance(*masks, include_background=False, percentile=95, spacing=sides)
        if sides is None:
            return {DISTANCE: _defined(far, masks)}
        mean = compute_average_surface_distance(*masks, include_background=False, symmetric=True, spacing=sides)
        share = compute_surface_dice(*masks, [tolerance] * far.shape[1], include_background=False, spacing=sides)
    return {
        f"{DISTANCE}_mm": _defined(far, masks),
        "assd_mm": _defined(mean, masks),
        f"nsd_{tolerance:g}mm": share.numpy().astype(float),
    }


def _defined(values: torch.Tensor, masks: Masks) -> np.ndarray:
    """Return NaN in place of the values of classes that are absent from the prediction or the truth."""
    present = [mask[:, 1:].flatten(2).any(dim=2) for mask in masks]
    return torch.where(present[0] & present[1], values, torch.nan).numpy()


def to_masks(
    logits: torch.Tensor, targets: torch.Tensor, classes: int, regions: Regions | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prediction and truth of each class, or of background and each region: (n, classes, *spatial) each."""
    if regions:
        both = (logits > 0).float(), in_regions(targets, regions)
        prediction, truth = (torch.cat([1 - each.amax(dim=1, keepdim=True), each], dim=1) for each in both)
        return prediction, truth
    both = predicted_classes(logits), targets
    prediction, truth = (one_hot(each, classes).movedim(-1, 1).float() for each in both)
    return prediction, truth


def predicted_classes(logits: torch.Tensor) -> torch.Tensor:
    """Return the class of each pixel or sample: logits (n, outputs, *spatial) to (n, *spatial).

    Examples:
        >>> predicted_classes(torch.tensor([[0.2, 0.9], [0.7, 0.1]])), predicted_classes(torch.tensor([[-1.0], [2.0]]))
        (tensor([1, 0]), tensor([0, 1]))
    """
    return (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)


def dice_of(masks: Masks) -> torch.Tensor:
    """Return the Dice of each image and foreground class."""
    from monai.metrics import compute_dice

    return compute_dice(*masks, include_background=False, ignore_empty=False)
