"""Accuracy on held-out samples: per image, and as means with intervals over images or patients."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from monai.inferers import sliding_window_inference
from monai.metrics import compute_dice, compute_hausdorff_distance, compute_iou
from sklearn.metrics import balanced_accuracy_score, roc_auc_score
from torch.nn.functional import one_hot

from bench.types import Data, Split

RESAMPLES = 1000
WINDOWS = 4  # of a volume in one batch


@torch.no_grad()
def predict(model: torch.nn.Module, images: torch.Tensor, batch_size: int = 32) -> torch.Tensor:
    """Logits on the CPU, (n, outputs, ...); images: (n, channels, *spatial)."""
    device = next(model.parameters()).device
    model.eval()
    return torch.cat([model(batch.to(device)).float().cpu() for batch in images.split(batch_size)])


@torch.no_grad()
def predict_volume(model: torch.nn.Module, volume: torch.Tensor, patch: tuple[int, ...]) -> torch.Tensor:
    """Logits on the CPU, (1, outputs, *spatial), of a volume (channels, *spatial) by windows that overlap by half."""
    device = next(model.parameters()).device
    model.eval()
    windows = {"roi_size": patch, "sw_batch_size": WINDOWS, "overlap": 0.5, "mode": "gaussian"}
    return sliding_window_inference(volume[None], predictor=model, sw_device=device, device="cpu", **windows).float()


def predictions(model: torch.nn.Module, data: Data, split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Logits and targets of a split: of all its samples at once, or of one volume after the other."""
    whole = data.whole(split)
    if isinstance(whole, Split):
        yield predict(model, whole.images), whole.targets
        return
    for image, target in zip(whole.images, whole.targets, strict=True):
        yield predict_volume(model, image, data.image_size), target[None]


def evaluate(model: torch.nn.Module, data: Data, split: str, *, seed: int) -> tuple[dict[str, float], pd.DataFrame]:
    """Metrics of a split, with `_low` and `_high` (95 %, over groups), and the table per image behind them."""
    whole = data.whole(split)
    if data.task == "segmentation":
        predicted = predictions(model, data, split)
        table = pd.concat([segmentation_table(*each, data.classes) for each in predicted], ignore_index=True)
    else:
        logits = predict(model, whole.images)
        table = pd.DataFrame({"correct": correct(logits, whole.targets, data)})
    measured = list(table.columns)
    table.insert(0, "name", whole.names)
    table.insert(1, "group", whole.groups)
    if data.task == "classification":
        table.insert(2, "class", [data.classes[target] for target in whole.targets])
    metrics = dict(_means_with_intervals(table, measured, seed))
    if data.task == "segmentation":
        metrics["hd95_undefined"] = float(table["hd95"].isna().sum())
    else:
        metrics |= classification_scores(logits, whole.targets, data)
    return metrics, table


def score(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> float:
    """What the best checkpoint is chosen by: mean Dice, balanced accuracy, mean AUROC for multi-label data, or the
    negative squared error of a reconstruction."""
    if data.task == "reconstruction":
        return -float((logits - targets).square().mean())
    if data.task == "segmentation":
        return float(_dice(_masks(logits, targets, len(data.classes))).mean(dim=1).mean())
    scores = classification_scores(logits, targets, data)
    return scores["auroc"] if data.task == "multilabel" else scores["balanced_accuracy"]


def segmentation_table(logits: torch.Tensor, targets: torch.Tensor, classes: Sequence[str]) -> pd.DataFrame:
    """Dice, IoU and HD95 (pixels) of every image, each the mean over the foreground classes; of several, Dice of each.

    logits: (n, outputs, *spatial); targets: (n, *spatial). An image where prediction and truth are both empty has Dice
    and IoU 1; where one is empty, HD95 is undefined (NaN).
    """
    masks = _masks(logits, targets, len(classes))
    with warnings.catch_warnings(action="ignore"):  # of empty masks, which the result tells too
        distances = compute_hausdorff_distance(*masks, include_background=False, percentile=95).numpy()
    distances[~np.isfinite(distances)] = np.nan
    defined = np.isfinite(distances)
    hd95 = np.where(defined.any(axis=1), np.nansum(distances, axis=1) / np.maximum(defined.sum(axis=1), 1), np.nan)
    iou = compute_iou(*masks, include_background=False, ignore_empty=False).mean(dim=1)
    dice = _dice(masks)
    of_each = {f"dice.{name}": dice[:, row].numpy() for row, name in enumerate(classes[1:])} if len(classes) > 2 else {}
    return pd.DataFrame({"dice": dice.mean(dim=1).numpy(), "iou": iou.numpy(), "hd95": hd95, **of_each})


def correct(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> np.ndarray:
    """Whether each sample is right; in multi-label data the share of labels that are, (n,)."""
    if data.task == "multilabel":
        return ((logits > 0) == (targets > 0)).float().mean(dim=1).numpy()
    return (logits.argmax(dim=1) == targets).float().numpy()


def classification_scores(logits: torch.Tensor, targets: torch.Tensor, data: Data) -> dict[str, float]:
    """Accuracy, balanced accuracy and AUROC (mean over the classes or labels that occur and do not always occur)."""
    if data.task == "multilabel":
        truth, likely = targets.numpy(), logits.numpy()
    else:
        truth, likely = one_hot(targets, len(data.classes)).numpy(), logits.softmax(dim=1).numpy()
    mixed = (truth.min(axis=0) == 0) & (truth.max(axis=0) == 1)
    scores = {"accuracy": float(correct(logits, targets, data).mean())}
    if mixed.any():
        scores["auroc"] = float(roc_auc_score(truth[:, mixed], likely[:, mixed], average="macro"))
    if data.task == "classification":
        scores["balanced_accuracy"] = float(balanced_accuracy_score(targets.numpy(), logits.argmax(dim=1).numpy()))
    return scores


def _masks(logits: torch.Tensor, targets: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """One-hot prediction and truth, (n, classes, *spatial) each."""
    predicted = (logits[:, 0] > 0).long() if logits.shape[1] == 1 else logits.argmax(dim=1)
    return tuple(one_hot(each, classes).movedim(-1, 1).float() for each in (predicted, targets))


def _dice(masks: tuple[torch.Tensor, torch.Tensor]) -> torch.Tensor:
    return compute_dice(*masks, include_background=False, ignore_empty=False)  # (n, foreground classes)


def _means_with_intervals(table: pd.DataFrame, columns: list[str], seed: int):
    """Mean of each measured column, and the 95 % interval of its bootstrap over groups."""
    rng = np.random.default_rng(seed)
    sums = table.groupby("group")[columns].agg(["sum", "count"])
    picks = rng.integers(len(sums), size=(RESAMPLES, len(sums)))
    for column in columns:
        totals, counts = (sums[column][part].to_numpy()[picks].sum(axis=1) for part in ("sum", "count"))
        means = totals[counts > 0] / counts[counts > 0]
        name = "accuracy" if column == "correct" else column
        if len(means):
            yield name, float(table[column].mean())
            yield f"{name}_low", float(np.quantile(means, 0.025))
            yield f"{name}_high", float(np.quantile(means, 0.975))
