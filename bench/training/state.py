"""State of a training: all that changes from epoch to epoch, so that a checkpoint can continue it."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import Any

import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench.training.batches import Batches
from bench.training.checkpoint import Checkpoint
from bench.training.validation import Predicted, Validated


@dataclass(frozen=True)
class Fitted:
    """The checkpoint with the best validation score.

    Attributes:
        epoch: Its epoch. 0 is the untrained network.
        val_score: Its validation score.
        collapse: Why the training has taught the network nothing, as by `find_collapse`; None if it has.
        missed: Names of the classes of the validation data that it never predicts. Empty without training.
    """

    epoch: int
    val_score: float
    collapse: str | None = None
    missed: tuple[str, ...] = ()


@dataclass
class State:
    """State of a training.

    Attributes:
        model: The network.
        optimizer: The optimiser.
        schedule: The schedule of the optimiser, or None.
        scaler: The scaler of the loss in mixed precision.
        batches: The batches.
        epoch: The last epoch that is complete. 0 is the untrained network.
        losses: Training loss of each epoch.
        scores: Validation score of the untrained network and of each epoch.
        best: Epoch and score of the best checkpoint.
        best_weights: Weights of the best checkpoint.
        predicted: What the best checkpoint predicts.
    """

    model: torch.nn.Module
    optimizer: Optimizer
    schedule: LRScheduler | None
    scaler: torch.amp.GradScaler
    batches: Batches
    epoch: int = -1
    losses: list[float] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    best: Fitted = Fitted(0, 0.0)
    best_weights: dict[str, torch.Tensor] = field(default_factory=dict)
    predicted: Predicted = field(default_factory=Predicted)

    def complete(self, validated: Validated, training_loss: float | None = None) -> None:
        """Add the results of the next epoch, and keep its weights if they are the best. Epoch 1 replaces epoch 0.

        Args:
            validated: The results on validation data.
            training_loss: The mean loss of the epoch; None for the untrained network.
        """
        self.epoch += 1
        self.scores.append(validated.score)
        if training_loss is not None:
            self.losses.append(training_loss)
        if self.best.epoch == 0 or validated.score > self.best.val_score:
            self.best, self.predicted = Fitted(self.epoch, validated.score), validated.predicted
            self.best_weights = copy.deepcopy(self.model.state_dict())

    def save(self, checkpoint: Checkpoint | None) -> None:
        """Save the state in a checkpoint, if there is one."""
        if checkpoint is None:
            return
        checkpoint.save(
            training={
                "model": self.model.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "schedule": self.schedule and self.schedule.state_dict(),
                "scaler": self.scaler.state_dict(),
                "batches": self.batches.state_dict(),
                "epoch": self.epoch,
                "losses": self.losses,
                "scores": self.scores,
                "best": [self.best.epoch, self.best.val_score],
                "best_weights": self.best_weights,
                "predicted": sorted(self.predicted.distinct),
                "missed": list(self.predicted.missed),
            }
        )

    def load(self, checkpoint: Checkpoint | None) -> bool:
        """Continue from a checkpoint. Return whether it has a state."""
        if checkpoint is None or "training" not in checkpoint.state:
            return False
        saved: dict[str, Any] = checkpoint.state["training"]
        self.model.load_state_dict(saved["model"])
        self.optimizer.load_state_dict(saved["optimizer"])
        if self.schedule:
            self.schedule.load_state_dict(saved["schedule"])
        self.scaler.load_state_dict(saved["scaler"])
        self.batches.load_state_dict(saved["batches"])
        self.epoch, self.losses, self.scores = saved["epoch"], saved["losses"], saved["scores"]
        self.best = Fitted(*saved["best"])
        self.best_weights = saved["best_weights"]
        self.predicted = Predicted(frozenset(saved["predicted"]), tuple(saved["missed"]))
        checkpoint.restore_random()
        return True
