"""Accuracy on held-out samples: values of each image, and means with intervals over images or patients."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch.nn.functional import one_hot

from bench.datasets.data import Data
from bench.datasets.storage import loaded
from bench.errors import TrainingError
from bench.information.statistics import bootstrap_rows, percentile_interval
from bench.training.predictions import predict, predictions
from bench.training.segmentation import DISTANCE, dice_of, segmentation_table, to_masks

RESAMPLES = 1000
UNDEFINED = "undefined"


def evaluate(model: torch.nn.Module, data: Data, split: str, *, seed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Compute the metrics of a split with 95 % intervals over groups, and the table of all images.

    The ends of an interval have the suffixes `_low` and `_high`. Further metrics count what a mean excludes:

    - `hd95_undefined`: number of images without HD95. It is `hd95_mm_undefined` if the unit is millimetres.
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
        table = pd.concat(_segmentation_tables(model, data, split), ignore_index=True)
    else:
        samples = data.splits[split]  # only segmentation has volumes
        logits = _require_defined(predict(model, samples.images), data, split)
        targets = loaded(samples.targets)
        table = pd.DataFrame({"correct": correct(logits, targets, data)})
    distances = [column for column in table if column.startswith(DISTANCE)]
    measured = [column for column in table if column != "both_empty" and not (column in distances and "." in column)]
    table.insert(0, "name", whole.names)
    table.insert(1, "group", whole.groups)
    if data.task == "classification":
        table.insert(2, "class", [data.classes[target] for target in targets])
    metrics = dict(_means_with_intervals(table, measured, seed))
    if data.task == "segmentation":
        for column in distances:
            name, *of_class = column.split(".", 1)
            metrics[".".join([f"{name}_{UNDEFINED}", *of_class])] = float(table[column].isna().sum())
        metrics["dice_both_empty"] = float(table["both_empty"].sum())
    else:
        metrics |= classification_scores(logits, targets, data)
    return metrics, table


def _segmentation_tables(model: torch.nn.Module, data: Data, split: str) -> Iterator[pd.DataFrame]:
    spacing, first = data.whole(split).spacing, 0
    for logits, targets in predictions(model, data, split):
        sides = None if spacing is None else spacing[first : first + len(targets)]
        first += len(targets)
        logits = _require_defined(logits, data, split)
        yield segmentation_table(logits, targets, data.classes, data.regions, sides, data.tolerance)


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
        return dice_of(to_masks(logits, targets, len(data.classes), data.regions)).mean(dim=1)
    return torch.tensor([score(logits, targets, data)], dtype=torch.float64)


def mean_score(parts: Sequence[torch.Tensor], data: Data) -> float:
    """Compute the score of a split from those of its parts, which `predictions` yields."""
    if data.volumes:
        return float(np.mean([float(part.mean()) for part in parts]))
    return float(torch.cat([*parts]).mean())


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
