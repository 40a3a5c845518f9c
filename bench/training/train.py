"""Training: a loop over epochs that keeps the checkpoint with the best validation score."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import torch
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss

from bench.datasets.data import Data, Split, Volumes, in_regions
from bench.datasets.progress import progress
from bench.errors import InputError, TrainingError
from bench.training.checkpoint import Checkpoint, generators_in
from bench.training.collapse import distinct_predictions, find_collapse
from bench.training.evaluate import mean_score, part_scores
from bench.training.losses import OF_MASKS, monai_loss, weighted_loss
from bench.training.predictions import predictions
from bench.training.state import Fitted, State
from models.tracing import device_of


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
    checkpoint: Checkpoint | None = None,
) -> Fitted:
    """Train a network in place and load the weights of the best checkpoint.

    Args:
        model: The network.
        data: The dataset.
        epochs: Number of epochs.
        batch_size: Number of samples in a batch.
        optimizer: Optimiser of the parameters of the network.
        schedule: Schedule of the optimiser, stepped after each epoch, or None.
        loss: Function from logits and targets to a mean over samples.
        amp: Whether to train in mixed precision. It has an effect on CUDA only.
        seed: Seed of the batches.
        on_epoch: Called as `on_epoch(epoch, metrics)` for the untrained network (epoch 0) and after every epoch.
        teacher: A network whose probabilities replace the labels in training. Validation uses the labels.
        checkpoint: Where the state is saved after each epoch, and from which an interrupted training continues.

    Returns:
        Epoch and validation score of the best checkpoint.

    Raises:
        TrainingError: The loss or the validation score is not finite.

    References:
        Teacher: Hinton et al. 2015, arXiv 1503.02531, at temperature 1.
    """
    device = device_of(model)
    scaler = torch.amp.GradScaler(device.type, enabled=amp and device.type == "cuda")
    batches = Batches(data, batch_size, seed)
    training_loss = loss if teacher is None else soft_loss(data)

    state = State(model, optimizer, schedule, scaler, generators_in([batches.generator, data.augment]))

    if not state.load(checkpoint):
        metrics, predicted = _validate(model, data, loss, epoch=0)
        state.complete(metrics, predicted)
        on_epoch(0, {"val/score": metrics["val/score"]})
        state.save(checkpoint)
    for epoch in progress(range(state.epoch + 1, epochs + 1), "train", "epochs", epochs, state.epoch):
        model.train()
        total, trained = 0.0, 0
        for images, targets in batches:
            images, targets = images.to(device), targets.to(device)
            with torch.autocast(device.type, enabled=scaler.is_enabled()):
                if teacher is not None:
                    with torch.no_grad():
                        targets = teacher(images)
                value = training_loss(model(images), targets)
            _require_finite(value.item(), "loss", epoch)
            optimizer.zero_grad()
            scaler.scale(value).backward()
            scaler.step(optimizer)
            scaler.update()
            total += value.item() * len(images)
            trained += len(images)
        if schedule:
            schedule.step()
        validated, predicted = _validate(model, data, loss, epoch)
        metrics = {"train/loss": total / trained, **validated}
        state.complete(metrics, predicted)
        on_epoch(epoch, metrics)
        state.save(checkpoint)
    model.load_state_dict(state.best_weights)
    return replace(state.best, collapse=find_collapse(data, state.losses, state.scores, state.predicted))


@dataclass
class Batches:
    """Shuffled and augmented mini-batches of the training split.

    Every sample is in one batch. The last batch may be smaller. If the split has volumes, a sample is a patch of a
    volume. The same seed gives the same batches.

    Args:
        data: The dataset.
        size: Number of samples in a batch.
        seed: Seed of order and augmentation.
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
            yield self._augment(train, rows)

    def _augment(self, train: Split | Volumes, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.data.augment is None:
            assert isinstance(train, Split)  # the patches of volumes are drawn by `augment`
            return train.images[rows], train.targets[rows]
        chosen = rows.tolist()
        images, targets = [train.images[row] for row in chosen], [train.targets[row] for row in chosen]
        if self.data.task != "segmentation":
            images = [self.data.augment({"image": image})["image"] for image in images]
            return torch.stack(images), torch.stack(targets)
        pairs = [self.data.augment({"image": i, "mask": m[None]}) for i, m in zip(images, targets, strict=True)]
        return torch.stack([p["image"] for p in pairs]), torch.stack([p["mask"][0] for p in pairs]).long()


def loss_function(name: str, data: Data) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return a loss of logits and targets.

    Args:
        name: `bce` (binary cross-entropy), `ce` (cross-entropy), `weighted_bce` or `weighted_ce` (with weights of the
            classes), `focal`; for masks also `dice`, `dice_ce`, `dice_focal` and `tversky`; or `auto`: `bce` if each
            output is binary, else `ce`.
        data: The dataset.

    Raises:
        InputError: The loss does not fit the task.
    """
    binary = data.task == "multilabel" or data.outputs == 1 or bool(data.regions)
    if name == "auto":
        name = "bce" if binary else "ce"
    plain = "bce" if binary else "ce"
    choices = [plain, f"weighted_{plain}", "focal", *(OF_MASKS if data.task == "segmentation" else ())]
    if name not in choices:
        raise InputError(f"train.loss: got {name!r}, wanted one of auto, {', '.join(choices)} for this {data.task}")
    if name == "ce":
        return CrossEntropyLoss()
    if name == "weighted_ce":
        return weighted_loss(data, binary)
    if name in ("bce", "weighted_bce"):
        bce = BCEWithLogitsLoss() if name == "bce" else weighted_loss(data, binary)
        return lambda logits, targets: bce(logits, _binary_targets(targets, data).reshape(logits.shape))
    criterion = monai_loss(name, binary)
    if data.task == "classification":
        return lambda logits, targets: criterion(logits, targets[:, None])
    return lambda logits, targets: criterion(logits, _binary_targets(targets, data, axis=data.task == "segmentation"))


def _binary_targets(targets: torch.Tensor, data: Data, axis: bool = False) -> torch.Tensor:
    """Return the targets as numbers: membership in the regions (n, regions, *spatial), or class numbers.

    Args:
        targets: Targets of a `Split`.
        data: The dataset.
        axis: Whether class masks get an axis for the channel.
    """
    if data.regions:
        return in_regions(targets, data.regions)
    return (targets[:, None] if axis else targets).float()


def soft_loss(data: Data) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """Return the cross-entropy of logits with the probabilities of a teacher, from the logits of the teacher."""
    if data.task == "multilabel" or data.outputs == 1 or data.regions:
        bce = BCEWithLogitsLoss()
        return lambda logits, teacher_logits: bce(logits, teacher_logits.sigmoid())
    ce = CrossEntropyLoss()
    return lambda logits, teacher_logits: ce(logits, teacher_logits.softmax(dim=1))


def _validate(
    model: torch.nn.Module, data: Data, loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor], epoch: int
) -> tuple[dict[str, float], frozenset[int]]:
    """Compute loss and score on validation data, and the distinct predictions."""
    losses, counts, scores, predicted = [], [], [], frozenset[int]()
    for logits, targets in predictions(model, data, "val"):
        counts.append(len(targets))
        losses.append(_require_finite(float(loss(logits, targets)), "validation loss", epoch))
        scores.append(part_scores(logits, targets, data))
        predicted |= distinct_predictions(logits, data.task, bool(data.regions))
    mean_loss = losses[0] if len(losses) == 1 else float(np.average(losses, weights=counts))
    val_score = _require_finite(mean_score(scores, data), "validation score", epoch)
    return {"val/loss": mean_loss, "val/score": val_score}, predicted


def _require_finite(value: float, name: str, epoch: int) -> float:
    if not math.isfinite(value):
        raise TrainingError(
            f"{name}: got {value} in epoch {epoch}, wanted a finite number; "
            "lower train.optimizer.lr or check the images for NaN"
        )
    return value
