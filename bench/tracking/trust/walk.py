"""Walk through configs of plain dictionaries and lists, and compare the names in them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

NAME = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")


def nodes(config: Any, path: str = "") -> Iterator[tuple[str, dict]]:
    """Yield each dictionary with its path, outer dictionaries first."""
    if isinstance(config, dict):
        yield path, config
    for key, value in _items(config):
        yield from nodes(value, f"{path}.{key}" if path else str(key))


def values(config: Any, nested: bool = True) -> Iterator[Any]:
    """Yield each value and each key.

    Args:
        config: Plain dictionaries and lists.
        nested: Also yield the values of inner parts, which have their own `_target_`.
    """
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
    """Return whether a full name equals one of these names, or lies in one of these packages.

    Examples:
        >>> within("mine.nets.Net", ["mine"]), within("mineral.Net", ["mine"])
        (True, False)
    """
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def one_line(value: Any) -> str:
    """Format a value that someone else wrote as one short line without control characters."""
    text = repr(value)
    return text if len(text) <= 100 else f"{text[:100]}…"
