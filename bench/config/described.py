"""Described: the settings of each command, and the choices of each group, as the comments of conf/ explain them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, is_dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from bench.config import COMMANDS, CONF
from bench.config.rules import rules_of
from bench.config.settings import KINDS

WHOLE = "# @package _global_"  # first line of a file whose keys stand at the top of the config, and not in a group


@dataclass(frozen=True)
class Setting:
    """One setting of a command or of a component.

    Attributes:
        key: Name on the command line, such as `train.epochs`. The name of a section has no value of its own.
        default: Default value, as it is typed on the command line. It is empty for a section, and ??? if there is none.
        allowed: Allowed values; empty if only the component knows them.
        comment: Explanation.
    """

    key: str
    default: str
    allowed: str
    comment: str


@dataclass(frozen=True)
class Group:
    """A part of the config for which there are several choices, such as the dataset.

    Attributes:
        name: Name of the group, which is also the folder of its choices in conf/.
        default: Default choice, or a list such as [probe,renyi_2]. It is empty if no choice is the default.
        comment: Explanation for this command; often empty.
    """

    name: str
    default: str
    comment: str

    @property
    def choices(self) -> dict[str, str]:
        """Name of each choice, and the first sentence about it."""
        return {name: summary_of(self.name, name) for name in choices_of(self.name)}


@dataclass(frozen=True)
class Described:
    """A command with its groups and its settings, both in the order of its yaml.

    Attributes:
        name: Name of the command.
        text: What it does.
        groups: Its groups, also those that its preset chooses.
        settings: Its own settings. Those of its groups are `component_settings`, those of all `shared_settings`.
    """

    name: str
    text: str
    groups: tuple[Group, ...]
    settings: tuple[Setting, ...]


@cache
def describe(command: str) -> Described:
    """Describe a command of `bench.config.COMMANDS`, without the settings that every command has.

    Examples:
        >>> propose = describe("propose")
        >>> [group.name for group in propose.groups]
        ['dataset', 'model', 'train', 'estimator']
        >>> next((each.default, each.comment) for each in propose.settings if each.key == "retrain.epochs")
        ('null', 'null = the epochs of the base')
    """
    name = COMMANDS[command]
    path, rules = CONF / f"{name}.yaml", _rules(name)
    groups, settings = _groups(path), _settings(path, "", rules)
    for group in groups:
        chosen = CONF / group.name / f"{group.default}.yaml"
        if chosen.is_file() and _is_whole(chosen):  # a preset sets settings of the command
            groups = [*groups, *_groups(chosen)]
            settings = [*settings, *_settings(chosen, "", rules)]
    shared = {each.key for each in shared_settings()}
    inside = {each.key: each for group in groups for each in component_settings(group.name, group.default)}
    own = [each for each in settings if each.key not in shared and each.key.partition(".")[0] != "hydra"]
    own = [replace(each, comment=each.comment or inside.get(each.key, each).comment) for each in own]
    return Described(command, comment_of(path), tuple(groups), tuple(own))


def shared_settings() -> list[Setting]:
    """Describe the settings that every command has, such as `seed` and `tracking.uri`."""
    rules = _rules("config")
    return [each for each in _settings(CONF / "app.yaml", "", rules) if each.key.partition(".")[0] != "hydra"]


@cache
def component_settings(group: str, choice: str) -> tuple[Setting, ...]:
    """Describe the settings of a choice, such as `dataset.root` of image_folder.

    Returns:
        The settings; none if there is no such choice.

    Examples:
        >>> [each.key for each in component_settings("estimator", "kde")][:2]
        ['estimator.kde._target_', 'estimator.kde.noise_variance']
    """
    path = CONF / group / f"{choice}.yaml"
    if not path.is_file():
        return ()
    return tuple(_settings(path, "" if _is_whole(path) else f"{group}.", _rules("config")))


def component_groups(group: str, choice: str) -> list[Group]:
    """Describe the groups that a choice chooses itself, such as the dataset of an experiment."""
    path = CONF / group / f"{choice}.yaml"
    return _groups(path) if path.is_file() else []


def group_names() -> list[str]:
    """List the names of all groups."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir())


def choices_of(group: str) -> list[str]:
    """List the names of the choices of a group; an empty list if there is no such group."""
    return sorted(path.stem for path in CONF.joinpath(group).glob("*.yaml"))


