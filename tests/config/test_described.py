"""The descriptions of settings name every setting of the composed config, with its default value."""

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from running import CONF

from bench.config import COMMANDS
from bench.config.described import (
    Group,
    Setting,
    component_settings,
    describe,
    group_names,
    shared_settings,
    summary_of,
)
from bench.config.settings import App, register


@pytest.mark.parametrize("command", COMMANDS)
def test_every_setting_of_a_command_with_its_default(command):
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose(COMMANDS[command])
    described = describe(command)
    groups = {group.name for group in described.groups}
    assert {each.key.partition(".")[0] for each in described.settings} | groups >= set(config) - set(
        App.__dataclass_fields__
    )
    for each in described.settings:
        if each.default:
            found = OmegaConf.to_container(OmegaConf.create({"it": OmegaConf.select(config, each.key)}))["it"]
            assert each.default == "???" or yaml.safe_load(each.default) == found, each
    for group in described.groups:
        assert set(yaml.safe_load(f"[{group.default.strip('[]')}]")) <= set(group.choices)


def test_a_setting_has_the_comment_of_its_line_and_its_range():
    shown = {each.key: each for each in describe("propose").settings}
    assert shown["ask.margin"] == Setting(
        "ask.margin",
        "0.05",
        "0 or more, up to 1,000",
        "share of the peak information; a part whose interval lies below can be removed",
    )
    assert shown["target"] == Setting("target", "", "", "a proposal must meet each limit that is not null")
    assert shown["verify"].allowed == "true or false"
    assert shown["retrain.epochs"].allowed == "0 or more, up to 1,000,000, or null"
    assert describe("status").settings[0].default == "null"
    assert describe("propose").groups[0] == Group("dataset", "phantoms", "for a new base")
    assert [each.key for each in shared_settings()][:2] == ["seed", "device"]


def test_settings_of_a_choice():
    assert component_settings("dataset", "image_folder")[2] == Setting(
        "dataset.size", "128", "", "one side, or [h, w]; null = the size of the images"
    )
    assert "estimator.kde.bound" in {each.key for each in component_settings("estimator", "kde")}
    assert "probe.epochs" in {each.key for each in component_settings("experiment", "lee2021")}
    assert component_settings("dataset", "nope") == ()


@pytest.mark.parametrize("group", group_names())
def test_every_choice_is_explained(group):
    assert all(len(summary_of(group, name)) > 15 for name in Group(group, "", "").choices)
