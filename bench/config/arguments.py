"""Arguments: what a component's config gives its constructor, held to the types that the constructor declares."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object

from bench.errors import InputError, missing_extra

MOST = 2**32 - 1  # of a whole number: the largest seed, and more than any count or size can be
# types of values in a config -> what they are called in a message
WORDS = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a text",
    list: "a list",
    dict: "a mapping",
    NoneType: "null",
}


def target_of(config: Any, section: str) -> Callable:
    """What `_target_` of a component's config names.

    Raises InputError for a config that is no mapping with a `_target_`, or that names nothing to call.
    """
    if not isinstance(config, Mapping):
        raise InputError(f"{section}: got {config!r}, wanted a component: a mapping with _target_ and its arguments")
    name = config.get("_target_")
    if not isinstance(name, str) or not name:
        raise InputError(f"{section}._target_: got {name!r}, wanted the path of a class, such as torch.optim.Adam")
    try:
        target = get_object(name)
    except (ImportError, ValueError) as error:
        if missing := missing_extra(error, section):
            raise missing from error
        why = str(error.__cause__ or error).splitlines()[0]
        raise InputError(f"{section}._target_: got {name!r}, which can't be imported ({why}); correct it") from error
    if not callable(target):
        raise InputError(f"{section}._target_: got {name!r}, which is no class or function; correct it")
    return target


def check_arguments(config: Mapping, section: str) -> None:
    """Raise InputError for an argument that is no value of its declared type, here and in components inside this one.

    What is not declared may be anything but a number that is not finite or a whole number above 2^32.
    """
    hints = _hints(target_of(config, section)) if "_target_" in config else {}
    for name, value in config.items():
        key = f"{section}.{name}"
        if isinstance(value, Mapping) and value:
            check_arguments(value, key)
        elif not name.startswith("_"):
            _check_numbers(value, key)
            if wanted := _refused(value, hints.get(name, Any)):
                raise InputError(f"{key}: got {value!r}, wanted {wanted}")


def _hints(target: Callable) -> dict[str, Any]:
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # of a library that declares what is there for a type checker alone
        return {}


def _check_numbers(value: Any, key: str) -> None:
    if isinstance(value, Mapping):
        for name, each in value.items():
            _check_numbers(each, f"{key}.{name}")
    elif isinstance(value, list):
        for each in value:
            _check_numbers(each, key)
    elif isinstance(value, float) and not math.isfinite(value):
        raise InputError(f"{key}: got {value}, wanted a finite number")
    elif isinstance(value, int) and abs(value) > MOST:
        raise InputError(f"{key}: got {value}, wanted at most {MOST:,}")


def _refused(value: Any, hint: Any) -> str | None:
    """What is wanted in place of a value, None where its type may be right.

    >>> _refused(2, bool), _refused(16.5, int | None), _refused("wide", float)
    ('true or false', 'a whole number', 'a number')
    >>> _refused(True, Literal[1, "mixture"]), _refused({}, Sequence[str] | None)
    ('a whole number or a text', 'a list')
    >>> _refused(1, float), _refused("median", float | str), _refused(1, Any)
    (None, None, None)
    """
    types = [type_ for member in _members(hint) for type_ in _types(member)]
    if isinstance(value, bool) and bool not in types and float in types:
        return WORDS[float]
    if not all(type_ in WORDS for type_ in types) or (value is None and types != [bool]):
        return None
    if type(value) in types or (type(value) is int and float in types):
        return None
    return " or ".join(dict.fromkeys(WORDS[type_] for type_ in types if type_ is not NoneType))


def _members(hint: Any) -> tuple[Any, ...]:
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _types(member: Any) -> list[Any]:
    """The types of values in a config that a declared type takes; the declared type itself where it is none of them."""
    origin = get_origin(member) or member
    if origin is Literal:
        return [type(option) for option in get_args(member)]
    if origin in (list, tuple, Sequence):
        return [list]
    return [dict if origin is Mapping else origin]
