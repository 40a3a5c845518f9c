"""Training: a loop over epochs that keeps the checkpoint with the best validation score."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch.nn import BCEWithLogitsLoss, CrossEntropyLoss

from bench.datasets.data import Data
from bench.datasets.progress import progress
from bench.datasets.splits import in_regions
from bench.errors import InputError
from bench.training.batches import Batches
from bench.training.checkpoint import Checkpoint
from bench.training.collapse import find_collapse
from bench.training.losses import OF_MASKS, Loss, monai_loss, weighted_loss
from bench.training.precision import mixed, precision
from bench.training.state import Fitted, State
from bench.training.validation import require_finite, validate
from models.tracing import device_of


def fit(
    model: torch.nn.Module,
    data: Data,
    *,
    epochs: int,
    batch_size: int,
    optimizer: torch.optim.Optimizer,
    schedule: torch.optim.lr_scheduler.LRScheduler | None,
    loss: Loss,
    amp: bool | str,
    seed: int,
    on_epoch: Callable[[int, dict[str, float]], None],
    teacher: torch.nn.Module | None = None,
    sampler: str = "shuffle",
    patches: int = 1,
    workers: int = 0,
    clip: float | None = None,
    compile: bool = False,
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
        amp: Mixed precision, as by `precision`.
        seed: Seed of the batches.
        on_epoch: Called as `on_epoch(epoch, metrics)` for the untrained network (epoch 0) and after every epoch.
        teacher: A network whose probabilities replace the labels in training. Validation uses the labels.
        sampler: How `Batches` draws samples: `shuffle` or `balanced`.
        patches: Number of patches of a volume in an epoch.
        workers: Number of processes that read and augment samples. Results do not depend on it.
        clip: Largest norm of the gradients of a step; None does not limit it.
        compile: Whether a compiled copy of the network, with the same parameters, is trained. Validation and
            `on_epoch` use the network itself.
        checkpoint: Where the state is saved after each epoch, and from which an interrupted training continues.

    Returns:
        Epoch and validation score of the best checkpoint.

    Raises:
        TrainingError: The loss or the validation score is not finite.

    References:
        Teacher: Hinton et al. 2015, arXiv 1503.02531, at temperature 1.
    """
    device = device_of(model)
    scaler = torch.amp.GradScaler(device.type, enabled=precision(amp, device) is torch.float16)
    trained = torch.compile(model) if compile else model
    training_loss = loss if teacher is None else soft_loss(data)

    def step(images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Update the weights by a batch. Return its loss, without waiting for a GPU."""
        with mixed(amp, device):
            if teacher is not None:
                with torch.no_grad():
                    targets = teacher(images).float()
            value = training_loss(trained(images).float(), targets)
        optimizer.zero_grad()
        scaler.scale(value).backward()
        if clip is not None:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
        scaler.step(optimizer)
        scaler.update()
        return value.detach()

    with Batches(
        data, batch_size, seed, sampler=sampler, patches=patches, workers=workers, pinned=device.type == "cuda"
    ) as batches:
        state = State(model, optimizer, schedule, scaler, batches)
        if not state.load(checkpoint):
            validated = validate(model, data, loss, epoch=0)
            state.complete(validated)
            on_epoch(0, {"val/score": validated.score})
            state.save(checkpoint)
        for epoch in progress(range(state.epoch + 1, epochs + 1), "train", "epochs", epochs, state.epoch):
            model.train()
            total, count = torch.zeros((), dtype=torch.float64, device=device), 0
            for images, targets in batches:
                value = step(images.to(device, non_blocking=True), targets.to(device, non_blocking=True))
                total += value.double() * len(images)
                count += len(images)
            mean = require_finite(total.item() / count, "loss", epoch)
            if schedule:
                schedule.step()
            validated = validate(model, data, loss, epoch)
            state.complete(validated, mean)
            on_epoch(epoch, {"train/loss": mean, "val/loss": validated.loss, "val/score": validated.score})
            state.save(checkpoint)
    model.load_state_dict(state.best_weights)
    collapse = find_collapse(data, state.losses, state.scores, state.predicted.distinct)
    return replace(state.best, collapse=collapse, missed=state.predicted.missed if epochs else ())


def loss_function(name: str, data: Data) -> Loss:
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


def soft_loss(data: Data) -> Loss:
    """Return the cross-entropy of logits with the probabilities of a teacher, from the logits of the teacher."""
    if data.task == "multilabel" or data.outputs == 1 or data.regions:
        bce = BCEWithLogitsLoss()
        return lambda logits, teacher_logits: bce(logits, teacher_logits.sigmoid())
    ce = CrossEntropyLoss()
    return lambda logits, teacher_logits: ce(logits, teacher_logits.softmax(dim=1))
