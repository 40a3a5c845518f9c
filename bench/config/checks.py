"""Checks: check the config of each command before the command starts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import is_dataclass
from pathlib import Path
from typing import cast

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf.errors import MissingMandatoryValue, OmegaConfBaseException

from bench.config.chosen import did_you_mean
from bench.config.folders import check_folder
from bench.config.launching import check_launching
from bench.config.overrides import check_given
from bench.config.rules import Switch, rules_of
from bench.config.sections import Measuring
from bench.config.settings import (
    KINDS,
    SEEDS,
    CalibrationSettings,
    CompareSettings,
    MeasureSettings,
    ProposalSettings,
    ResendSettings,
    Settings,
    StatusSettings,
    TapsSettings,
    ValiditySettings,
)
from bench.errors import InputError


def check_run(config: DictConfig) -> None:
    """Check the config of `run`.

    Raises:
        InputError: If a value is out of its range, or if a setting does not exist.
    """
    _check(config, Settings)
    _check_components(config)
    _check_last_seed(config, "probe.untrained_seeds", config.probe.untrained_seeds)


def check_measure(config: DictConfig) -> None:
    """Check the config of `measure` as `check_run` does, and that the weights have one source."""
    _check(config, MeasureSettings)
    _check_components(config)
    _check_last_seed(config, "probe.untrained_seeds", max(config.probe.untrained_seeds - 1, 0))
    if config.run is not None and config.weights is not None:
        raise InputError("weights: got both run and weights, wanted one of them; a run has weights of its own")
    if config.prefix is not None and config.weights is None:
        raise InputError(f"prefix: got {config.prefix!r} without weights, wanted a file; set weights=FILE")


def check_calibration(config: DictConfig) -> None:
    """Check the config of `calibrate` as `check_run` does, and its section `planted`."""
    _check(config, CalibrationSettings)
    _check_components(config)
    if config.planted is not None:
        if not isinstance(config.planted, DictConfig):
            raise InputError(f"planted: got {config.planted!r}, wanted settings such as those of probe, or null")
        try:
            _check_fields(config.planted, Measuring, "probe", partly=True)
            OmegaConf.merge(OmegaConf.structured(Measuring), config.planted)
        except (InputError, OmegaConfBaseException) as error:
            key = f"probe.{error.full_key}: " if isinstance(error, OmegaConfBaseException) else ""
            raise InputError(f"planted: {key}{str(error).splitlines()[0]}") from error
    if not config.benchmark and config.planted is None:
        raise InputError("benchmark: got none, wanted at least one, such as benchmark=[gaussian]")


def check_proposal(config: DictConfig) -> None:
    """Check the config of `propose` as `check_run` does, and the overrides of retraining."""
    _check(config, ProposalSettings)
    _check_components(config)
    if all(value is None for value in config.target.values()):
        raise InputError("target: got none, wanted at least one, such as target.params=0.1 or target.loss=0.01")
    if config.ask.rule == "filter_count" and config.run is None:
        raise InputError("run: got none, wanted one with the diagnostic filter_count, for ask.rule=filter_count")
    if config.verify:
        _check_seeds(config, "there is no verdict; verify=false proposes without one")
    _check_retraining(config)


def check_validity(config: DictConfig) -> None:
    """Check the config of `validity` as `check_run` does, and the overrides of retraining."""
    _check(config, ValiditySettings)
    _check_components(config)
    _check_seeds(config, "there is no noise ceiling")
    _check_retraining(config)


def check_comparison(config: DictConfig) -> None:
    """Check the config of `compare` as `check_run` does."""
    _check(config, CompareSettings)


def check_taps(config: DictConfig) -> None:
    """Check the config of `taps` as `check_run` does."""
    _check(config, TapsSettings)


def check_status(config: DictConfig) -> None:
    """Check the config of `status` as `check_run` does."""
    _check(config, StatusSettings)


def check_resend(config: DictConfig) -> None:
    """Check the config of `resend` as `check_run` does."""
    _check(config, ResendSettings)


CHECKS = {
    "run": check_run,
    "measure": check_measure,
    "calibrate": check_calibration,
    "propose": check_proposal,
    "validity": check_validity,
    "compare": check_comparison,
    "taps": check_taps,
    "status": check_status,
    "resend": check_resend,
}  # by command


def check_sweep(config: DictConfig, name: str, jobs: Iterable[list[str]]) -> None:
    """Check the settings of a sweep and of some of its jobs.

    Args:
        config: Config of the sweep.
        name: Name of the command's config.
        jobs: Overrides of the jobs to check. Hydra composes their configs, which checks the types.

    Raises:
        InputError: If a setting of the sweep or of a job is out of its range.
    """
    check_given(config, config.hydra)
    _check_own(config, name)
    check_launching(config.hydra, config.get("objectives"))
    check_folder("hydra.sweep.dir", config.hydra.sweep.dir)
    subdir = str(cast(dict, OmegaConf.to_container(config.hydra.sweep, resolve=False))["subdir"])
    shared, _, _ = subdir.partition("${")  # the remaining part differs between jobs
    check_folder("hydra.sweep.subdir", str(Path(config.hydra.sweep.dir, shared)))
    for job in jobs:
        _check_own(GlobalHydra.instance().config_loader().load_sweep_config(config, job), name)


def _check_own(config: DictConfig, name: str) -> None:
    """Check the fields of a config of this package, without Hydra's own."""
    if name in KINDS:  # any other config is one of the user
        own = cast(list[str], [key for key in config if key != "hydra"])  # masked_copy declares only texts
        _check_fields(OmegaConf.masked_copy(config, own), KINDS[name])


