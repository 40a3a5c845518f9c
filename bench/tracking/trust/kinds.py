"""Kinds: what each section of a stored config may name, and where that must be defined."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from inspect import isclass, isfunction
from typing import Any, get_type_hints

import torch
from hydra.errors import HydraException
from hydra.utils import get_object

from bench.datasets.data import Data
from bench.errors import missing_extra
from bench.tracking.trust.walk import NAME, within

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # it would log a name that is not there, before it raises

CREATORS = ("timm.models._factory.create_model", "segmentation_models_pytorch.create_model")


def _returned(function: Callable) -> Any:
    """The type that a function says it returns, None where it says none."""
    try:
        return get_type_hints(function).get("return")
    except (NameError, TypeError):  # of names that only type checkers import
        return None


def _is_network(found: Any) -> bool:
    if not isfunction(found):
        return _is_a(torch.nn.Module)(found)
    if not _is_a(torch.nn.Module)(_returned(found)):
        return False
    if within(found.__module__, ["timm.models"]):
        import timm  # here, because it is optional and takes seconds

        if timm.is_model(found.__name__):
            return True
    return within(found.__module__, ["monai.networks.nets"]) or f"{found.__module__}.{found.__name__}" in CREATORS


def _is_dataset(found: Any) -> bool:
    return isfunction(found) and _returned(found) is Data


def _is_a(kind: type) -> Callable[[Any], bool]:
    return lambda found: isclass(found) and issubclass(found, kind)


@dataclass(frozen=True)
class Kind:
    """noun: for messages, with its article. packages: where it must be defined. holds: whether a thing is of it."""

    noun: str
    packages: Sequence[str]
    holds: Callable[[Any], bool]


LIBRARIES = ("torch.nn", "monai.networks", "segmentation_models_pytorch", "timm")
KINDS = {
    "model": Kind("a network", ("models", *LIBRARIES), _is_network),
    "dataset": Kind("a dataset", ("bench.datasets",), _is_dataset),
    "train.optimizer": Kind(
        "an optimiser", ("torch.optim", "monai.optimizers", "timm.optim"), _is_a(torch.optim.Optimizer)
    ),
    "train.schedule": Kind(
        "a schedule", ("torch.optim.lr_scheduler", "monai.optimizers"), _is_a(torch.optim.lr_scheduler.LRScheduler)
    ),
    "estimator": Kind("an estimator", ("bench.estimators",), isclass),
    "diagnostic": Kind("a diagnostic", ("bench.diagnostics",), isclass),
    "task": Kind("a task", ("bench.known_truth",), isclass),
}
PACKAGES = [package for kind in KINDS.values() for package in kind.packages]


def kind_at(path: str) -> Kind | None:
    """The kind that belongs at a path of a config, such as `model.network`; None where no part does."""
    return next((kind for section, kind in KINDS.items() if within(path, [section])), None)


def found(target: str, kind: Kind) -> Any:
    """What a full name stands for; None where it is private, of another kind, or defined outside of its packages."""
    thing = _defined(target, kind.packages)
    return thing if thing is not None and kind.holds(thing) else None


def is_trusted(target: str, trust: Sequence[str]) -> bool:
    """Whether the user permits a full name: this one, or one of a package that is defined there or in known ones."""
    if target in trust:
        return True
    return within(target, trust) and _defined(target, trust, [*trust, *PACKAGES]) is not None


def _defined(target: str, packages: Sequence[str], origins: Sequence[str] = ()) -> Any:
    """What a public name in these packages stands for; None where it is not defined in them, or in the origins.

    `torch.nn.functional.os.system` lies in a package by its name alone: what counts is where a thing is defined.
    """
    if not NAME.fullmatch(target) or "._" in target or not within(target, packages):
        return None
    try:
        thing = get_object(target)
    except (HydraException, ImportError, AttributeError, ValueError) as error:
        if missing := missing_extra(error, target):
            raise missing from error
        return None
    full_name = f"{getattr(thing, '__module__', '')}.{getattr(thing, '__qualname__', '')}"
    return thing if within(full_name, origins or packages) else None
