"""Accuracy on held-out samples: values of each image, and means with intervals over images or patients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import one_hot

from bench.datasets.data import Data, in_regions
from bench.datasets.storage import loaded
from bench.errors import TrainingError
from bench.information.statistics import bootstrap_rows, percentile_interval
from bench.training.predictions import predict, predictions

RESAMPLES = 1000
HD95_OF = "hd95."
UNDEFINED = "undefined"
Regions = dict[str, tuple[int, ...]]


def evaluate(model: torch.nn.Module, data: Data, split: str, *, seed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Compute the metrics of a split with 95 % intervals over groups, and the table of all images.

    The ends of an interval have the suffixes `_low` and `_high`. Further metrics count what a mean excludes:

    - `hd95_undefined`: number of images without HD95.
    - `hd95_undefined.CLASS`, for several foreground classes: number of images in which the class is absent from the
      prediction, from the truth or from both.
    - `dice_both_empty`: number of pairs of image and class with Dice 1 because both masks are empty.
    - Those of `classification_scores`.

    Args:
        model: The network.
        data: The dataset.
        split: Name of the split.
        seed: Seed of the bootstrap.

    Raises:
        TrainingError: The output of the network has values, such as NaN, that allow no prediction.
    """
    whole = data.whole(split)
    if data.task == "segmentation":
        predicted = (
            (_require_defined(logits, data, split), targets) for logits, targets in predictions(model, data, split)
        )
        table = pd.concat(
            [segmentation_table(*each, data.classes, data.regions) for each in predicted], ignore_index=True
        )
    else:
        samples = data.splits[split]  # only segmentation has volumes
        logits = _require_defined(predict(model, samples.images), data, split)
        targets = loaded(samples.targets)
        table = pd.DataFrame({"correct": correct(logits, targets, data)})
    measured = [column for column in table if column != "both_empty" and not column.startswith(HD95_OF)]
    table.insert(0, "name", whole.names)
    table.insert(1, "group", whole.groups)
    if data.task == "classification":
        table.insert(2, "class", [data.classes[target] for target in targets])
    metrics = dict(_means_with_intervals(table, measured, seed))
    if data.task == "segmentation":
        for column in [column for column in table if column.startswith("hd95")]:
            metrics[column.replace("hd95", f"hd95_{UNDEFINED}", 1)] = float(table[column].isna().sum())
        metrics["dice_both_empty"] = float(table["both_empty"].sum())
    else:
        metrics |= classification_scores(logits, targets, data)
    return metrics, table


