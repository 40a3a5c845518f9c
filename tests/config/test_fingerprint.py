"""The fingerprint of a run changes with the settings that change its numbers, and with no others."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from bench.__main__ import CONF
from bench.config.prepare import fingerprint_of
from bench.config.settings import register
from bench.datasets import phantoms


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(2, 2, 2), size=16)


def config(*overrides):
    register()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("config", list(overrides))


def test_it_is_equal_for_any_number_of_workers(data):
    assert fingerprint_of(config("train.workers=4"), data) == fingerprint_of(config(), data)


def test_it_differs_for_each_setting_that_changes_numbers(data):
    changes = ("sampler=balanced", "patches=2", "warmup=1", "clip=1.0", "compile=true", "amp=bf16", "epochs=3")
    changes += ("start=0123",)
    found = {fingerprint_of(config(f"train.{change}"), data) for change in changes}
    assert len(found | {fingerprint_of(config(), data)}) == len(changes) + 1


def test_it_is_that_of_a_config_before_train_start_was_known(data):
    before = OmegaConf.create(OmegaConf.to_container(config(), resolve=True))
    del before.train.start
    assert fingerprint_of(before, data) == fingerprint_of(config(), data)
