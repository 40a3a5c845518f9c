"""Named: the estimators of conf/estimator by their names, without Hydra."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from omegaconf import OmegaConf

from bench import estimators
from bench.config import CONF
from bench.errors import InputError
from bench.estimators import Estimator

Chosen = str | Estimator


def estimator_names() -> list[str]:
    """List the names of conf/estimator.

    >>> estimator_names()[:3]
    ['binning', 'gaussian', 'infonce']
    """
    return sorted(path.stem for path in CONF.joinpath("estimator").glob("*.yaml"))


def estimator_of(chosen: Chosen) -> Estimator:
    """Return an estimator as it is, or build the one of this name with the settings of its yaml.

    Raises:
        InputError: There is no estimator of this name.

    >>> estimator_of("ksg").k
    3
    """
    if isinstance(chosen, Estimator):
        return chosen
    names = estimator_names()
    if chosen not in names:
        raise InputError(f"estimator: got {chosen!r}, wanted an Estimator or one of {', '.join(names)}")
    settings = OmegaConf.to_container(OmegaConf.load(CONF / "estimator" / f"{chosen}.yaml"))[chosen]
    return getattr(estimators, settings.pop("_target_").rpartition(".")[2])(**settings)


def estimators_of(chosen: Chosen | Sequence[Chosen] | Mapping[str, Estimator]) -> dict[str, Estimator]:
    """Return estimators by name; one that was given as an object has the name of its class in lower case.

    Raises:
        InputError: There is no estimator of a name, or two have one name.
    """
    if isinstance(chosen, Mapping):
        return dict(chosen)
    chosen = [chosen] if isinstance(chosen, Chosen) else list(chosen)
    names = [each if isinstance(each, str) else type(each).__name__.lower() for each in chosen]
    if len(set(names)) < len(names):
        raise InputError(f"estimators: got {', '.join(names)}, wanted each once; give a mapping of names of your own")
    return {name: estimator_of(each) for name, each in zip(names, chosen, strict=True)}
