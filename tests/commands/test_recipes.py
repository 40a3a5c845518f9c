"""The recipes of docs/how-to/add-a-component.md work: a test writes their files and runs their commands."""

import re
import shlex
import sys
from pathlib import Path

import pytest
from running import QUIET, artifact, command, layers, runs, with_store

pytestmark = pytest.mark.processes

TEXT = (Path(__file__).parents[2] / "docs" / "how-to" / "add-a-component.md").read_text(encoding="utf-8")
CHECKS = {  # of the run of a recipe's first command, by the title of the recipe
    "A network": lambda folder, run: {"features", "pooled", "out"} <= set(layers(folder, run)["tap"]),
    "A dataset": lambda folder, run: '"rings"' in artifact(folder, run, "dataset.json").read_text(),
    "An estimator": lambda folder, run: layers(folder, run).query("estimator == 'median'")["excess"].notna().any(),
    "A diagnostic": lambda folder, run: run.data.metrics["summary/steepest.gain"] > 0,
}
SECTIONS = {
    title: text
    for title, text in re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)
    if "```" in text
}


def test_there_is_a_recipe_for_each_part():
    assert set(SECTIONS) == set(CHECKS)


@pytest.mark.parametrize("title", CHECKS)
def test_recipe(tmp_path, monkeypatch, title):
    monkeypatch.syspath_prepend(str(tmp_path))  # as `python -m` adds the current folder
    for module in [name for name in sys.modules if name == "mine" or name.startswith("mine.")]:
        monkeypatch.delitem(sys.modules, module)
    text = SECTIONS[title]
    for path, content in re.findall(r'^```(?:python|yaml) title="(\S+)"\n(.*?)^```', text, re.MULTILINE | re.DOTALL):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(content, encoding="utf-8")
    lines = re.findall(r"^    python -m bench (.*--config-dir.*)$", text, re.MULTILINE)
    assert lines
    with_store(tmp_path)
    for line in lines:
        ended = command(tmp_path, *shlex.split(line), *QUIET)
        assert ended.code == 0, ended.err
    first = runs(tmp_path)[0]
    assert first.info.status == "FINISHED"
    assert CHECKS[title](tmp_path, first)
