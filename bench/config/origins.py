"""Origins: where the weights of a measured network come from: a file, a tracked run, or the network's own class."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, ListConfig, OmegaConf, open_dict
from torch import Tensor

from bench.config.checks import check_measure
from bench.config.chosen import split_override
from bench.errors import InputError
from bench.tracking.trust import trusted_by, without_fetching
from models.checkpoints import read_weights

SHORT = 8  # characters of the id of a run in a name
# sections of the config of a run that determine what is measured
SECTIONS = ("seed", "dataset", "folds", "fold", "model", "estimator", "diagnostic", "calibration")


@dataclass(frozen=True)
class Origin:
    """Where the weights of a network come from.

    Attributes:
        source: The file or the run, for messages.
        design: Name of the design in tables.
        weights: The weights by name; None if the network has its own.
        digest: Hash of the weights, or an empty text.
        epoch: Epoch of training of the weights; 0 if it is unknown.
        run: Id of the run, or None.
    """

    source: str
    design: str
    weights: Mapping[str, Tensor] | None
    digest: str = ""
    epoch: int = 0
    run: str | None = None


def origin_of(config: DictConfig) -> Origin:
    """Read the weights that a config of `measure` names. With a run, the config gets the settings of the run.

    Raises:
        InputError: The file or the run can't be read.
    """
    model = HydraConfig.get().runtime.choices["model"]
    if config.run is not None:
        return _origin_in_run(config)
    if config.weights is None or config.weights == "model":
        named = [key for key in given_keys() if key.startswith("model.")]
        values = [f"{key.rpartition('.')[2]}={OmegaConf.select(config, key)}" for key in named]
        return Origin("", " ".join([model, *values]), None)
    try:
        weights = read_weights(config.weights)
    except ValueError as error:
        raise InputError(str(error)) from error
    path = Path(config.weights).expanduser()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return Origin(str(path), f"{model} {path.name}", weights, digest)


def given_keys() -> list[str]:
    """Return the keys of the overrides of this command, without + and ~."""
    return [split_override(override)[0] for override in HydraConfig.get().overrides.task]


def _origin_in_run(config: DictConfig) -> Origin:
    """Read the weights and the settings of a tracked run."""
    from bench.tracking.records import saved_network, whole_id  # imported here, because MLflow takes seconds to load
    from bench.tracking.runs import DESIGN
    from bench.tracking.sqlite import default_uri
    from bench.tracking.store import client_of

    if wrong := [key for key in given_keys() if key.partition(".")[0] == "model"]:
        raise InputError(f"{wrong[0]}: got both run and model, wanted one of them; a run has a network of its own")
    uri, trust = config.tracking.uri or default_uri(), trusted_by(config)
    config.run = whole_id(config.run, uri)
    stored, weights = saved_network(config.run, uri, trust)
    adopt(config, stored)
    with open_dict(config):
        config.model = without_fetching(config.model, trust)
    check_measure(config)
    run = client_of(uri).get_run(config.run)
    design = f"{run.data.params.get(DESIGN, 'network')} of run {config.run[:SHORT]}"
    epoch = int(run.data.metrics.get("summary/best_epoch", 0))
    return Origin(f"run {config.run}", design, weights, config.run, epoch, config.run)


def adopt(config: DictConfig, stored: DictConfig) -> None:
    """Set what is measured as in the config of a run, except for what the command line gives.

    The untrained network of the run's own seed, which the run measured before training, counts as a reference.

    Args:
        config: Config of `measure`, which is changed.
        stored: Config of the run.
    """
    given, composed = given_keys(), config.copy()
    with open_dict(config):
        for section in SECTIONS:
            if section in stored and section not in given:
                config[section] = stored[section]
        probe = cast(dict, OmegaConf.to_container(stored.get("probe", DictConfig({}))))
        if "epochs" in probe:
            probe["untrained_seeds"] += 1
        for key in config.probe:
            if key in probe:
                config.probe[key] = probe[key]
        trained = stored.get("train") or stored
        config.loss = trained.get("loss", config.loss)
        for key in given:
            section = key.partition(".")[0]
            if section in ("loss", "probe") or ("." in key and section in SECTIONS and section not in given):
                value = OmegaConf.select(composed, key)
                plain = OmegaConf.to_container(value) if isinstance(value, DictConfig | ListConfig) else value
                OmegaConf.update(config, key, plain, merge=False, force_add=True)