def score(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> float:
    """Compute the score that selects the best checkpoint.

    Returns:
        Mean Dice for segmentation, balanced accuracy for classification, mean AUROC for multi-label data, or the
        negative mean squared error for reconstruction. NaN if AUROC is undefined for every label.
    """
    if data.task == "reconstruction":
        return -float((logits - targets).square().mean())
    if data.task == "segmentation":
        return float(part_scores(logits, targets, data).mean())
    scores = classification_scores(logits, targets, data)
    return scores.get("auroc", math.nan) if data.task == "multilabel" else scores["balanced_accuracy"]


def part_scores(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> torch.Tensor:
    """Compute the Dice of each image for segmentation, (n,), and the score of all images for other tasks, (1,)."""
    if data.task == "segmentation":
        return _dice(_masks(logits, targets, len(data.classes), data.regions)).mean(dim=1)
    return torch.tensor([score(logits, targets, data)], dtype=torch.float64)


def mean_score(parts: Sequence[torch.Tensor], data: Data) -> float:
    """Compute the score of a split from those of its parts, which `predictions` yields."""
    if data.volumes:
        return float(np.mean([float(part.mean()) for part in parts]))
    return float(torch.cat([*parts]).mean())


def segmentation_table(
    logits: torch.Tensor, targets: torch.Tensor, classes: Sequence[str], regions: Regions | None = None
) -> pd.DataFrame:
    """Compute Dice, IoU and HD95 (pixels) of every image, as means over the foreground classes.

    A class that is neither in the prediction nor in the truth of an image has Dice and IoU 1. The column `both_empty`
    counts such classes. HD95 is the mean over the classes that are in the prediction or the truth. It is NaN if there
    are none, or if one of them is absent from the other.

    Args:
        logits: (n, outputs, *spatial).
        targets: (n, *spatial).
        classes: Names of the classes, the background first.
        regions: Regions that may overlap, with the numbers of their classes. They replace the foreground classes.

    Returns:
        A row for each image. With several foreground classes, the columns `dice.CLASS` and `hd95.CLASS` hold the values
        of each class.
    """
    from monai.metrics import compute_hausdorff_distance, compute_iou

    masks = _masks(logits, targets, len(classes), regions)
    with warnings.catch_warnings(action="ignore"):  # about empty masks, which the result shows too
        distances = compute_hausdorff_distance(*masks, include_background=False, percentile=95).numpy()
    in_prediction, in_truth = (mask[:, 1:].flatten(2).any(dim=2).numpy() for mask in masks)  # (n, foreground classes)
    distances[~(in_prediction & in_truth)] = np.nan
    occurs = in_prediction | in_truth
    with np.errstate(invalid="ignore"):  # 0 / 0 where no class occurs
        hd95 = np.where(occurs, distances, 0).sum(axis=1) / occurs.sum(axis=1)
    iou = compute_iou(*masks, include_background=False, ignore_empty=False).mean(dim=1)
    dice = _dice(masks)
    table = pd.DataFrame({"dice": dice.mean(dim=1).numpy(), "iou": iou.numpy(), "hd95": hd95})
    names = tuple(regions or classes[1:])
    for row, name in enumerate(names if len(names) > 1 else ()):
        table[f"dice.{name}"] = dice[:, row].numpy()
        table[f"{HD95_OF}{name}"] = distances[:, row]
    return table.assign(both_empty=(~occurs).sum(axis=1))


def correct(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> np.ndarray:
    """Return whether each prediction is correct, or the share of correct labels in multi-label data: (n,)."""
    if data.task == "multilabel":
        return ((logits > 0) == (targets > 0)).float().mean(dim=1).numpy()
    return (logits.argmax(dim=1) == targets).float().numpy()


def classification_scores(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> dict[str, float]:
    """Compute accuracy, balanced accuracy over the classes that occur, and mean AUROC.

    The AUROC of a class is defined if some samples have the class and others do not. `auroc_undefined` and
    `balanced_accuracy_undefined` are the numbers of classes that the two means exclude. There is no `auroc` if it is
    undefined for all classes.

    Args:
        logits: (n, outputs).
        targets: (n,) classes, or (n, labels) of 0 and 1.
        data: The dataset.
    """
    from sklearn.metrics import balanced_accuracy_score, roc_auc_score

    if data.task == "multilabel":
        truth, likely = targets.numpy(), logits.numpy()
    else:
        truth, likely = one_hot(targets, len(data.classes)).numpy(), logits.softmax(dim=1).numpy()
    mixed = (truth.min(axis=0) == 0) & (truth.max(axis=0) == 1)
    scores = {"accuracy": float(correct(logits, targets, data).mean())}
    scores[f"auroc_{UNDEFINED}"] = float((~mixed).sum())
    if mixed.any():
        scores["auroc"] = float(roc_auc_score(truth[:, mixed], likely[:, mixed], average="macro"))
    if data.task == "classification":
        with warnings.catch_warnings(action="ignore"):  # about predicted classes that do not occur
            scores["balanced_accuracy"] = float(balanced_accuracy_score(targets.numpy(), logits.argmax(dim=1).numpy()))
        scores[f"balanced_accuracy_{UNDEFINED}"] = float((~truth.any(axis=0)).sum())
    return scores


def _require_defined(logits: torch.Tensor, data: Data, split: str) -> torch.Tensor:
    """Return the logits if they allow a prediction. Infinite logits of a pixel do, NaN does not."""
    wrong = torch.isnan(logits) if data.task == "segmentation" else ~torch.isfinite(logits)
    if count := int(wrong.sum()):
        raise TrainingError(
            f"{split} output: got {count} of {logits.numel()} values that are NaN or infinite, wanted none; "
            "lower train.optimizer.lr or check the images for NaN"
        )
    return logits


def _masks(
    logits: torch.Tensor, targets: torch.Tensor, classes: int, regions: Regions | None = None
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return prediction and truth of each class, or of background and each region: (n, classes, *spatial) each."""
    if regions:
        both = (logits > 0).float(), in_regions(targets, regions)
        prediction, truth = (torch.cat([1 - each.amax(dim=1, keepdim=True), each], dim=1) for each in both)
        return prediction, truth
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    prediction, truth = (one_hot(each, classes).movedim(-1, 1).float() for each in (predicted, targets))
    return prediction, truth


def _dice(masks: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    from monai.metrics import compute_dice

    return compute_dice(*masks, include_background=False, ignore_empty=False)  # (n, foreground classes)


def _means_with_intervals(table: pd.DataFrame, columns: list[str], seed: int):
    """Yield the mean of each measured column and the ends of its 95 % bootstrap interval over groups."""
    sums = table.groupby("group")[columns].agg(["sum", "count"])
    rows = bootstrap_rows(len(sums), RESAMPLES, np.random.default_rng(seed))
    for column in columns:
        totals, counts = (sums[column][part].to_numpy()[rows].sum(axis=1) for part in ("sum", "count"))
        means = totals[counts > 0] / counts[counts > 0]
        name = "accuracy" if column == "correct" else column
        if len(means):
            yield name, float(table[column].mean())
            low, high = percentile_interval(means)
            yield f"{name}_low", low
            yield f"{name}_high", high
