"""Every setting of every command has a rule, and commands refuse malformed values with one line before they start."""

import math
from dataclasses import is_dataclass

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench.__main__ import CONF
from bench.config import checks
from bench.config.rules import Choice, Each, Folds, Number, Switch, Text, rules_of
from bench.config.settings import KINDS, register
from bench.errors import InputError

CHECKS = {
    "config": checks.check_run,
    "measure": checks.check_measure,
    "calibrate": checks.check_calibration,
    "propose": checks.check_proposal,
    "validity": checks.check_validity,
    "taps": checks.check_taps,
    "status": checks.check_status,
    "resend": checks.check_resend,
    "compare": checks.check_comparison,
}
COMPONENTS = {
    "dataset",
    "model",
    "estimator",
    "diagnostic",
    "benchmark",
    "train.optimizer",
    "train.schedule",
    "planted",
}
NUMBERS = [math.nan, math.inf, -math.inf, -1, 10**18, 2**63, "wide", "", [], {}, [[1]], True]
TEXTS = ["", " ", "a\nb", "a\x00b", "\udcff", "x" * 10_000, [], {}, ["a"]]
CHOICES = ["", "nothing", 7, True, [], {}]
SWITCHES = [2, 0, 1.5, "yes", "", None, [], {}]


def leaves(kind, name=""):
    """Yield the key, type and rule of every setting that is not a section."""
    for field, (hint, rule) in rules_of(kind).items():
        key = f"{name}{field}"
        if is_dataclass(hint):
            yield from leaves(hint, f"{key}.")
        else:
            yield key, hint, rule


LEAVES = [(name, *leaf) for name, kind in KINDS.items() for leaf in leaves(kind)]


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """Compose the config of each command with its default values."""
    register()
    folder = str(tmp_path_factory.mktemp("out"))
    with initialize_config_dir(str(CONF), version_base="1.3"):
        composed = {name: compose(name) for name in KINDS}
    for name in ("propose", "validity", "compare", "resend"):
        composed[name].folder = folder
    return composed


def refusal(config, name, key, value):
    """Return the error message for a value, or None if the command accepts it. Any other exception is a defect."""
    config = config.copy()
    try:
        OmegaConf.update(config, key, value, merge=False)
        CHECKS[name](config)
    except (InputError, OmegaConfBaseException) as error:
        return str(error)
    return None


def malformed(rule):
    match rule:
        case Number():
            return NUMBERS
        case Text():
            return TEXTS
        case Choice():
            return CHOICES
        case Switch():
            return SWITCHES
        case Folds():
            return [1, -1, 0, 1001, 2.5, math.nan, *TEXTS]
        case Each():
            inside = [value for value in malformed(rule.rule) if not isinstance(value, list | dict)]
            empty = [[]] if rule.least else []
            return [*([value] for value in inside), *empty, "a", 3, {}, {"a": 1}, [[1]]]
    raise AssertionError(f"no malformed values for {rule}")


@pytest.mark.parametrize("name", KINDS)
def test_defaults_are_accepted(configs, name):
    before = configs[name].copy()
    CHECKS[name](configs[name])
    assert configs[name] == before


def test_every_setting_has_a_rule():
    without = {key for _, key, _, rule in LEAVES if rule is None}
    assert without == COMPONENTS, "give the new setting a rule in bench/config/settings.py"
    for name, key, hint, rule in LEAVES:
        of_numbers = isinstance(rule, Number) or (isinstance(rule, Each) and isinstance(rule.rule, Number))
        assert of_numbers == any(word in str(hint) for word in ("int", "float")), f"{name}: {key} is {hint} by {rule}"


@pytest.mark.parametrize(("name", "key", "hint", "rule"), [leaf for leaf in LEAVES if leaf[3] is not None])
def test_malformed_values_are_refused(configs, name, key, hint, rule):
    for value in malformed(rule):
        message = refusal(configs[name], name, key, value)
        assert message is not None, f"{key}={value!r} is taken"
        if message.startswith(key):
            assert "\n" not in message
            assert ": got " in message
            assert "wanted" in message or "occurs twice" in message


@pytest.mark.parametrize(("name", "key", "hint", "rule"), [leaf for leaf in LEAVES if isinstance(leaf[3], Number)])
def test_the_ends_of_a_range_agree_with_the_message(configs, name, key, hint, rule):
    for end in (rule.least, rule.most):
        message = refusal(configs[name], name, key, end)
        if end in rule.excluded:
            assert message.startswith(f"{key}: got ")
        else:
            assert not (message or "").startswith(f"{key}: got {end}, wanted {rule}")
    beyond = refusal(configs[name], name, key, rule.most + 1)
    assert beyond.startswith(f"{key}: got ")
    assert f"{rule.most:,}" in beyond or rule.wanted in beyond


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("config", "seed", 2**32, "seed: got 4294967296, wanted 0 or more, up to 4,294,967,295"),
        ("propose", "seed", 2**32 - 2, "seed: got 4294967294 and further seeds for retrain.seeds"),
        ("config", "probe.budget_gb", math.nan, "probe.budget_gb: got nan, wanted more than 0, up to 1,000,000"),
        ("config", "objectives", ["a", "a"], "objectives: got ['a', 'a'], in which 'a' occurs twice"),
        (
            "config",
            "tracking.name",
            "a\nb",
            r"tracking.name: got 'a\nb', wanted one that MLflow can show, or null, wit",
        ),
        (
            "config",
            "tracking.name",
            "x" * 251,
            "… of 251 characters, wanted one that MLflow can show, or null, of at m",
        ),
        ("config", "train.epochs", "???", "train.epochs: got nothing, wanted a value"),
        ("config", "tracking.name", "${nope}", "tracking.name: Interpolation key 'nope' not found; set it to a value"),
        ("config", "tracking.name", "${oc.env:NOT_SET_HERE}", "Environment variable 'NOT_SET_HERE' not found"),
        ("calibrate", "bits", [0.0, 1.0, 0.0], "bits: got [0.0, 1.0, 0.0], in which 0.0 occurs twice"),
        ("calibrate", "planted", 3, "planted: got 3, wanted settings such as those of probe, or null"),
        ("calibrate", "planted", {"nope": 3}, "planted: probe: got the setting 'nope', wanted one of split, n, taps"),
        ("calibrate", "planted", {"pixels": 2.5}, "planted: probe.pixels: Value '2.5' of type 'float' could not be"),
        ("calibrate", "planted", {"budget_gb": -1}, "planted: probe.budget_gb: got -1, wanted more than 0"),
        ("compare", "runs", ["a", "b", "a"], "runs: got ['a', 'b', 'a'], in which 'a' occurs twice; give each value o"),
        ("propose", "folder", "/dev/null/x", "folder: got /dev/null/x, which can't be made (Not a directory)"),
    ],
)
def test_messages(configs, name, key, value, message):
    assert message in refusal(configs[name], name, key, value)


def test_the_seeds_of_untrained_networks_have_the_range_of_seeds(configs):
    config = configs["config"].copy()
    config.probe.untrained_seeds = 1
    message = "seed: got 4294967295 and further seeds for probe.untrained_seeds, wanted all "
    assert message in refusal(config, "config", "seed", 2**32 - 1)
    assert refusal(config, "config", "seed", 2**32 - 2) is None
