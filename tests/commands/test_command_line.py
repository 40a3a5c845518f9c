"""Features that Hydra gives every command: help, the composed config, tab completion."""

import pytest
import yaml
from running import command

from bench.__main__ import CONF


def names(group):
    return sorted(path.stem for path in (CONF / group).glob("*.yaml"))


def test_help_names_every_choice_and_the_config(tmp_path):
    ended = command(tmp_path, "--help")
    assert ended.code == 0
    for group in ("dataset", "diagnostic", "estimator", "experiment", "model", "benchmark", "preset"):
        assert f"{group}: {', '.join(names(group))}\n" in ended.out
    assert "python -m bench [COMMAND] [OVERRIDES]" in ended.out
    assert "untrained_seeds: 2" in ended.out


@pytest.mark.parametrize("words", [(), ("run",)])
def test_cfg_job_shows_the_composed_config(tmp_path, words):
    ended = command(tmp_path, *words, "--cfg", "job", "estimator=[renyi,binning]", "estimator.renyi.alpha=2", "seed=5")
    shown = yaml.safe_load(ended.out)
    assert ended.code == 0
    assert list(shown["estimator"]) == ["renyi", "binning"]
    assert shown["estimator"]["renyi"]["alpha"] == 2
    assert shown["seed"] == 5
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("line", "choices"),
    [
        ("bench model=", [f"model={name}" for name in names("model")]),
        ("bench model=unet_", ["model=unet_lee2021"]),
        ("bench run dataset=", [f"dataset={name}" for name in names("dataset")]),
        ("bench train.b", ["train.batch_size="]),
    ],
)
def test_tab_completion(tmp_path, monkeypatch, line, choices):
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    ended = command(tmp_path, "-sc", "query=bash")
    assert ended.code == 0, ended.err
    assert ended.out.split() == choices
