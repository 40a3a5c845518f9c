"""Checks of arguments and inputs of networks. The errors have one line: got, wanted, fix."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from numbers import Integral
from typing import Any

from torch import Tensor


def _is_count(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) > 0


def count(name: str, got: Any) -> int:
    """Check for a positive integer.

    Examples:
        >>> count("in_channels", 0)
        Traceback (most recent call last):
        ValueError: in_channels: got 0, wanted a positive integer; give a whole number such as 3
    """
    if not _is_count(got):
        raise ValueError(f"{name}: got {got!r}, wanted a positive integer; give a whole number such as 3")
    return int(got)


def classes(got: Any, multilabel: bool) -> int:
    """Check for a number of classes, which is at least 2 if the classes exclude each other.

    Examples:
        >>> classes(1, multilabel=True)
        1
    """
    if count("num_classes", got) == 1 and not multilabel:
        raise ValueError("num_classes: got 1, wanted 2 or more where classes exclude each other; set multilabel=true")
    return int(got)


def counts(name: str, got: Any, *, least: int = 1, fix: str = "give a list such as [8, 16]") -> tuple[int, ...]:
    """Check for a list of positive integers with at least `least` entries.

    Examples:
        >>> counts("widths", [8, 16.0])
        Traceback (most recent call last):
        ValueError: widths: got [8, 16.0], wanted at least 1 positive integer; give a list such as [8, 16]
    """
    is_list = isinstance(got, Sequence) and not isinstance(got, str)
    if not is_list or len(got) < least or not all(map(_is_count, got)):
        wanted = f"at least {least} positive integer{'s' if least > 1 else ''}" if least else "positive integers or []"
        raise ValueError(f"{name}: got {got!r}, wanted {wanted}; {fix}")
    return tuple(int(value) for value in got)


def choice(name: str, got: Any, options: Collection[Any]) -> Any:
    """Check for one of the options.

    Examples:
        >>> choice("pool", "mean", ("max", "avg"))
        Traceback (most recent call last):
        ValueError: pool: got 'mean', wanted one of max, avg; correct the spelling
    """
    if not any(type(got) is type(option) and got == option for option in options):
        raise ValueError(f"{name}: got {got!r}, wanted one of {', '.join(map(str, options))}; correct the spelling")
    return got


def one_per(name: str, got: Any, count: int, part: str) -> tuple[Any, ...]:
    """Return one entry per part, such as a stage. A single value stands for all parts.

    Examples:
        >>> one_per("padding", "same", 2, "stage"), one_per("padding", ["same", "valid"], 2, "stage")
        (('same', 'same'), ('same', 'valid'))
        >>> one_per("padding", ["same"], 2, "stage")
        Traceback (most recent call last):
        ValueError: padding: got ['same'], wanted one entry per stage, 2 in all; add 1
    """
    if isinstance(got, str) or not isinstance(got, Sequence):
        return (got,) * count
    if len(got) != count:
        fix = f"add {count - len(got)}" if len(got) < count else f"remove {len(got) - count}"
        raise ValueError(f"{name}: got {got!r}, wanted one entry per {part}, {count} in all; {fix}")
    return tuple(got)


def images(x: Tensor, channels: int, spatial_dims: int) -> None:
    """Check for a batch of images (N, channels, *spatial) with this number of spatial axes."""
    if x.dim() != spatial_dims + 2 or x.shape[1] != channels:
        wanted = f"(N, {channels}, {', '.join('HWD'[:spatial_dims])})"
        raise ValueError(
            f"input: got shape {tuple(x.shape)}, wanted {wanted}; set in_channels and spatial_dims to match the data"
        )
