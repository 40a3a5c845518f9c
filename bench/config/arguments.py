"""Arguments: check the arguments in a component's config against the types that its constructor declares."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from hydra.utils import get_object

from bench.errors import InputError, missing_extra

MOST = 2**32 - 1  # largest whole number: the largest seed, and more than any valid count or size
# classes in messages
CLASSES = {"train.optimizer": "torch.optim.SGD", "train.schedule": "torch.optim.lr_scheduler.StepLR"}
# names of the types of values in messages
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
    """Import the class or function that `_target_` of a component's config names.

    Args:
        config: Config of the component.
        section: Key of the config, for messages.

    Raises:
        InputError: If the config is not a mapping with a `_target_`, or if `_target_` names no class or function.
    """
    if isinstance(config, str):
        example = config if "." in config else CLASSES.get(section, "PACKAGE.CLASS")
        raise InputError(f"{section}: got {config!r}, wanted a class; write {section}._target_={example}")
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
        raise InputError(f"{section}._target_: got {name!r}, which is not a class or function; correct it")
    return target


def check_arguments(config: Mapping, section: str) -> None:
    """Check the types of all arguments of a component, and of components inside it.

    An argument without a declared type can have any value except a number that is not finite or a whole number of
    2^32 or more.

    Args:
        config: Config of the component.
        section: Key of the config, for messages.

    Raises:
        InputError: If the value of an argument does not have the declared type.
    """
    hints = _hints(target_of(config, section)) if "_target_" in config else {}
    for name, value in config.items():
        key = f"{section}.{name}"
        if isinstance(value, Mapping) and value:
            check_arguments(value, key)
        elif not name.startswith("_"):
            _check_numbers(value, key)
            if wanted := _wanted_instead(value, hints.get(name, Any)):
                raise InputError(f"{key}: got {value!r}, wanted {wanted}")


def _hints(target: Callable) -> dict[str, Any]:
    """Return the declared type of each argument."""
    function = target.__init__ if inspect.isclass(target) else target
    try:
        return get_type_hints(function)
    except (NameError, TypeError, AttributeError):  # some libraries declare names that exist only for a type checker
        return {}


def _check_numbers(value: Any, key: str) -> None:
    """Refuse numbers that are not finite or too large, also inside mappings and lists."""
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


def _wanted_instead(value: Any, hint: Any) -> str | None:
    """Return the names of the types that are wanted in place of a value, or None if its type can be correct.

    >>> _wanted_instead(2, bool), _wanted_instead(16.5, int | None), _wanted_instead("wide", float)
    ('true or false', 'a whole number', 'a number')
    >>> _wanted_instead(True, Literal[1, "mixture"]), _wanted_instead({}, Sequence[str] | None)
    ('a whole number or a text', 'a list')
    >>> _wanted_instead(1, float), _wanted_instead("median", float | str), _wanted_instead(1, Any)
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
    """Return the members of a union, or the type itself."""
    return get_args(hint) if get_origin(hint) in (Union, UnionType) else (hint,)


def _types(member: Any) -> list[Any]:
    """Return the types of config values that a declared type accepts, or the declared type itself if there are none."""
    origin = get_origin(member) or member
    if origin is Literal:
        return [type(option) for option in get_args(member)]
    if origin in (list, tuple, Sequence):
        return [list]
    return [dict if origin is Mapping else origin]
