"""Launching: check the settings of Hydra's launchers and sweepers, which check few of them themselves."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import DictConfig, ListConfig, OmegaConf

from bench.config.rules import Choice, Number
from bench.errors import InputError

COUNT, SHARE, SEED = Number(1, 10**6), Number(0, 1), Number(0, 2**32 - 1)
CORES = os.cpu_count() or 1
JOBS = Number(-CORES, 10**4, (0,), f"1 or more jobs at once, or -1 for one on each core, down to -{CORES}")


@dataclass(frozen=True)
class Pattern:
    """A value whose text matches a regular expression.

    Attributes:
        expression: The regular expression.
        wanted: Description of the allowed values, for messages.
    """

    expression: str
    wanted: str

    def check(self, key: str, value: Any) -> None:
        """Raise InputError if the text of a value does not match."""
        if not re.fullmatch(self.expression, str(value)):
            raise InputError(f"{key}: got {value!r}, wanted {self.wanted}")


# Settings below `hydra` of launchers and sweepers, and their rules. The plugin decides what null means.
PLUGIN = Pattern(r"hydra_plugins\..+|hydra\._internal\.core_plugins\..+", "a plugin of Hydra")
RULES: dict[str, Number | Choice | Pattern] = {
    "launcher._target_": PLUGIN,
    "sweeper._target_": PLUGIN,
    # joblib
    "launcher.n_jobs": JOBS,
    "launcher.timeout": Number(0, 10**9, (0,)),
    "launcher.verbose": Number(0, 1000),
    "launcher.pre_dispatch": Pattern(
        r"all|\d+(\.\d+)?(\*n_jobs)?", "all, a number, or a number of times n_jobs: 2*n_jobs"
    ),
    "launcher.batch_size": Pattern(r"auto|[1-9]\d*", "auto, or 1 or more jobs"),
    "launcher.require": Choice(("sharedmem",)),
    "launcher.prefer": Choice(("processes", "threads")),
    "launcher.max_nbytes": Pattern(r"\d+[KMG]?", "bytes such as 1M"),
    "launcher.mmap_mode": Choice(("r", "r+", "w+", "c")),
    # submitit
    "launcher.timeout_min": COUNT,
    "launcher.cpus_per_task": COUNT,
    "launcher.cpus_per_gpu": COUNT,
    "launcher.gpus_per_node": Number(0, 10**6),
    "launcher.gpus_per_task": Number(0, 10**6),
    "launcher.tasks_per_node": COUNT,
    "launcher.mem_gb": COUNT,
    "launcher.nodes": COUNT,
    "launcher.signal_delay_s": Number(0, 10**6),
    "launcher.max_num_timeout": Number(0, 10**6),
    "launcher.array_parallelism": COUNT,
    # ray
    "launcher.ray.init.num_cpus": COUNT,
    "launcher.ray.init.num_gpus": Number(0, 10**6),
    "launcher.ray.remote.num_cpus": Number(0, 10**6),
    "launcher.ray.remote.num_gpus": Number(0, 10**6),
    # basic
    "sweeper.max_batch_size": COUNT,
    # optuna
    "sweeper.storage": Pattern(r"\w+(\+\w+)?://.+", "the address of a database, such as sqlite:///study.db"),
    "sweeper.study_name": Pattern(r".*\S.*", "a name"),
    "sweeper.n_trials": COUNT,
    "sweeper.n_jobs": Number(1, 10**4),
    "sweeper.max_failure_rate": SHARE,
    "sweeper.sampler.seed": SEED,
    "sweeper.sampler.prior_weight": Number(0, 10**6, (0,)),
    "sweeper.sampler.n_startup_trials": Number(0, 10**6),
    "sweeper.sampler.n_ei_candidates": COUNT,
    "sweeper.sampler.n_ehvi_candidates": COUNT,
    "sweeper.sampler.sigma0": Number(0, 10**6, (0,)),
    "sweeper.sampler.inc_popsize": COUNT,
    "sweeper.sampler.population_size": Number(2, 10**6),
    "sweeper.sampler.mutation_prob": SHARE,
    "sweeper.sampler.crossover_prob": SHARE,
    "sweeper.sampler.swapping_prob": SHARE,
}
DIRECTION = Choice(("minimize", "maximize"))


def check_launching(hydra: DictConfig, objectives: ListConfig | None) -> None:
    """Check the settings of the launcher and the sweeper.

    A setting that the plugin does not have is refused, because Hydra's joblib launcher ignores it.

    Args:
        hydra: Hydra's own config.
        objectives: Objectives of the job. A sweeper with directions needs one for each direction.

    Raises:
        InputError: If a setting is out of its range or unknown, or if objectives and directions do not match.
    """
    for plugin in ("launcher", "sweeper"):
        _refuse_unknown(f"hydra/{plugin}", hydra.runtime.choices[f"hydra/{plugin}"], hydra[plugin])
    for key, rule in RULES.items():
        value = OmegaConf.select(hydra, key)
        if value is not None:
            rule.check(f"hydra.{key}", value)
    if "direction" not in hydra.sweeper:
        return
    directions = hydra.sweeper.direction
    directions = list(directions) if isinstance(directions, ListConfig) else [directions]
    directions = [each.name if isinstance(each, Enum) else each for each in directions]
    for direction in directions:
        DIRECTION.check("hydra.sweeper.direction", direction)
    got = list(objectives or [])
    if len(got) != len(directions):
        raise InputError(
            f"objectives: got {got or 'none'} for hydra.sweeper.direction={','.join(directions)}, wanted a metric of "
            "the run for each direction, such as [summary/val_score] for maximize"
        )


def _refuse_unknown(group: str, choice: str, given: DictConfig) -> None:
    """Raise InputError for a setting that the plugin does not have."""
    plugins = ConfigStore.instance()
    if f"{choice}.yaml" not in plugins.list(group):
        return  # the user has defined this choice
    known = list(plugins.load(f"{group}/{choice}.yaml").node)
    if unknown := [name for name in given if name not in known]:
        key = group.replace("/", ".")
        raise InputError(f"{key}: got the setting {unknown[0]!r}, wanted one of {', '.join(known)}")
