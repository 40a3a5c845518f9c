"""Named: build estimators by their names in conf/estimator, without Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import cast

from omegaconf import OmegaConf

from bench import estimators
from bench.config import CONF
from bench.errors import InputError
from bench.estimators import Estimator

Chosen = str | Estimator


def estimator_names() -> list[str]:
    """List the names of the estimators in conf/estimator.

    Examples:
        >>> estimator_names()[:3]
        ['binning', 'gaussian', 'infonce']
    """
    return sorted(path.stem for path in CONF.joinpath("estimator").glob("*.yaml"))


def estimator_of(chosen: Chosen) -> Estimator:
    """Return an Estimator unchanged, or build the estimator of this name with the settings of its yaml.

    Raises:
        InputError: If no estimator has this name.

    Examples:
        >>> estimator_of("ksg").k
        3
    """
    if isinstance(chosen, Estimator):
        return chosen
    names = estimator_names()
    if chosen not in names:
        raise InputError(f"estimator: got {chosen!r}, wanted an Estimator or one of {', '.join(names)}")
    content = cast(dict, OmegaConf.to_container(OmegaConf.load(CONF / "estimator" / f"{chosen}.yaml")))
    settings = content[chosen]
    return getattr(estimators, settings.pop("_target_").rpartition(".")[2])(**settings)


def estimators_of(chosen: Chosen | Sequence[Chosen] | Mapping[str, Estimator]) -> dict[str, Estimator]:
    """Return estimators by name. The name of an Estimator is the name of its class in lower case.

    Raises:
        InputError: If no estimator has one of the names, or if two estimators have the same name.
    """
    if isinstance(chosen, Mapping):
        return dict(chosen)
    chosen = [chosen] if isinstance(chosen, Chosen) else list(chosen)
    names = [each if isinstance(each, str) else type(each).__name__.lower() for each in chosen]
    if len(set(names)) < len(names):
        raise InputError(f"estimators: got {', '.join(names)}, wanted each once; give a mapping with different names")
    return {name: estimator_of(each) for name, each in zip(names, chosen, strict=True)}
