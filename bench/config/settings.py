"""Settings: the config of each command, with the type and the rule of every value.

Hydra checks the types, and `checks` checks the rules. The upper limits are so high that only mistakes exceed them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from bench.config.rules import PATH, Choice, Each, Number, Text
from bench.config.sections import (
    Asking,
    Calibration,
    Deciding,
    Flag,
    Fold,
    Folder,
    FoldsGiven,
    Judging,
    Margin,
    Names,
    Probing,
    Referring,
    Retraining,
    RunId,
    Searching,
    Target,
    Tracking,
    Training,
    Way,
)

SEEDS = 2**32  # number of seeds that NumPy accepts
METRICS = "metrics of the run, such as [summary/val_score]"


@dataclass
class App:
    """Settings of every command."""

    seed: Annotated[int, Number(0, SEEDS - 1)] = MISSING
    device: Annotated[str, Choice(("auto", "cpu", "cuda"))] = MISSING
    threads: Annotated[int, Number(1, 1024)] = 1
    tracking: Tracking = MISSING
    trust: Annotated[list[str], Each(Text("packages or full names, such as trust=[mine]"), least=0)] = MISSING


@dataclass
class Common(App):
    """Settings of every command that trains. `build` checks the kinds of the components."""

    dataset: Any = MISSING
    model: Any = MISSING
    estimator: Any = None
    train: Training = MISSING


@dataclass
class Settings(Common):
    """The config of a run."""

    folds: FoldsGiven = None
    fold: Fold = None
    calibration: Calibration = MISSING
    diagnostic: Any = None
    resume: Flag = MISSING
    checkpoint_minutes: Annotated[float | None, Number(0, 10**6)] = 1
    objectives: Annotated[Names, Each(Text(METRICS), null="null is for a run without a sweeper")] = None
    probe: Probing = MISSING


@dataclass
class MeasureSettings(App):
    """The config of `measure`."""

    dataset: Any = MISSING
    folds: FoldsGiven = None
    fold: Fold = None
    model: Any = MISSING
    run: RunId = None
    weights: Annotated[str | None, Text("a file of weights, `model`, or null", PATH)] = None
    prefix: Annotated[str | None, Text("the beginning of the names in the file, or null")] = None
    estimator: Any = None
    diagnostic: Any = None
    calibration: Calibration = MISSING
    resume: Flag = MISSING
    loss: Annotated[str, Text("the name of a loss")] = MISSING
    probe: Referring = MISSING


@dataclass
class CalibrationSettings(Common):
    """The config of `calibrate`."""

    calibration: Calibration = MISSING
    benchmark: Any = None
    bits: Annotated[list[float], Each(Number(0, 1000))] = MISSING
    dims: Annotated[list[int], Each(Number(1, 10**4))] = MISSING
    n: Annotated[list[int], Each(Number(16, 10**6))] = MISSING
    repeats: Annotated[int, Number(2, 10**5)] = MISSING
    planted: Any = None  # some fields of Measuring


@dataclass
class ProposalSettings(Common):
    """The config of `propose`."""

    run: RunId = None
    target: Target = MISSING
    ask: Deciding = MISSING
    verify: Flag = MISSING
    retrain: Judging = MISSING
    folder: Folder = MISSING


@dataclass
class ValiditySettings(Common):
    """The config of `validity`."""

    run: RunId = None
    judged_on: Annotated[str, Choice(("test", "val"))] = MISSING
    ask: Asking = MISSING
    retrain: Retraining = MISSING
    folder: Folder = MISSING


@dataclass
class TapsSettings(App):
    """The config of `taps`."""

    dataset: Any = MISSING
    model: Any = MISSING
    depth: Annotated[int | None, Number(1, 1000)] = None


@dataclass
class StatusSettings(App):
    """The config of `status`."""

    tracking: Searching = MISSING
    sweep: Annotated[str | None, Text("the name of a sweep or the id of its parent run, or null")] = None


@dataclass
class ResendSettings(App):
    """The config of `resend`."""

    tracking: Searching = MISSING
    folder: Folder = MISSING


@dataclass
class CompareSettings(StatusSettings):
    """The config of `compare`."""

    runs: Annotated[Names, Each(Text("the ids of 2 runs or more"), null="null selects those of a sweep")] = None
    reference: Annotated[str | None, Text("a design, or null", PATH)] = None
    by: Way = None
    margin: Margin = MISSING
    folder: Folder = MISSING


# the name of a command's config in conf/ -> its type
KINDS: dict[str, type[App]] = {
    "config": Settings,
    "measure": MeasureSettings,
    "calibrate": CalibrationSettings,
    "propose": ProposalSettings,
    "validity": ValiditySettings,
    "taps": TapsSettings,
    "status": StatusSettings,
    "resend": ResendSettings,
    "compare": CompareSettings,
}


def register() -> None:
    """Register the types of every command's config with Hydra."""
    for name, kind in KINDS.items():
        ConfigStore.instance().store(f"{name}_settings", kind)
