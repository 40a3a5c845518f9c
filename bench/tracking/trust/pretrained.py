"""Pretrained weights: arguments with which a stored network would read or download weights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from inspect import signature
from typing import Any, cast

from hydra.utils import get_object
from omegaconf import DictConfig, OmegaConf

from bench.errors import InputError
from bench.tracking.trust.walk import one_line, within

FETCHING = {
    "pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "pretrained_url", "pretrained_path",
    "pretrained_state_dict_key", "encoder_weights", "weights", "checkpoint", "checkpoint_path", "path_or_repo_id",
    "filename", "file", "url", "state_dict", "hf_hub_id", "cache_dir", "download",
}  # fmt: skip
IDLE = {"download", "cache_dir"}  # they have no effect without another argument


def without_fetching(model: DictConfig, trust: Sequence[str] = ()) -> DictConfig:
    """Return the config of a network without the arguments that read or download pretrained weights.

    Args:
        model: Config of a network whose weights are loaded later.
        trust: Packages or full names that the user permits. Their arguments stay.
    """
    plain = cast(dict, OmegaConf.to_container(model))
    for node, key, value in list(_fetching(plain, trust)):
        node[key] = False if isinstance(value, bool) else None
    return OmegaConf.create(plain)


def refuse_fetching(model: DictConfig, source: str, trust: Sequence[str] = ()) -> None:
    """Refuse the stored config of a network whose training begins from pretrained weights.

    Args:
        model: Config of the network.
        source: Name of the config in messages.
        trust: Packages or full names that the user permits.

    Raises:
        InputError: An argument would read or download weights.
    """
    for node, key, value in _fetching(OmegaConf.to_container(model), trust):
        if key not in IDLE:
            target = node.get("_target_", model._target_)
            raise InputError(
                f"{source}: got {key}={one_line(value)} of {target}, which reads or downloads weights before training; "
                f"trust=[{target}] permits it for this call"
            )


def _fetching(node: Any, trust: Sequence[str]) -> Iterator[tuple[dict, str, Any]]:
    """Yield each argument that would fetch weights, set or by default: its dictionary, name and value."""
    if isinstance(node, dict) and not within(node.get("_target_", ""), trust):
        given = node
        if "_target_" in node:
            takes = signature(get_object(node["_target_"])).parameters.values()
            given = {taken.name: taken.default for taken in takes if taken.default is not taken.empty} | node
        yield from ((node, key, value) for key, value in given.items() if key in FETCHING and value)
    for child in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _fetching(child, trust)
