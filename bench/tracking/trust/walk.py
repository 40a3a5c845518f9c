"""Walk: through configs of plain dictionaries and lists, and the names in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def nodes(config: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """Every dictionary with its path, the outer ones first."""
    if isinstance(config, dict):
        yield path, config
    for key, value in _items(config):
        yield from nodes(value, f"{path}.{key}" if path else str(key))


def values(config: Any, nested: bool = True) -> Iterator[Any]:
    """Every value and key. nested: also those of the parts inside, which have a `_target_` of their own."""
    if not isinstance(config, dict | list):
        yield config
    for key, value in _items(config):
        if isinstance(config, dict):
            yield key
        if nested or not (isinstance(value, dict) and "_target_" in value):
            yield from values(value, nested)


def _items(config: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(config, dict):
        yield from config.items()
    elif isinstance(config, list):
        yield from enumerate(config)


def within(name: str, packages: Sequence[str]) -> bool:
    """Whether a full name is one of these, or lies in one of these packages.

    >>> within("mine.nets.Net", ["mine"]), within("mineral.Net", ["mine"])
    (True, False)
    """
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def shown(value: Any) -> str:
    """A value that someone else wrote, as one short line without control characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
