"""Collapse: say whether a training has taught the network nothing, and why."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from math import ceil

import numpy as np

from bench.datasets.data import Data
from bench.training.validation import describe_missed

SHORT = 3  # epochs; a shorter training may still be at its beginning
LEAST_FALL = 0.01  # of the training loss, as a share of the loss of the first epoch
NOISE = 2  # standard deviations of the noise of the loss between epochs
LEAST_RISE = 0.05  # of the validation score; with a larger rise, a training with a flat loss has learned
BALANCE = "raise train.epochs, or check the balance of the classes (train.loss)"
REMEDY = f"lower train.optimizer.lr, {BALANCE}"


def find_collapse(
    data: Data, losses: Sequence[float], scores: Sequence[float], predicted: Collection[int]
) -> str | None:
    """Describe why a training has taught the network nothing, or return None.

    A training has collapsed if one of these holds, in this order:

    - The best checkpoint predicts one class for all validation data, and its score is below 1. For multi-label data,
      its output is the same for all images.
    - The Dice of the best checkpoint is 0 on the validation data.
    - No epoch has a higher validation score than the untrained network.
    - The training loss is flat: the mean of the last third of the epochs is lower than the first epoch by less than
      1 % or than twice the noise. The noise is the standard deviation between epochs, without the first third. This
      needs at least 3 epochs, and a validation score that rose by less than 0.05.

    Args:
        data: The dataset.
        losses: Training loss of each epoch. Without epochs nothing can collapse.
        scores: Validation scores of the untrained network and of each epoch.
        predicted: The distinct predictions of the best checkpoint on validation data.

    Returns:
        The reason, such as `the network predicts background everywhere on the validation data (score 0.000)`.
    """
    if not losses or data.task == "reconstruction":
        return None
    best = max(scores[1:])
    if len(predicted) == 1 and best < 1:
        (only,) = predicted
        what = "the same for every image" if data.task == "multilabel" else f"{data.classes[only]} everywhere"
        if data.regions:
            what = "a region everywhere" if only else "no region anywhere"
        return f"the network predicts {what} on the validation data (score {best:.3f})"
    if data.task == "segmentation" and best == 0:
        return "the network finds no foreground of the validation data (Dice 0)"
    if best <= scores[0] < 1:
        return f"no epoch has a higher validation score ({best:.3f}) than the untrained network ({scores[0]:.3f})"
    if best - scores[0] < LEAST_RISE and is_flat(losses):
        return f"the training loss is flat ({losses[0]:.3g} in the first epoch, {losses[-1]:.3g} in the last)"
    return None


def is_flat(losses: Sequence[float]) -> bool:
    """Return whether a training loss does not decrease beyond its noise (see `find_collapse`).

    Examples:
        >>> is_flat([0.7, 0.69, 0.71, 0.7]), is_flat([0.7, 0.5, 0.4, 0.4]), is_flat([0.7, 0.7])
        (True, False, False)
    """
    if len(losses) < SHORT:
        return False
    third = ceil(len(losses) / 3)
    later, last = np.array(losses[third:]), np.mean(losses[-third:])
    noise = np.std(np.diff(later)) / np.sqrt(2) if len(later) > 2 else 0.0
    return bool(losses[0] - last < max(LEAST_FALL * losses[0], NOISE * noise))


def describe(collapse: str | None, missed: Sequence[str], epochs: int) -> str:
    """Format the line of the report about a training that has taught the network nothing, or not all classes.

    Args:
        collapse: As by `find_collapse`.
        missed: Names of the classes that the best checkpoint never predicts.
        epochs: Number of epochs.

    Returns:
        A line; empty if there is nothing to report.

    Examples:
        >>> describe("the training loss is flat", [], epochs=1)
        'has not learned yet after 1 epoch: the training loss is flat; raise train.epochs\\n'
        >>> describe(None, ["lesion"], epochs=30).partition(";")[0]
        'classes of the validation data that the network never predicts: lesion'
    """
    if collapse is None:
        if not missed:
            return ""
        return f"{describe_missed(missed)}; {BALANCE}\n"
    if epochs < SHORT:
        return f"has not learned yet after {epochs} epoch{'s' * (epochs > 1)}: {collapse}; raise train.epochs\n"
    return f"training collapsed: {collapse}; {REMEDY}. The numbers of this run do not describe a trained network\n"
