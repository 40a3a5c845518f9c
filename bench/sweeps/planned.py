"""Planned jobs: the jobs that a command line requests, before any of them begins."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import IntervalSweep, Override
from omegaconf import DictConfig

from bench.errors import InputError

MOST = 100_000  # maximal number of jobs
TRIED = 10  # number of values of each swept key that are composed before anything is tracked


def asked(config: DictConfig) -> list[Override]:
    """Return the overrides of the command line, and those of `hydra.sweeper.params` for keys that it does not set."""
    task = list(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(task)
    given = {override.key_or_group for override in overrides}
    params = config.hydra.sweeper.get("params") or {}
    tried = [f"{key}={value}" for key, value in params.items() if key not in given]
    return overrides + OverridesParser.create().parse_overrides(tried)


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
