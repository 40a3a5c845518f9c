"""Settings: the types that Hydra holds the config of each verb to."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING


@dataclass
class Training:
    epochs: int = MISSING
    batch_size: int = MISSING
    optimizer: Any = MISSING
    schedule: Any = None
    loss: str = MISSING
    teacher: str | None = None
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
class Target:
    params: float | None = None
    flops: float | None = None
    loss: float | None = None


@dataclass
class Asking:
    views: list[str] | None = None
    samples: int = MISSING
    permutations: int = MISSING


@dataclass
class Deciding(Asking):
    rule: str = MISSING
    by: str | None = None
    margin: float = MISSING
    around: list[float] = MISSING


@dataclass
class Retraining:
    seeds: int = MISSING
    epochs: int | None = None
    minutes: float | None = None
    runs: int | None = None
    overrides: list[str] = MISSING


@dataclass
class Judging(Retraining):
    randoms: int = MISSING
    margin: float = MISSING


@dataclass
class App:
    """What every verb's config has."""

    seed: int = MISSING
    device: str = MISSING
    tracking: Tracking = MISSING
    trust: list[str] = MISSING


@dataclass
class Common(App):
    """What the config of every verb that trains has; components are of any kind, and their constructors check them."""

    dataset: Any = MISSING
    model: Any = MISSING
    estimator: Any = None
    train: Training = MISSING


@dataclass
class Settings(Common):
    """The config of a run."""

    calibration: bool = MISSING
    diagnostic: Any = None
    resume: bool = MISSING
    objectives: list[str] | None = None
    probe: Probing = MISSING


@dataclass
class CalibrationSettings(Common):
    """The config of `calibrate`."""

    calibration: bool = MISSING
    task: Any = None
    bits: list[float] = MISSING
    dims: list[int] = MISSING
    n: list[int] = MISSING
    repeats: int = MISSING
    planted: Any = None


@dataclass
class ProposalSettings(Common):
    """The config of `propose`."""

    run: str | None = None
    target: Target = MISSING
    ask: Deciding = MISSING
    verify: bool = MISSING
    retrain: Judging = MISSING
    folder: str = MISSING


@dataclass
class ValiditySettings(Common):
    """The config of `validity`."""

    run: str | None = None
    judged_on: str = MISSING
    ask: Asking = MISSING
    retrain: Retraining = MISSING
    folder: str = MISSING


@dataclass
class TapsSettings(App):
    """The config of `taps`."""

    dataset: Any = MISSING
    model: Any = MISSING
    depth: int | None = None


@dataclass
class StatusSettings(App):
    """The config of `status`."""

    sweep: str = MISSING


@dataclass
class ResendSettings(App):
    """The config of `resend`."""

    folder: str = MISSING


@dataclass
class CompareSettings(App):
    """The config of `compare`."""

    runs: list[str] | None = None
    sweep: str | None = None
    reference: str | None = None
    by: str | None = None
    margin: float = MISSING
    folder: str = MISSING


def register() -> None:
    """Tell Hydra the types of every verb's config."""
    kinds = {
        "settings": Settings,
        "calibration_settings": CalibrationSettings,
        "propose_settings": ProposalSettings,
        "validity_settings": ValiditySettings,
        "taps_settings": TapsSettings,
        "status_settings": StatusSettings,
        "resend_settings": ResendSettings,
        "compare_settings": CompareSettings,
    }
    for name, kind in kinds.items():
        ConfigStore.instance().store(name, kind)
