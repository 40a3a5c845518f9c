"""Sections: the settings that configs of several commands share, with the type and the rule of every value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from omegaconf import MISSING

from bench.config.rules import PATH, Choice, Each, Folds, Number, Switch, Text

EPOCHS, BATCH, SAMPLES = 10**6, 10**6, 10**9
A_VIEW = "any of image, pixel, patch"
RIVALS = ("random", "flat", "tpe", "torch_pruning", "cmi")
BASELINES = ("uniform", "flat", "magnitude", "random")
SWAPS = ("one_convolution", "interpolation", "separable", "smaller_encoder")
A_RIVAL = f"any of {', '.join(RIVALS)}"

Names = list[str] | None
Flag = Annotated[Any, Switch()]  # not bool, because Hydra would convert 2 to true
Calibration = Annotated[Any, Switch(("curve",))]
Margin = Annotated[float, Number(0, 1)]
Share = Annotated[float | None, Number(0, 1, (0, 1), "a share of the base's, between 0 and 1, such as 0.1")]
FoldsGiven = Annotated[Any, Folds()]
Fold = Annotated[int | None, Number(0, 10**6)]
Folder = Annotated[str, Text("a folder's path", PATH)]
RunId = Annotated[str | None, Text("the id of a tracked run or its beginning, or null")]
Way = Annotated[str | None, Text("ESTIMATOR.VIEW, or null")]
Views = Annotated[Names, Each(Choice(("image", "pixel", "patch")), A_VIEW, "null selects by the task")]


@dataclass
class Training:
    """How a network is trained."""

    epochs: Annotated[int, Number(0, EPOCHS)] = MISSING
    batch_size: Annotated[int, Number(1, BATCH)] = MISSING
    optimizer: Any = MISSING
    schedule: Any = None
    loss: Annotated[str, Text("the name of a loss")] = MISSING
    teacher: RunId = None
    start: RunId = None
    patches: Annotated[int, Number(1, 10**5)] = 1
    sampler: Annotated[str, Choice(("shuffle", "balanced"))] = "shuffle"
    workers: Annotated[int, Number(0, 1024)] = 0
    warmup: Annotated[int, Number(0, EPOCHS)] = 0
    clip: Annotated[float | None, Number(0, 10**9, (0,))] = None
    amp: Annotated[Any, Switch(("off", "bf16", "fp16"))] = MISSING
    compile: Flag = False


@dataclass
class Measuring:
    """Which activations are measured, and how."""

    split: Annotated[str, Choice(("train", "val", "test", "trainval", "all"))] = MISSING
    n: Annotated[int | None, Number(1, SAMPLES)] = None
    taps: Annotated[Names, Each(Text("at least one name or pattern"), null="null selects all but the skips")] = None
    labels: Annotated[Names, Each(Text("at least one name"), null="null selects those of the task")] = None
    views: Views = None
    pixels: Annotated[int, Number(1, SAMPLES)] = MISSING
    budget_gb: Annotated[float, Number(0, 10**6, (0,))] = MISSING
    batch_size: Annotated[int, Number(1, BATCH)] = MISSING


@dataclass
class Referring(Measuring):
    """Measuring a network and its untrained references."""

    untrained_seeds: Annotated[int, Number(0, 1000)] = MISSING
    workers: Annotated[int, Number(1, 1024)] = MISSING


@dataclass
class Probing(Referring):
    """Measuring during and after training."""

    epochs: Annotated[list[int], Each(Number(0, EPOCHS), f"epochs of 0 or more, up to {EPOCHS:,}", least=0)] = MISSING


@dataclass
class Tracking:
    """Where runs are tracked."""

    uri: Annotated[str | None, Text("the address of a tracking store, or null", PATH)] = None
    experiment: Annotated[str, Text("one that MLflow can show")] = MISSING
    name: Annotated[str | None, Text("one that MLflow can show, or null")] = None
    parent: RunId = None


@dataclass
class Searching(Tracking):
    """Where runs are searched."""

    # A narrower type in the parent class: where results are logged, the experiment has a name.
    experiment: Annotated[str | None, Text("the name of an experiment, or null")] = None  # type: ignore[assignment]


@dataclass
class Target:
    """Limits that a proposed design must meet."""

    params: Share = None
    flops: Share = None
    loss: Annotated[float | None, Number(0, 1)] = None


@dataclass
class Asking:
    """How the information in parts of a network is measured."""

    views: Views = None
    samples: Annotated[int, Number(64, SAMPLES)] = MISSING
    permutations: Annotated[int, Number(2, 10**5)] = MISSING


@dataclass
class Deciding(Asking):
    """How proposals are chosen by the information in parts of a network."""

    rule: Annotated[str, Choice(("search", "filter_count"))] = MISSING
    by: Way = None
    margin: Annotated[float, Number(0, 1000)] = MISSING
    widths: Annotated[list[str], Each(Choice(("pruned", "grown", "rank", "flat")))] = MISSING
    swaps: Annotated[list[str], Each(Choice(SWAPS), least=0)] = MISSING
    rounds: Annotated[int, Number(0, 100)] = MISSING
    importance: Annotated[str, Choice(("information", "gradients"))] = MISSING
    around: Annotated[list[float], Each(Number(0, 1000, (0,)), "factors above 0, such as [0.5, 1, 2]")] = MISSING


@dataclass
class Retraining:
    """How designs are retrained."""

    seeds: Annotated[int, Number(1, 1000)] = MISSING
    folds: FoldsGiven = None
    epochs: Annotated[int | None, Number(0, EPOCHS)] = None
    minutes: Annotated[float | None, Number(0, 10**7)] = None
    runs: Annotated[int | None, Number(0, 10**6)] = None
    overrides: Annotated[list[str], Each(Text("overrides such as hydra/launcher=joblib", PATH), least=0)] = MISSING


@dataclass
class Judging(Retraining):
    """How designs are retrained and compared with baseline designs."""

    by: Annotated[str, Choice(("bench", "nnunet"))] = MISSING
    trainer: Annotated[str, Text("the name of a trainer class of nnU-Net")] = MISSING
    teacher: Flag = MISSING
    baselines: Annotated[list[str], Each(Choice(BASELINES), least=0)] = MISSING
    rivals: Annotated[list[str], Each(Choice(RIVALS), A_RIVAL, least=0)] = MISSING
    margin: Margin = MISSING
