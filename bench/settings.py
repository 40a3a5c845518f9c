"""Settings of a run: the types that Hydra holds a config to, and the ranges that types can't say."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from hydra.core.config_store import ConfigStore
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
    views: list[str] | None = None
    pixels: int = MISSING
    budget_gb: float = MISSING
    batch_size: int = MISSING


@dataclass
class Tracking:
    uri: str | None = None
    experiment: str = MISSING
    name: str | None = None
    parent: str | None = None


@dataclass
class Common:
    """What every verb's config has; components are of any kind, and their constructors check them."""

    dataset: Any = MISSING
    model: Any = MISSING
    estimator: Any = None
    seed: int = MISSING
    device: str = MISSING
    calibration: bool = MISSING
    train: Training = MISSING
    tracking: Tracking = MISSING


@dataclass
class Settings(Common):
    """The config of a run."""

    diagnostic: Any = None
    resume: bool = MISSING
    probe: Probing = MISSING


@dataclass
class CalibrationSettings(Common):
    """The config of `calibrate`."""

    task: Any = None
    bits: list[float] = MISSING
    dims: list[int] = MISSING
    n: list[int] = MISSING
    repeats: int = MISSING
    planted: Any = None


def register() -> None:
    """Tell Hydra the types of every verb's config."""
    ConfigStore.instance().store("settings", Settings)
    ConfigStore.instance().store("calibration_settings", CalibrationSettings)


LEAST = {
    "seed": 0,
    "train.epochs": 0,
    "train.batch_size": 1,
    "probe.untrained_seeds": 0,
    "probe.batch_size": 1,
    "repeats": 2,
}


def check(config: DictConfig) -> None:
    """Raise InputError for a value of a run's config that is out of its range, or a setting that does not exist."""
    _check_common(config, {"train": Training, "probe": Probing, "tracking": Tracking})
    if any(epoch < 0 for epoch in config.probe.epochs):
        raise InputError(f"probe.epochs: got {list(config.probe.epochs)}, wanted epochs of 0 or more")
    if config.probe.taps is not None and not config.probe.taps:
        raise InputError("probe.taps: got none, wanted at least one name or pattern; null takes all but the skips")
    if config.probe.views is not None and not config.probe.views:
        raise InputError("probe.views: got none, wanted any of image, pixel, patch; null chooses by the task")


def check_calibration(config: DictConfig) -> None:
    """Raise InputError for a value of a calibration's config that is out of its range."""
    _check_common(config, {"train": Training, "tracking": Tracking})
    for key, least in {"bits": 0, "dims": 1, "n": 16}.items():
        if not config[key] or min(config[key]) < least:
            raise InputError(f"{key}: got {list(config[key])}, wanted at least one value, each of {least} or more")
    if not config.task and config.planted is None:
        raise InputError("task: got none, wanted at least one, such as task=[gaussian]")


def _check_common(config: DictConfig, sections: dict[str, type]) -> None:
    for section, kind in sections.items():
        known = [field.name for field in fields(kind)]
        if unknown := set(config[section]) - set(known):
            raise InputError(f"{section}: got the setting {min(unknown)!r}, wanted one of {', '.join(known)}")
    for key, least in LEAST.items():
        value = OmegaConf.select(config, key)
        if value is not None and value < least:
            raise InputError(f"{key}: got {value}, wanted {least} or more")
    if not config.tracking.experiment:
        raise InputError("tracking.experiment: got an empty name, wanted one that MLflow can show")
    if not config.estimator:
        raise InputError("estimator: got none, wanted at least one, such as estimator=[renyi]")
