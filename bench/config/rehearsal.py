"""Rehearsal: test an optimiser and a schedule before they train a network."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from omegaconf import DictConfig
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, LRScheduler, MultiplicativeLR, SequentialLR

from bench.config.build import build_with, error_line
from bench.config.rules import Each, Number
from bench.errors import InputError

STEPS = Number(1, 10**9)
# arguments of torch.optim whose ranges the classes of torch.optim do not check
OPTIMIZER = {"momentum": Number(0, 1, (1,), "0 or more, below 1")}
SCHEDULE: dict[str, Number | Each] = {
    **dict.fromkeys(("step_size", "T_max", "T_0", "T_mult", "total_iters", "total_steps"), STEPS),
    "gamma": Number(0, 1000, (0,)),
    "milestones": Each(STEPS, "at least one epoch of 1 or more"),
}


def rehearse(config: DictConfig) -> None:
    """Step a separate optimiser and schedule through all epochs, on a separate parameter.

    Raises:
        InputError: If one of them fails, if the weights become infinite or NaN, or if a learning rate is negative or
            not finite.
    """
    _check_ranges(config.optimizer, OPTIMIZER, "train.optimizer")
    if config.warmup >= config.epochs > 0:
        raise InputError(
            f"train.warmup: got {config.warmup}, wanted fewer epochs than train.epochs={config.epochs}; lower it"
        )
    if config.epochs:
        _check_ranges(config.schedule, SCHEDULE, "train.schedule")
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer, schedule = optimizer_and_schedule(config, [parameter])
    _check_rates(optimizer, "train.optimizer", 0)
    parameter.grad = torch.ones_like(parameter)
    _step(optimizer, "train.optimizer", 1)
    if not torch.isfinite(parameter).all():
        raise InputError("train.optimizer: got a step that makes the weights infinite or NaN; wanted smaller settings")
    if schedule is not None:
        for epoch in range(1, config.epochs + 1):
            _step(schedule, "train.schedule", epoch)
            _check_rates(optimizer, "train.schedule", epoch)


def optimizer_and_schedule(
    config: DictConfig, parameters: Iterable[torch.nn.Parameter]
) -> tuple[Optimizer, LRScheduler | None]:
    """Build the optimiser, and the schedule of its learning rate or None.

    With a warm-up of w epochs, epoch e of the first w has the share e / (w + 1) of the learning rate. The schedule
    begins in epoch w + 1.
    """
    optimizer = build_with(config.optimizer, "train.optimizer", parameters, Optimizer)
    schedule = None
    if config.schedule is not None:
        schedule = build_with(config.schedule, "train.schedule", optimizer, LRScheduler)
    if not config.warmup:
        return optimizer, schedule
    if isinstance(schedule, MultiplicativeLR):  # it would begin at the last rate of the warm-up
        raise InputError("train.warmup: got a warm-up before MultiplicativeLR, which can't follow one; use LambdaLR")
    warmup = LinearLR(optimizer, 1 / (config.warmup + 1), total_iters=config.warmup)
    return optimizer, SequentialLR(optimizer, [warmup, schedule], [config.warmup]) if schedule else warmup


def _check_ranges(config: Any, rules: Mapping[str, Number | Each], section: str) -> None:
    """Check the arguments of a component by their rules."""
    for name, rule in rules.items():
        if isinstance(config, Mapping) and name in config and (config[name] is not None or isinstance(rule, Each)):
            rule.check(f"{section}.{name}", config[name])


def _step(stepped: Optimizer | LRScheduler, section: str, epoch: int) -> None:
    """Step an optimiser or a schedule once, and raise InputError if this fails."""
    try:
        stepped.step()
    except Exception as error:  # an optimiser or a schedule of any library can raise any exception
        raise InputError(
            f"{section}: {type(stepped).__name__} fails at step {epoch} ({error_line(error)}), wanted one whose step() "
            "needs no arguments and works in every epoch"
        ) from error


def _check_rates(optimizer: Optimizer, section: str, epoch: int) -> None:
    """Raise InputError if a learning rate is negative or not finite."""
    for group in optimizer.param_groups:
        rate = float(group.get("lr", 0))
        if not 0 <= rate < math.inf:
            raise InputError(f"{section}: got a learning rate of {rate} after epoch {epoch}, wanted 0 or more, finite")
