"""Training: a plain loop that keeps the best checkpoint by validation."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss
from tqdm import trange

from bench.datasets.data import Data, Split, Volumes
from bench.errors import InputError, TrainingError
from bench.training.evaluate import predictions, score
from models.tracing import device_of


@dataclass(frozen=True)
class Fitted:
    """The best checkpoint by validation: its epoch (0 is untrained) and validation score."""

    epoch: int
    val_score: float


def fit(
    model: torch.nn.Module,
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    amp: bool,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
    teacher: torch.nn.Module | None = None,
) -> Fitted:
    """Train in place and leave the model with the best checkpoint's weights.

    optimizer: of the model's parameters; schedule: of the optimiser, stepped each epoch. on_epoch(epoch, metrics) is
    called for the untrained network (epoch 0) and after every epoch. amp: mixed precision, on CUDA alone. teacher: a
    network whose probabilities are learnt in place of the labels (Hinton et al. 2015, arXiv 1503.02531, at temperature
    1); validation is on the labels.
    Raises TrainingError when the loss or the validation score is not finite.
    """
    device = device_of(model)
    scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda")
    batches = Batches(data, batch_size, seed)
    learns = loss if teacher is None else soft_loss(data)

    best = Fitted(0, _validate(model, data, loss, epoch=0)["val/score"])
    best_weights = copy.deepcopy(model.state_dict())
    on_epoch(0, {"val/score": best.val_score})
    for epoch in trange(1, epochs + 1, desc="train", unit="epoch", leave=False, disable=None):
        model.train()
        total, trained = 0.0, 0
        for images, targets in batches:
            images, targets = images.to(device), targets.to(device)
            with torch.autocast(device.type, enabled=scaler.is_enabled()):
                if teacher is not None:
                    with torch.no_grad():
                        targets = teacher(images)
                value = learns(model(images), targets)
            _finite(value.item(), "loss", epoch)
            optimizer.zero_grad()
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
            total += value.item() * len(images)
            trained += len(images)
        if schedule:
            schedule.step()
        metrics = {"train/loss": total / trained, **_validate(model, data, loss, epoch)}
        if best.epoch == 0 or metrics["val/score"] > best.val_score:
            best = Fitted(epoch, metrics["val/score"])
            best_weights = copy.deepcopy(model.state_dict())
        on_epoch(epoch, metrics)
    model.load_state_dict(best_weights)
    return best


@dataclass
class Batches:
    """Shuffled, augmented mini-batches of the training split, a patch of each where it has volumes; the last may be
    smaller, and every sample is in one.

    The same seed gives the same batches.
    """

    data: Data
    size: int
    seed: int

    def __post_init__(self):
        self.generator = torch.Generator().manual_seed(self.seed)
        if hasattr(self.data.augment, "set_random_state"):
            self.data.augment.set_random_state(self.seed)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        train = self.data.whole("train")
        for rows in torch.randperm(len(train), generator=self.generator).split(self.size):
            yield self._augmented(train, rows)

    def _augmented(self, train: Split | Volumes, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.data.augment is None:
            return train.images[rows], train.targets[rows]
        images, targets = ([side[row] for row in rows] for side in (train.images, train.targets))
        if self.data.task != "segmentation":
            images = [self.data.augment({"image": image})["image"] for image in images]
            return torch.stack(images), torch.stack(targets)
        pairs = [self.data.augment({"image": i, "mask": m[None]}) for i, m in zip(images, targets, strict=True)]
        return torch.stack([p["image"] for p in pairs]), torch.stack([p["mask"][0] for p in pairs]).long()


def loss_function(name: str, data: Data) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A loss of logits and targets. auto: bce where each output is a yes or no, else ce."""
    yes_or_no = data.task == "multilabel" or data.outputs == 1
    if name == "auto":
        name = "bce" if yes_or_no else "ce"
    choices = ["bce"] if yes_or_no else ["ce"]
    if data.task == "segmentation":
        choices += ["dice", "dice_ce"]
    if name not in choices:
        raise InputError(f"train.loss: got {name!r}, wanted one of auto, {', '.join(choices)} for this {data.task}")
    if name == "ce":
        return CrossEntropyLoss()
    if name == "bce":
        criterion = BCEWithLogitsLoss()
        return lambda logits, targets: criterion(logits, targets.reshape(logits.shape).float())
    from monai.losses import DiceCELoss, DiceLoss  # here, because MONAI takes seconds to load

    kind = DiceLoss if name == "dice" else DiceCELoss
    criterion = kind(sigmoid=True) if yes_or_no else kind(softmax=True, to_onehot_y=True)
    return lambda logits, targets: criterion(logits, targets[:, None].float())


def soft_loss(data: Data) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Cross-entropy of logits with the probabilities of a teacher's logits, of each output or over the classes."""
    if data.task == "multilabel" or data.outputs == 1:
        criterion = BCEWithLogitsLoss()
        return lambda logits, taught: criterion(logits, taught.sigmoid())
    criterion = CrossEntropyLoss()
    return lambda logits, taught: criterion(logits, taught.softmax(dim=1))


def _validate(model: torch.nn.Module, data: Data, loss, epoch: int) -> dict[str, float]:
    losses, scores = [], []
    for logits, targets in predictions(model, data, "val"):
        losses.append(_finite(float(loss(logits, targets)), "validation loss", epoch))
        scores.append(score(logits, targets, data))
    return {"val/loss": float(np.mean(losses)), "val/score": _finite(float(np.mean(scores)), "validation score", epoch)}


def _finite(value: float, name: str, epoch: int) -> float:
    if not math.isfinite(value):
        raise TrainingError(
            f"{name}: got {value} in epoch {epoch}, wanted a finite number; "
            "lower train.optimizer.lr or check the images for NaN"
        )
    return value