def _check(config: DictConfig, kind: type) -> None:
    """Check that all values are present and resolve, and check the overrides and the fields."""
    try:
        OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    except MissingMandatoryValue as error:
        raise InputError(f"{error.full_key}: got nothing, wanted a value") from error
    except OmegaConfBaseException as error:
        raise InputError(f"{error.full_key}: {str(error).splitlines()[0]}; set it to a value") from error
    if HydraConfig.initialized():
        check_given(config, cast(DictConfig, HydraConfig.get()))  # Hydra declares its dataclass
    _check_fields(config, kind)


def _check_fields(section: DictConfig, kind: type, name: str = "", partly: bool = False) -> None:
    """Check every value of a section by the rule of its field. With partly=True, fields can be absent."""
    rules = rules_of(kind)
    if unknown := set(section) - set(rules):
        got = f"{name or 'config'}: got the setting {min(map(str, unknown))!r}"
        near = did_you_mean(min(map(str, unknown)), rules)
        raise InputError(f"{got}, wanted one of {', '.join(rules)}{near}")
    for field, (hint, rule) in rules.items():
        key = f"{name}.{field}" if name else field
        if field not in section:
            if partly or OmegaConf.is_missing(section, field):
                continue
            raise InputError(f"{key}: got nothing, wanted a value; leave out '~{key}'")
        value = section[field]
        if is_dataclass(hint):
            _check_fields(value, hint, key)
        elif rule is not None and (value is not None or isinstance(rule, Switch)):
            rule.check(key, list(value) if isinstance(value, ListConfig) else value)


def _check_components(config: DictConfig) -> None:
    """Check that the config has an estimator, or has neither estimators nor diagnostics."""
    if not config.estimator and not ("diagnostic" in config and not config.diagnostic):
        raise InputError(
            "estimator: got none, wanted at least one, such as estimator=[renyi]; "
            "with diagnostic=[] too, a run only trains and evaluates"
        )


def _check_seeds(config: DictConfig, without: str) -> None:
    """Check that retraining has 2 seeds or more."""
    if config.retrain.seeds < 2:
        raise InputError(
            f"retrain.seeds: got {config.retrain.seeds}, wanted 2 or more: without spread between seeds {without}"
        )


def _check_retraining(config: DictConfig) -> None:
    """Check the seeds, the folder and the overrides of retraining."""
    _check_last_seed(config, "retrain.seeds", config.retrain.seeds - 1)
    check_folder("folder", config.folder)
    if not GlobalHydra.instance().is_initialized():
        return
    loader, overrides = GlobalHydra.instance().config_loader(), list(config.retrain.overrides)
    try:
        sweep = loader.load_configuration("config", overrides, RunMode.MULTIRUN, from_shell=False)
        check_launching(sweep.hydra, sweep.objectives)
        _check_own(sweep, "config")
    except (InputError, HydraException, OmegaConfBaseException) as error:
        raise InputError(f"retrain.overrides: got {overrides}, which can't be composed ({error})") from error


def _check_last_seed(config: DictConfig, key: str, further: int) -> None:
    """Check that the first seed and a number of further seeds are below the limit."""
    if config.seed + further >= SEEDS:
        raise InputError(f"seed: got {config.seed} and further seeds for {key}, wanted all below {SEEDS:,}; lower it")
