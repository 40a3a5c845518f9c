"""Stored configs: check that the config of a tracked run names only known parts, before anything is built."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from inspect import signature
from typing import Any

from omegaconf import DictConfig, OmegaConf

from bench.errors import InputError
from bench.tracking.trust.kinds import PACKAGES, find_kind, found, is_trusted
from bench.tracking.trust.pretrained import FETCHING
from bench.tracking.trust.walk import NAME, nodes, one_line, values, within

HYDRAS = {"_target_": str, "_partial_": bool, "_recursive_": bool, "_convert_": str, "_args_": list}
AS_JSON = {"models.NnUnet": "plans"}  # arguments that name a file, which the class reads as JSON and checks
WHOLE = ("dataset", "model")  # sections that are a single part, which is built completely (not _partial_)


def check_stored(config: Any, source: str, trust: Sequence[str] = ()) -> DictConfig:
    """Check that all parts of a stored config are known and that it contains no interpolation.

    Args:
        config: Plain dictionaries and lists.
        source: Name of the config in messages.
        trust: Packages or full names that the user permits for this call.

    Returns:
        The config. It does not download a dataset, unless the user permits the dataset.

    Raises:
        InputError: A part is unknown, there is an interpolation, or the value is not a config.
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
    """Check that all entries of `trust` are names of packages, classes or functions.

    Raises:
        InputError: An entry is not a name, or `trust` is not a list.
    """
    for name in [trust] if isinstance(trust, str) else trust:
        if isinstance(trust, str) or not isinstance(name, str) or not NAME.fullmatch(name):
            raise InputError(f"trust: got {name!r}, wanted a list of packages or full names, such as trust=[mine]")


def trusted_by(config: DictConfig) -> list[str]:
    """Return the names that the config of the user's command permits: `trust`, and the user's own parts in it."""
    check_names(config.trust)
    sections = [OmegaConf.to_container(config[key]) for key in ("dataset", "model", "train") if config.get(key)]
    named = [node["_target_"] for _, node in nodes(sections) if isinstance(node.get("_target_"), str)]
    return [*config.trust, *dict.fromkeys(name for name in named if not within(name, PACKAGES))]


def _check_values(config: Any, source: str) -> None:
    """Raise InputError for a config that is not a dictionary or that contains values that Hydra would resolve."""
    if not isinstance(config, dict):
        raise InputError(f"{source}: got {type(config).__name__}, wanted the settings of a run; train it again")
    for value in values(config):
        if not isinstance(value, str | int | float | None):
            raise InputError(f"{source}: got {one_line(value)}, wanted text and numbers; train it again")
        if isinstance(value, str) and ("${" in value or value == "???"):
            raise InputError(
                f"{source}: got {one_line(value)}, wanted only values; a run stores the results of interpolations, so "
                "this config was changed; train it again"
            )
    for path, node in nodes(config):
        if "defaults" in node:
            raise InputError(f"{source}: got {path}.defaults, wanted only values; Hydra would compose it")


def _check_part(node: Mapping, path: str, source: str, trust: Sequence[str]) -> None:
    """Raise InputError for a `_target_` of a wrong kind, and for settings of Hydra of a wrong type."""
    for key, type_ in HYDRAS.items():
        if key in node and not isinstance(node[key], type_):
            raise InputError(f"{source}: got {path}.{key}={one_line(node[key])}, wanted a {type_.__name__}")
    target = node.get("_target_", "")
    if is_trusted(target, trust):
        return
    kind = find_kind(path)
    thing = kind and found(target, kind)
    if thing is None:
        wanted = f"wanted {kind.noun} of {', '.join(kind.packages)}" if kind else "wanted no part at this path"
        permit = f"; if it is yours or you trust its code, trust=[{target}] permits it for this call"
        permit = permit if kind and NAME.fullmatch(target) else ""
        raise InputError(f"{source}: got {one_line(target)} as {path}, {wanted}{permit}")
    if path.startswith("model"):
        _check_arguments(node, thing, path, source)


def _check_arguments(node: Mapping, thing: Any, path: str, source: str) -> None:
    """Raise InputError for an argument of a network that names a file or an address, also among `_args_`."""
    try:
        positional = signature(thing).bind_partial(*node.get("_args_", ())).arguments
    except TypeError as error:
        raise InputError(f"{source}: got {path}._args_ that {node['_target_']} does not accept ({error})") from error
    if unnamed := FETCHING & positional.keys():
        raise InputError(f"{source}: got {min(unnamed)} in {path}._args_, wanted it as a keyword argument")
    allowed = {"taps", AS_JSON.get(node["_target_"])}  # names of taps are chosen by the user
    arguments = {key: value for key, value in node.items() if key not in allowed}
    for value in values(arguments, nested=False):
        if isinstance(value, str) and re.search(r"[:/\\]", value):
            raise InputError(
                f"{source}: got {one_line(value)} among the arguments of {path}, wanted no file and no address; "
                f"trust=[{node['_target_']}] permits it for this call"
            )
