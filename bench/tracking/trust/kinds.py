"""Kinds of parts: what each section of a stored config may name, and in which packages it must be defined."""

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

logging.getLogger("hydra.utils").setLevel(logging.CRITICAL)  # otherwise it logs a missing name before it raises

CREATORS = ("timm.models._factory.create_model", "segmentation_models_pytorch.create_model")


def _returned(function: Callable) -> Any:
    """Return the annotated return type of a function, or None if it has none."""
    try:
        return get_type_hints(function).get("return")
    except (NameError, TypeError):  # the annotation uses names that only type checkers import
        return None


def _is_network(found: Any) -> bool:
    """Return whether an object is a network class, or a known function that creates a network.

    A class that reads a file of code, such as `models.File`, is not among them.
    """
    if not isfunction(found):
        return _is_a(torch.nn.Module)(found) and not getattr(found, "reads_files", False)
    if not _is_a(torch.nn.Module)(_returned(found)):
        return False
    if within(found.__module__, ["timm.models"]):
        import timm  # imported here, because it is optional and takes seconds

        if timm.is_model(found.__name__):
            return True
    return within(found.__module__, ["monai.networks.nets"]) or f"{found.__module__}.{found.__name__}" in CREATORS


def _is_dataset(found: Any) -> bool:
    """Return whether an object is a function that returns `Data`."""
    return isfunction(found) and _returned(found) is Data


def _is_a(kind: type) -> Callable[[Any], bool]:
    """Return a function that checks whether an object is a subclass of a type."""
    return lambda found: isclass(found) and issubclass(found, kind)


@dataclass(frozen=True)
class Kind:
    """A kind of part that a stored config may name.

    Attributes:
        noun: Name of the kind with its article, for messages.
        packages: Packages in which the part must be defined.
        holds: Returns whether an object is of this kind.
    """

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
    "benchmark": Kind("a benchmark", ("bench.known_truth",), isclass),
}
PACKAGES = [package for kind in KINDS.values() for package in kind.packages]


def find_kind(path: str) -> Kind | None:
    """Return the kind of part that a path of a config allows, such as `model.network`, or None if it allows no part."""
    return next((kind for section, kind in KINDS.items() if within(path, [section])), None)


def found(target: str, kind: Kind) -> Any:
    """Return the object with a full name, or None if it is private, of another kind or outside the packages."""
    thing = _defined(target, kind.packages)
    return thing if thing is not None and kind.holds(thing) else None


def is_trusted(target: str, trust: Sequence[str]) -> bool:
    """Return whether the user permits a full name.

    The user permits the name itself, or a package that contains it. In a package, the object must be defined in a
    permitted or a known package.
    """
    if target in trust:
        return True
    return within(target, trust) and _defined(target, trust, [*trust, *PACKAGES]) is not None


def _defined(target: str, packages: Sequence[str], origins: Sequence[str] = ()) -> Any:
    """Return the object with a public name in these packages, or None.

    The object must be defined in the packages, or in the origins if they are given. A name alone proves nothing:
    `torch.nn.functional.os.system` begins with the name of a package, but it is defined elsewhere.
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
