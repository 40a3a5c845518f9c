"""Prepare: seeds, device, and what training needs, from a config."""

from __future__ import annotations

import hashlib
import json
import math
import os
from importlib.metadata import version

import torch
from monai.utils import set_determinism
from omegaconf import DictConfig, OmegaConf
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from bench import load
from bench.build import build_with, check_output, said
from bench.errors import InputError
from bench.train import loss_function
from bench.types import Data


def prepare(config: DictConfig) -> torch.device:
    """Seed every library and choose the device; operations that have a deterministic form take it."""
    if config.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: got {config.device!r}, wanted auto, cpu or cuda")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: got cuda, wanted a device that is here; no GPU is visible: device=auto or cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    set_determinism(config.seed)
    torch.use_deterministic_algorithms(True, warn_only=True)
    name = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def prepare_training(config: DictConfig, model: torch.nn.Module, data: Data, uri: str | None = None) -> dict:
    """The arguments of `fit` that the config decides; uri: of the store that holds the run of a teacher."""
    rehearse(config)
    optimizer, schedule = _optimizer_and_schedule(config, model.parameters())
    return {
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "optimizer": optimizer,
        "schedule": schedule,
        "loss": loss_function(config.loss, data),
        "amp": config.amp,
        "teacher": config.teacher and _teacher(config.teacher, uri, next(model.parameters()).device, data),
    }


def rehearse(config: DictConfig) -> None:
    """Step an optimiser and a schedule of their own through all epochs, on a parameter of their own.

    Raises InputError where one of them fails, or sets a learning rate that is negative or not finite.
    """
    parameter = torch.nn.Parameter(torch.zeros(2, 2))
    optimizer, schedule = _optimizer_and_schedule(config, [parameter])
    _check_rates(optimizer, "train.optimizer", 0)
    parameter.grad = torch.ones_like(parameter)
    _step(optimizer, "train.optimizer", 1)
    if not torch.isfinite(parameter).all():
        raise InputError("train.optimizer: got a step that makes the weights infinite or NaN; wanted smaller settings")
    if schedule is not None:
        for epoch in range(1, config.epochs + 1):
            _step(schedule, "train.schedule", epoch)
            _check_rates(optimizer, "train.schedule", epoch)


def _optimizer_and_schedule(config: DictConfig, parameters) -> tuple[Optimizer, LRScheduler | None]:
    optimizer = build_with(config.optimizer, "train.optimizer", parameters, Optimizer)
    if config.schedule is None:
        return optimizer, None
    return optimizer, build_with(config.schedule, "train.schedule", optimizer, LRScheduler)


def _step(stepped: Optimizer | LRScheduler, section: str, epoch: int) -> None:
    try:
        stepped.step()
    except Exception as error:  # of an optimiser or a schedule from any library
        raise InputError(
            f"{section}: {type(stepped).__name__} fails at step {epoch} ({said(error)}), wanted one whose step() needs "
            "no arguments and bears all epochs"
        ) from error


def _check_rates(optimizer: Optimizer, section: str, epoch: int) -> None:
    for group in optimizer.param_groups:
        rate = float(group.get("lr", 0))
        if not 0 <= rate < math.inf:
            raise InputError(f"{section}: got a learning rate of {rate} after epoch {epoch}, wanted 0 or more, finite")


def _teacher(run: str, uri: str | None, device: torch.device, data: Data) -> torch.nn.Module:
    teacher = load(run, uri).to(device)
    try:
        check_output(teacher, data)
    except InputError as error:
        raise InputError(f"train.teacher: got run {run}, wanted one for these data: {error}") from error
    return teacher


def fingerprint_of(config: DictConfig, data: Data) -> str:
    """Hash of all that decides a run's numbers: its config without tracking, the data, the package's version."""
    decides = OmegaConf.to_container(config, resolve=True)
    for key in ("tracking", "resume", "objectives"):
        decides.pop(key)
    content = json.dumps([decides, data.fingerprint, version("infoflow-bench")], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()[:16]
