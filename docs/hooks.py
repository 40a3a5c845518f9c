"""Hooks of MkDocs: pages of the commands and of the components from conf/, and of the notebooks."""

from pathlib import Path

from mkdocs.structure.files import File, Files
from nbconvert import MarkdownExporter
from nbconvert.preprocessors.coalescestreams import CoalesceStreamsPreprocessor

from bench.config import COMMANDS, CONF
from bench.config.described import (
    Setting,
    choices_of,
    comment_of,
    component_settings,
    describe,
    group_names,
    shared_settings,
)
from bench.config.help import EXAMPLES

TITLES = {
    "benchmark": "Benchmarks: distributions with known information",
    "dataset": "Datasets",
    "diagnostic": "Diagnostics",
    "estimator": "Estimators",
    "experiment": "Experiments: settings of published studies",
    "model": "Networks",
    "preset": "Presets of calibrate",
    "train": "Training",
}


def on_files(files: Files, config) -> Files:
    """Add the generated pages."""
    pages = {f"commands/{name}.md": command_page(name) for name in COMMANDS}
    pages |= {f"components/{group}.md": component_page(group) for group in group_names()}
    for path in sorted(Path(config.docs_dir).glob("notebooks/*.ipynb")):
        text, resources = MarkdownExporter(preprocessors=[CoalesceStreamsPreprocessor]).from_filename(str(path))
        for name, image in resources["outputs"].items():
            pages[f"notebooks/{path.stem}/{name}"] = image
            text = text.replace(f"]({name})", f"]({path.stem}/{name})")
        pages[f"notebooks/{path.stem}.md"] = f"{text}\n[Download this notebook]({path.name})\n"
    for name, content in pages.items():
        files.append(File.generated(config, name, content=content))
    return files


def command_page(name: str) -> str:
    """Return the page of a command: what it does, examples, its choices and its settings."""
    described = describe(name)
    examples = "\n".join(f"    python -m bench {example}" for example in EXAMPLES[name])
    parts = [f"# {name}", described.text, examples]
    if described.groups:
        rows = [
            (
                f"[`{group.name}`](../components/{group.name}.md)",
                _code(group.default),
                _row(group.choices),
                group.comment,
            )
            for group in described.groups
        ]
        parts += ["## Choices", _table(("group", "default", "choices", ""), rows)]
    parts += ["## Settings", _settings(described.settings), "## Settings of every command"]
    return "\n\n".join([*parts, _settings(shared_settings())]) + "\n"


def component_page(group: str) -> str:
    """Return the page of a group: each choice with its settings."""
    parts = [f"# {TITLES[group]}", f"Choose with `{'+' if group == 'experiment' else ''}{group}=NAME`."]
    for name in choices_of(group):
        parts += [f"## {name}", comment_of(CONF / group / f"{name}.yaml"), _settings(component_settings(group, name))]
    return "\n\n".join(parts) + "\n"


def _settings(settings: list[Setting] | tuple[Setting, ...]) -> str:
    rows = [
        (_code(each.key), _code(each.default), each.comment, each.allowed)
        for each in settings
        if not each.key.endswith("_target_")
    ]
    return _table(("setting", "default", "meaning", "allowed"), rows)


def _table(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """Return a table in Markdown without the columns that are empty."""
    kept = [i for i in range(len(head)) if any(row[i] for row in rows)]
    lines = [[head[i] for i in kept], ["---"] * len(kept)]
    lines += [[row[i].replace("|", "\\|") for i in kept] for row in rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _row(names) -> str:
    return ", ".join(_code(name) for name in names)


def _code(text: str) -> str:
    return f"`{text}`" if text else ""
