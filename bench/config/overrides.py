"""Overrides: refuse those that Hydra accepts without any effect, or with another effect than they state."""

from __future__ import annotations

from typing import cast

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from bench.config.command_line import START
from bench.errors import InputError

LISTS = ("estimator", "diagnostic", "benchmark")  # a config can choose several members of these groups


def check_given(config: DictConfig, hydra: DictConfig) -> None:
    """Raise InputError for an override that Hydra accepts without any effect, or with another effect than it states."""
    given = cast(dict, OmegaConf.to_container(hydra.overrides))
    experiment = hydra.runtime.choices.get("experiment")
    if experiment and hydra.mode == RunMode.RUN and hydra.sweeper.get("params"):
        fix = f"write {START} -m {' '.join(given['task'])}"
        raise InputError(f"experiment: got {experiment}, which is a sweep over many runs; {fix}")
    for override in OverridesParser.create().parse_overrides(given["task"] + given["hydra"]):
        key, value = override.key_or_group, override.value()
        if override.is_delete() or override.is_sweep_override():
            continue
        of_hydra = key.startswith("hydra.")
        has = OmegaConf.select(hydra if of_hydra else config, key.removeprefix("hydra."), throw_on_missing=False)
        if value == {} and has:
            raise InputError(f"{key}: got {{}}, which changes nothing; give {key}.NAME=VALUE, or leave it out")
        if isinstance(has, bool) and not isinstance(value, bool):
            raise InputError(f"{key}: got {value}, wanted true or false")
        if isinstance(value, list) and key in ("dataset", "model", "preset", "train"):
            raise InputError(f"{key}: got {override.get_value_element_as_str()}, wanted one choice and no list")
        if isinstance(value, list) and key in LISTS:
            for choice in value:
                if value.count(choice) > 1:
                    raise InputError(f"{key}: got {choice!r} twice, wanted each choice once")
