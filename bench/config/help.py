"""Help: what --help prints for a command, and for choices such as dataset=image_folder."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from bench.config import COMMANDS
from bench.config.chosen import given_choices
from bench.config.command_line import START, Line
from bench.config.described import (
    Group,
    Setting,
    choices_of,
    component_settings,
    describe,
    first_sentence,
    shared_settings,
)

WIDTH, COLUMN = 100, 30
EXAMPLES = {
    "run": (
        "dataset=image_folder dataset.root=DIR model.widths='[8,16,32]'",
        "-m model.skips=all,none seed=0,1,2",
        "+experiment=lee2021 dataset.root=DIR",
    ),
    "measure": (
        "measure model=smp weights=FILE dataset=image_folder dataset.root=DIR",
        "measure model=custom model.network._target_=mine.Net weights=FILE",
        "measure run=RUN_ID probe.views=[pixel,patch]",
    ),
    "calibrate": ("calibrate", "calibrate benchmark=[gaussian,student] estimator=[ksg,probe]"),
    "propose": ("propose run=RUN_ID target.params=0.1", "propose dataset=image_folder dataset.root=DIR"),
    "validity": ("validity run=RUN_ID", "validity dataset=image_folder dataset.root=DIR judged_on=val"),
    "compare": ("compare", "compare sweep=NAME", "compare runs=[RUN_ID,RUN_ID] by=probe.pixel"),
    "taps": ("taps model=cnn dataset.task=classification", "taps model=smp depth=2"),
    "status": ("status", "status sweep=NAME"),
    "resend": ("resend", "resend folder=DIR"),
}


def help_text(line: Line) -> str:
    """Return the help about the choices of a line if it has any, else about its command."""
    if given := given_choices(line.overrides):
        return "\n".join(part for group, names in given.items() for part in _of_choice(group, names)).rstrip() + "\n"
    return "\n".join(_of_command(line)).rstrip() + "\n"


def _of_command(line: Line) -> list[str]:
    described = describe(line.command)
    usage = [
        *_wrapped(described.text if line.is_named else "Measures how information flows through neural networks."),
        "",
    ]
    usage += [f"Usage: {START} {line.command if line.is_named else '[COMMAND]'} [NAME=VALUE ...]"]
    if line.command == "run":
        usage += [f"       {START} -m [NAME=VALUE,VALUE ...]    a sweep: one run for each combination of values"]
    usage += ["", "Examples:", *(f"  {START} {example}" for example in EXAMPLES[line.command]), ""]
    if not line.is_named:
        about = {name: first_sentence(describe(name).text) for name in COMMANDS}
        about["run"] += " The default."
        usage += ["Commands:", *(row for name, text in about.items() for row in _row(name, text, 9)), ""]
    choices = [row for group in described.groups for row in _group(group)]
    if line.command == "run":
        choices += _row("+experiment=NAME", f"one of {', '.join(choices_of('experiment'))}")
    return [
        *usage,
        *([f"Choices of {line.command}, with the default:", *choices, ""] if choices else []),
        f"Settings of {line.command}, with the default value:",
        *_rows(described.settings),
        "",
        "Settings of every command:",
        *_rows(shared_settings()),
        "",
        "More:",
        *_row("COMMAND --help", "about a command"),
        *_row(
            "dataset=image_folder --help",
            "about a choice: its settings, and the other choices; also model=, estimator=, …",
        ),
        *_row("[COMMAND] --cfg job", "the composed config"),
        *_row("--hydra-help", "flags of Hydra"),
        *_row("-sc install=bash", f'tab completion: eval "$({START} -sc install=bash)"'),
        "Some choices need an extra: pip install 'infoflow-bench[all]', or one of smp, timm, medmnist, nifti, onnx.",
    ]


def _of_choice(group: str, names: Sequence[str]) -> list[str]:
    """Describe the settings of the chosen members of a group, and all its choices."""
    about = Group(group, "", "").choices
    rows = []
    for name in names:
        if name in about:
            rows += [f"{group}={name}", *_wrapped(about[name]), "", *_rows(component_settings(group, name)), ""]
    return [*rows, f"Choices of {group}:", *(row for name, text in about.items() for row in _row(name, text)), ""]


def _group(group: Group) -> list[str]:
    text = f"one of {', '.join(choices_of(group.name))}"
    several = "several of" if group.default.startswith("[") else ""
    text = text.replace("one of", several, 1) if several else text
    return _row(f"{group.name}={group.default}", f"{text}; {group.comment}" if group.comment else text)


def _rows(settings: Sequence[Setting]) -> list[str]:
    rows = []
    for each in settings:
        name = f"{each.key}={each.default}" if each.default else f"{each.key}.*"
        rows += _row(name, each.comment or each.allowed)
    return rows


def _row(name: str, text: str, column: int = COLUMN) -> list[str]:
    """Return a name and its explanation in two columns; a long name has a line of its own."""
    wrapped = textwrap.wrap(text, WIDTH - column - 4) or [""]
    beside = len(name) <= column
    first = f"  {name:<{column}}  {wrapped[0]}".rstrip() if beside else f"  {name}"
    return [first, *(f"{'':{column + 4}}{each}" for each in (wrapped[1:] if beside else wrapped) if each)]


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH)
