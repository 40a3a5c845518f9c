"""Stored: the config of a tracked run, held to known parts before anything of it is built."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bench.errors import InputError
from bench.tracking.trust.kinds import PACKAGES, found, is_trusted, kind_at
from bench.tracking.trust.pretrained import FETCHING
from bench.tracking.trust.walk import NAME, nodes, shown, values, within

HYDRAS = {"_target_": str, "_partial_": bool, "_recursive_": bool, "_convert_": str, "_args_": list}
WHOLE = ("dataset", "model")  # sections that are one part, which is built and not bound


def check_stored(config: Any, source: str, trust: Sequence[str] = ()) -> DictConfig:
    """The config that a run stored, where all its parts are known and it holds no interpolation.

    config: plain dictionaries and lists. source: what messages call it. trust: packages or full names that the user
    permits for this call. The download of a dataset is switched off, unless the user permits the dataset.
    Raises InputError for any other part, for an interpolation, and for what is no config.
    """
    check_names(trust)
    _check_values(config, source)
    for path, node in nodes(config):
        if HYDRAS.keys() & node.keys():
            _check_part(node, path, source, trust)
    for section in WHOLE:
        part = config.get(section)
        if not isinstance(part, dict) or "_target_" not in part or part.get("_partial_"):
            raise InputError(f"{source}: got no {section} that can be built, wanted the config of a run that trained")
    dataset = config["dataset"]
    if dataset.get("download") and not within(dataset["_target_"], trust):
        config = config | {"dataset": dataset | {"download": False}}
    return OmegaConf.create(config)


def check_names(trust: Sequence[str]) -> None:
    """Raise InputError where `trust` has an entry that is no name of a package, class or function."""
    for name in [trust] if isinstance(trust, str) else trust:
        if isinstance(trust, str) or not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"trust: got {name!r}, wanted a list of packages or full names, such as trust=[mine]")


def trusted_by(config: DictConfig) -> list[str]:
    """What the config of the user's own command permits: `trust`, and the parts of the user's own that it names."""
    check_names(config.trust)
    sections = [OmegaConf.to_container(config[key]) for key in ("dataset", "model", "train") if config.get(key)]
    named = [node["_target_"] for _, node in nodes(sections) if isinstance(node.get("_target_"), str)]
    return [*config.trust, *dict.fromkeys(name for name in named if not within(name, PACKAGES))]


def _check_values(config: Any, source: str) -> None:
    """Raise InputError for a config that is no dictionary, or that holds what Hydra would resolve."""
    if not isinstance(config, dict):
        raise InputError(f"{source}: got {type(config).__name__}, wanted the settings of a run; train it again")
    for value in values(config):
        if not isinstance(value, str | int | float | None):
            raise InputError(f"{source}: got {shown(value)}, wanted text and numbers; train it again")
        if isinstance(value, str) and ("${" in value or value == "???"):
            raise InputError(
                f"{source}: got {shown(value)}, wanted values alone; a run stores what its interpolations gave, so "
                "that this config was changed: train it again"
            )
    for path, node in nodes(config):
        if "defaults" in node:
            raise InputError(f"{source}: got {path}.defaults, wanted values alone; Hydra would compose it")


def _check_part(node: Mapping, path: str, source: str, trust: Sequence[str]) -> None:
    """Raise InputError for a `_target_` that is not of its section's kind, and for odd settings of Hydra's."""
    for key, kind in HYDRAS.items():
        if key in node and not isinstance(node[key], kind):
            raise InputError(f"{source}: got {path}.{key}={shown(node[key])}, wanted a {kind.__name__}")
    target = node.get("_target_", "")
    if is_trusted(target, trust):
        return
    kind = kind_at(path)
    thing = kind and found(target, kind)
    if thing is None:
        wanted = f"wanted {kind.noun} of {', '.join(kind.packages)}" if kind else "where no part belongs"
        permit = f"; if it is yours, or you know what it does, trust=[{target}] permits it for this call"
        permit = permit if kind and NAME.fullmatch(target) else ""
        raise InputError(f"{source}: got {shown(target)} as {path}, {wanted}{permit}")
    if path.startswith("model"):
        _check_arguments(node, thing, path, source)


def _check_arguments(node: Mapping, thing: Any, path: str, source: str) -> None:
    """Raise InputError for a network's argument that names a file or an address, or hides one among `_args_`."""
    try:
        positional = signature(thing).bind_partial(*node.get("_args_", ())).arguments
    except TypeError as error:
        raise InputError(f"{source}: got {path}._args_ that {node['_target_']} does not take ({error})") from error
    if unnamed := FETCHING & positional.keys():
        raise InputError(f"{source}: got {min(unnamed)} in {path}._args_, wanted it by its name")
    arguments = {key: value for key, value in node.items() if key != "taps"}  # whose names are the user's
    for value in values(arguments, nested=False):
        if isinstance(value, str) and re.search(r"[:/\\]", value):
            raise InputError(
                f"{source}: got {shown(value)} among the arguments of {path}, wanted no file and no address; "
                f"trust=[{node['_target_']}] permits it for this call"
            )
