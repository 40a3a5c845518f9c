"""Planned jobs: the jobs that a command line requests, before any of them begins."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from itertools import islice

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from bench.errors import InputError

MOST = 100_000  # maximal number of jobs
WORDS = 4  # maximal number of settings in the name of a sweep
TRIED = 10  # number of values of each swept key that are composed before anything is tracked


def asked(config: DictConfig) -> list[Override]:
    """Return the overrides of the command line, and those of `hydra.sweeper.params` for keys that it does not set."""
    task = list(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(task)
    given = {override.key_or_group for override in overrides}
    params = config.hydra.sweeper.get("params") or {}
    tried = [f"{key}={value}" for key, value in params.items() if key not in given]
    return overrides + OverridesParser.create().parse_overrides(tried)


def short_name(config: DictConfig, swept: list[Override], command: str) -> str:
    """Return the name of a sweep: its model or command, the settings that differ, and a hash of all overrides.

    Args:
        config: Config of the sweep.
        swept: Overrides with several values.
        command: All overrides, in one text.
    """
    of = config.hydra.job.config_name
    first = config.hydra.runtime.choices.model if of == "config" else of
    return joined_name(first, [override.key_or_group for override in swept], command)


def joined_name(first: str, keys: list[str], command: str) -> str:
    """Join the parts of the name of a sweep.

    Examples:
        >>> joined_name("unet", ["model.widths", "model.skips", "seed"], "a")
        'unet-widths-skips-ca97'
        >>> joined_name("cnn", ["model.filters.0"], "a"), joined_name("unet", ["seed"], "a")
        ('cnn-filters-ca97', 'unet-seed-ca97')
        >>> joined_name("unet", ["model"], "a"), joined_name("my net", ["hydra.sweeper.n", "a", "b", "c", "d"], "a")
        ('model-ca97', 'my-net-n-a-b-c-ca97')
    """
    varied = [key for key in keys if key not in ("seed", "fold")] or keys
    words = dict.fromkeys(re.findall(r"[^\W\d]\w*", key)[-1] for key in varied)
    parts = [*([] if "model" in keys else [first]), *islice(words, WORDS)]
    return f"{re.sub(r'[^a-zA-Z0-9_]+', '-', '-'.join(parts))}-{hashlib.sha256(command.encode()).hexdigest()[:4]}"


def count(config: DictConfig, swept: list[Override]) -> int:
    """Count the jobs that the sweeper will start.

    Raises:
        InputError: There is no job, or there are more than 100,000.
    """
    if "n_trials" in config.hydra.sweeper:
        return config.hydra.sweeper.n_trials
    planned = 1
    for override in swept:
        planned *= sum(1 for _ in islice(override.sweep_iterator(), MOST + 1))
        if not 0 < planned <= MOST:
            got = "no value" if not planned else f"more than {MOST:,} jobs"
            raise InputError(
                f"{override.key_or_group}: got {got} from {override.input_line}, wanted 1 to {MOST:,} jobs"
            )
    return planned


def samples(overrides: list[Override]) -> Iterator[list[str]]:
    """Yield the overrides of some jobs of a sweep.

    Each of the first 10 values of each swept key occurs, together with the first values of the other keys.
    """
    values = {override.get_key_element(): list(islice(_values(override), TRIED)) for override in overrides}
    first = {key: tried[0] for key, tried in values.items()}
    for number, key in enumerate(values):
        for value in values[key][min(number, 1) :]:
            yield [f"{each}={value if each == key else first[each]}" for each in first]


def _values(override: Override) -> Iterator[str]:
    """Yield the values of an override as text. An interval yields its start."""
    if override.is_delete() or not override.is_sweep_override():
        yield override.get_value_element_as_str()
    elif isinstance(value := override.value(), IntervalSweep):
        yield str(value.start)
    else:
        yield from override.sweep_string_iterator()