def summary_of(group: str, choice: str) -> str:
    """Return the first sentence about a choice.

    Examples:
        >>> summary_of("estimator", "lnc")
        'Nearest-neighbour estimator with local non-uniformity correction (Gao et al. 2015).'
    """
    return first_sentence(comment_of(CONF / group / f"{choice}.yaml"))


def first_sentence(text: str) -> str:
    """Return the first sentence of a text in one line."""
    return re.split(r"(?<=\.) (?=[A-Z])", text)[0]


def comment_of(path: Path) -> str:
    """Return the comment at the beginning of a yaml file, in one line."""
    lines = _text(path).splitlines()
    block: list[str] = []
    for line in lines[1:] if _is_whole(path) else lines:
        if not line.startswith("#"):
            break
        block.append(line.lstrip("# "))
    return " ".join(block)


def _is_whole(path: Path) -> bool:
    return _text(path).startswith(WHOLE)


def _groups(path: Path) -> list[Group]:
    """Read the groups of the defaults list of a yaml file, also those that it overrides, without Hydra's own."""
    groups = []
    for key, node, _ in _entries(path):
        for entry in node.value if key == "defaults" else ():
            if isinstance(entry, yaml.MappingNode):
                name, choice = entry.value[0]
                group = str(name.value).removeprefix("override ").lstrip("/")
                if not group.startswith("hydra/"):
                    groups.append(Group(group, _typed(path, choice), _comment_at(path, choice)))
            elif _is_whole(path) and (included := path.with_stem(entry.value)).is_file():
                groups += _groups(included)
    return groups


def _settings(path: Path, prefix: str, rules: dict[str, str]) -> list[Setting]:
    """Read the settings of a yaml file, and the sections that have a comment."""
    settings = []
    for key, node, comment in _entries(path):
        if key.partition(".")[0] == "defaults" or key.rpartition(".")[2] == "_partial_":
            continue
        is_section = isinstance(node, yaml.MappingNode) and not node.flow_style
        if comment or not is_section:
            name = f"{prefix}{key}"
            settings.append(Setting(name, "" if is_section else _typed(path, node), rules.get(name, ""), comment))
    return settings


@cache
def _entries(path: Path) -> tuple[tuple[str, yaml.Node, str], ...]:
    """Return the dotted key, the node and the comment of each value and each section of a yaml file."""

    def walk(mapping: yaml.MappingNode, prefix: str) -> Iterator[tuple[str, yaml.Node, str]]:
        for name, node in mapping.value:
            key = f"{prefix}{name.value}"
            is_block = not isinstance(node, yaml.ScalarNode) and not node.flow_style
            yield key, node, _comment_at(path, name if is_block else node)
            if is_block and isinstance(node, yaml.MappingNode):
                yield from walk(node, f"{key}.")

    root = yaml.compose(_text(path), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    return tuple(walk(root, "")) if isinstance(root, yaml.MappingNode) else ()


def _comment_at(path: Path, node: yaml.Node) -> str:
    """Return the comment in the line in which a node ends."""
    rest = _text(path).split("\n")[node.end_mark.line][node.end_mark.column :]
    return rest.partition("#")[2].strip()


def _typed(path: Path, node: yaml.Node) -> str:
    """Return a value as its file has it, without spaces after commas, which a shell would split."""
    text = _text(path)[node.start_mark.index : node.end_mark.index]
    if isinstance(node, yaml.SequenceNode) and not node.flow_style:
        return f"[{len(node.value)} entries]"
    return re.sub(r"(?<=,)\s+", "", text.strip())


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@cache
def _rules(config: str) -> dict[str, str]:
    """Return the allowed values of each setting of a command by its dotted key, from the name of its config."""
    return _flat_rules(KINDS[config])


def _flat_rules(kind: type, prefix: str = "") -> dict[str, str]:
    flat: dict[str, str] = {}
    for field, (hint, rule) in rules_of(kind).items():
        if is_dataclass(hint):
            flat |= _flat_rules(hint, f"{prefix}{field}.")
        elif rule is not None:
            null = ", or null" if "None" in str(hint) and "null" not in str(rule) else ""
            flat[f"{prefix}{field}"] = f"{rule}{null}"
    return flat
