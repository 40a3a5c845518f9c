"""Prepare: set seeds, threads and device, and build the arguments of training, from a config."""

from __future__ import annotations

import hashlib
import json
import os
import random
from collections.abc import Sequence
from importlib.metadata import version
from typing import cast

import numpy as np
import torch
from omegaconf import DictConfig, OmegaConf
from threadpoolctl import threadpool_limits

from bench.config.build import check_output
from bench.config.rehearsal import optimizer_and_schedule, rehearse
from bench.datasets.data import Data
from bench.errors import InputError
from bench.training.batches import check_batches
from bench.training.train import loss_function, soft_loss
from bench.training.trial import check_training
from models.tracing import device_of


def prepare(config: DictConfig) -> torch.device:
    """Seed every library, set the number of threads, and choose the device and deterministic operations.

    Raises:
        InputError: If the device is unknown or not available.
    """
    if config.device not in ("auto", "cpu", "cuda"):
        raise InputError(f"device: got {config.device!r}, wanted auto, cpu or cuda")
    if config.device == "cuda" and not torch.cuda.is_available():
        raise InputError("device: got cuda, wanted an available device, but no GPU is visible; set device=auto or cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    fix_threads(config.threads)
    seed_everything(config.seed)
    torch.set_deterministic_debug_mode("warn")
    name = "cuda" if config.device != "cpu" and torch.cuda.is_available() else "cpu"
    return torch.device(name)


def seed_everything(seed: int) -> None:
    """Seed PyTorch, NumPy and Python, and set cuDNN to deterministic algorithms in float32.

    TF32, cuDNN's default, rounds to 10 bits. Activations would then differ from those of the CPU by 1e-3 of their size.
    """
    torch.manual_seed(seed)
    np.random.seed(seed)  # noqa: NPY002  (libraries use this generator)
    random.seed(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.allow_tf32 = False


def fix_threads(count: int) -> None:
    """Set the number of threads of PyTorch and of NumPy's linear algebra, in place of the environment's setting.

    The number of threads decides how sums are split. It changes the last digits of trained weights and of estimates.
    """
    torch.set_num_threads(count)
    threadpool_limits(count)


def prepare_training(
    config: DictConfig, model: torch.nn.Module, data: Data, uri: str | None = None, trust: Sequence[str] = ()
) -> dict:
    """Build the arguments of `fit` from the config, and check them by a step of training (`check_training`).

    Args:
        config: Section `train` of the config. The beginning of a run's id in `teacher` or `start` is replaced by the
            whole id.
        model: Network to train. It gets the weights of `start`.
        data: Data to train on.
        uri: Address of the store that holds the runs of `teacher` and `start`.
        trust: Packages or full names that the config of that run may name.

    Raises:
        InputError: If a setting is refused, if the teacher does not fit the data, or if the weights of `start` do not
            fit the network.
    """
    loss = loss_function(config.loss, data)
    if config.get("start"):
        _load_start(config, model, uri, trust)
    teacher = config.teacher and _teacher(config, uri, trust, device_of(model), data)
    check_batches(data, config.sampler, config.patches, config.workers)
    trained_on = loss if teacher is None else soft_loss(data)
    options = {"amp": config.amp, "compile": config.compile}
    check_training(model, data, trained_on, config.epochs, config.batch_size, teacher, config.patches, **options)
    rehearse(config)
    optimizer, schedule = optimizer_and_schedule(config, model.parameters())
    return {
        "epochs": config.epochs,
        "batch_size": config.batch_size,
        "optimizer": optimizer,
        "schedule": schedule,
        "loss": loss,
        "teacher": teacher,
        "sampler": config.sampler,
        "patches": config.patches,
        "workers": config.workers,
        "clip": config.clip,
        **options,
    }


def _teacher(
    config: DictConfig, uri: str | None, trust: Sequence[str], device: torch.device, data: Data
) -> torch.nn.Module:
    """Load the network of a run whose probabilities are learned in place of the labels.

    The config gets the whole id of the run, because a beginning may fit several runs later.
    """
    from bench.config.load import load  # imported here, because MLflow takes seconds to load
    from bench.tracking.records import whole_id

    try:
        config.teacher = whole_id(config.teacher, uri)
        teacher = load(config.teacher, uri, trust).to(device)
    except InputError as error:
        raise InputError(f"train.teacher: {str(error).removeprefix('run: ')}") from error
    try:
        check_output(teacher, data)
    except InputError as error:
        raise InputError(f"train.teacher: got run {config.teacher}, wanted one for these data: {error}") from error
    return teacher


def _load_start(config: DictConfig, model: torch.nn.Module, uri: str | None, trust: Sequence[str]) -> None:
    """Load the weights of a run into the network, as the start of its training."""
    from bench.tracking.records import saved_network, whole_id  # imported here, because MLflow takes seconds to load

    try:
        config.start = whole_id(config.start, uri)
        _, weights = saved_network(config.start, uri, trust)
        model.load_state_dict(weights)
    except InputError as error:
        raise InputError(f"train.start: {str(error).removeprefix('run: ')}") from error
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(
            f"train.start: got run {config.start}, wanted one of a network with the same layers ({reason})"
        ) from error


def fingerprint_of(config: DictConfig, data: Data, weights: str = "") -> str:
    """Hash everything that determines the numbers of a run: config without tracking, data and package version.

    Args:
        config: Config of the run.
        data: The dataset.
        weights: Hash of weights that the run does not train itself.
    """
    settings = cast(dict, OmegaConf.to_container(config, resolve=True))
    for key in ("tracking", "resume", "checkpoint_minutes", "objectives", "trust"):
        settings.pop(key, None)
    settings.get("train", {}).pop("workers", None)
    if settings.get("train", {}).get("start", 0) is None:  # as before this setting was known
        settings["train"].pop("start")
    for key in ("cache", "cache_folder"):  # the numbers do not depend on them
        settings["dataset"].pop(key, None)
    content = json.dumps(
        [settings, data.fingerprint, version("infoflow-bench"), *([weights] if weights else [])], sort_keys=True
    )
    return hashlib.sha256(content.encode()).hexdigest()[:16]
