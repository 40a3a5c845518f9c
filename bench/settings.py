"""Settings of a run: the types that Hydra holds a config to, and the ranges that types can't say."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from omegaconf import MISSING, DictConfig, OmegaConf

from bench.errors import InputError


@dataclass
class Training:
    epochs: int = MISSING
    batch_size: int = MISSING
    optimizer: Any = MISSING
    schedule: Any = None
    loss: str = MISSING
    amp: bool = MISSING


@dataclass
class Probing:
    split: str = MISSING
    n: int | None = None
    epochs: list[int] = MISSING
    untrained_seeds: int = MISSING
    taps: list[str] | None = None
    labels: list[str] | None = None
    budget_gb: float = MISSING
    batch_size: int = MISSING


@dataclass
class Tracking:
    uri: str | None = None
    experiment: str = MISSING
    name: str | None = None
    parent: str | None = None


@dataclass
class Settings:
    """The config of a run; its components are of any kind, and their constructors check them."""

    dataset: Any = MISSING
    model: Any = MISSING
    estimator: Any = None
    diagnostic: Any = None
    seed: int = MISSING
    device: str = MISSING
    resume: bool = MISSING
    train: Training = MISSING
    probe: Probing = MISSING
    tracking: Tracking = MISSING


LEAST = {
    "seed": 0,
    "train.epochs": 0,
    "train.batch_size": 1,
    "probe.untrained_seeds": 0,
    "probe.batch_size": 1,
}


def check(config: DictConfig) -> None:
    """Raise InputError for a value that is out of its range, or a setting that does not exist."""
    for section, kind in {"train": Training, "probe": Probing, "tracking": Tracking}.items():
        known = [field.name for field in fields(kind)]
        if unknown := set(config[section]) - set(known):
            raise InputError(f"{section}: got the setting {min(unknown)!r}, wanted one of {', '.join(known)}")
    for key, least in LEAST.items():
        if OmegaConf.select(config, key) < least:
            raise InputError(f"{key}: got {OmegaConf.select(config, key)}, wanted {least} or more")
    if any(epoch < 0 for epoch in config.probe.epochs):
        raise InputError(f"probe.epochs: got {list(config.probe.epochs)}, wanted epochs of 0 or more")
    if config.probe.taps is not None and not config.probe.taps:
        raise InputError("probe.taps: got none, wanted at least one name or pattern; null takes all but the skips")
    if not config.tracking.experiment:
        raise InputError("tracking.experiment: got an empty name, wanted one that MLflow can show")
    if not config.estimator:
        raise InputError("estimator: got none, wanted at least one, such as estimator=[renyi]")
