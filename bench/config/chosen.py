"""Chosen: the choices that a command line makes, and the keys of the config that follows. Hydra is not needed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import get_close_matches

from bench.config.described import (
    choices_of,
    component_groups,
    component_settings,
    describe,
    group_names,
    shared_settings,
)


def split_override(override: str) -> tuple[str, str]:
    """Split an override into its key, without + and ~, and its value.

    Examples:
        >>> split_override("++train.epochs=3"), split_override("~diagnostic")
        (('train.epochs', '3'), ('diagnostic', ''))
    """
    key, _, value = override.lstrip("+~").partition("=")
    return key, value


def choices_in(command: str, overrides: Iterable[str]) -> dict[str, list[str]]:
    """Return the choices of each group: the defaults of a command, changed by an experiment, changed by overrides.

    Examples:
        >>> choices_in("run", ["+experiment=lee2021", "model=unet,cnn"])["model"]
        ['unet', 'cnn']
        >>> choices_in("run", ["+experiment=lee2021"])["dataset"]
        ['image_folder']
    """
    given = given_choices(overrides)
    chosen = {group.name: _words(group.default) for group in describe(command).groups}
    for name in ("experiment", "preset"):
        for choice in given.get(name, []):
            chosen |= {group.name: _words(group.default) for group in component_groups(name, choice)}
    return chosen | {name: choices for name, choices in given.items() if name in {*chosen, "experiment"}}


def given_choices(overrides: Iterable[str]) -> dict[str, list[str]]:
    """Return the choices that overrides name, by group.

    Examples:
        >>> given_choices(["estimator=[kde,probe]", "seed=1"])
        {'estimator': ['kde', 'probe']}
    """
    groups = group_names()
    return {key: _words(value) for key, value in map(split_override, overrides) if key in groups}


def keys_in(command: str, overrides: Iterable[str]) -> list[str]:
    """List the keys of the config that a command line makes: groups, then the settings inside them, then the others."""
    chosen = choices_in(command, overrides)
    inside = [each.key for group, names in chosen.items() for name in names for each in component_settings(group, name)]
    own = [each.key for each in (*describe(command).settings, *shared_settings())]
    return list(dict.fromkeys([*chosen, *inside, *own]))


def choices_with(key: str) -> list[str]:
    """List the choices that have a setting, such as dataset=image_folder for `dataset.root`."""
    group = key.partition(".")[0]
    return [
        f"{group}={name}" for name in choices_of(group) if key in {each.key for each in component_settings(group, name)}
    ]


def nearest_keys(key: str, known: Sequence[str]) -> list[str]:
    """List the keys that a mistyped or shortened key can mean, at most three.

    Examples:
        >>> known = ["train.epochs", "train.optimizer.lr", "model.widths", "retrain.epochs"]
        >>> nearest_keys("epochs", known), nearest_keys("optimizer.lr", known), nearest_keys("modle.width", known)
        (['train.epochs', 'retrain.epochs'], ['train.optimizer.lr'], ['model.widths'])
    """
    if ends := [each for each in known if each.endswith(f".{key}")]:
        return sorted(ends, key=lambda each: each.count("."))[:3]
    if near := get_close_matches(key, known, 1, 0.8):
        return near
    last = get_close_matches(key, {each.rpartition(".")[2] for each in known}, 1, 0.8)
    return [each for each in known if last and each.rpartition(".")[2] == last[0]][:3]


def did_you_mean(word: str, options: Iterable[str]) -> str:
    """Return a question that ends a message, or an empty text if no option is near.

    Examples:
        >>> did_you_mean("phantom", ["phantoms", "mnist"]), did_you_mean("x", ["phantoms"])
        ('; did you mean phantoms?', '')
    """
    near = get_close_matches(word, list(options), 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""


def _words(value: str) -> list[str]:
    """Split a list or a sweep of choices into their names."""
    return [word for word in re.split(r"[\[\],\s'\"]+", value) if word]
