"""A sweep in MLflow: a parent run that the jobs hang below, with mean profiles and the overlaid U-plot of its own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from bench import tracking
from bench.addresses import refuse_secrets
from bench.checks import check_folder, check_sweep
from bench.composing import clearer, quoted
from bench.errors import InputError, JobsFailed, explain, leave
from bench.report import failures_report, opening
from bench.sweeps import jobs
from bench.sweeps.summary import sum_up
from bench.tracking.heartbeat import owner_of
from bench.tracking.store import Store, connect

COMMAND = "overrides"  # tag of a parent
MOST = 100_000  # jobs
TRIED = 10  # values of each swept key that are composed before anything is tracked

log = logging.getLogger(__name__)


@dataclass
class Sweep:
    """The sweep that this process started and has not ended."""

    store: Store
    parent: tracking.Run
    ending: ExitStack


_open: list[Sweep] = []  # not an attribute of the callback, which travels to the jobs' processes


class SweepParent(Callback):
    """Hydra callback: makes store, experiment and parent before any job starts, and sums the jobs up at the end.

    Hydra turns an exception of a callback into a warning and goes on; without a parent this must end instead.
    """

    def on_run_start(self, config: DictConfig, **_) -> None:
        try:
            refuse_secrets([f"tracking.uri={config.tracking.uri}"])  # one from a file or the environment
            if config.hydra.output_subdir is not None:  # else nothing is written there
                check_folder("hydra.run.dir", config.hydra.run.dir)
                check_folder("hydra.output_subdir", str(Path(config.hydra.run.dir) / config.hydra.output_subdir))
        except Exception as error:
            leave(clearer(error))

    def on_multirun_start(self, config: DictConfig, config_name: str, **_) -> None:
        try:
            refuse_secrets([f"tracking.uri={config.tracking.uri}"])
            overrides = asked(config)
            count(config, [override for override in overrides if override.is_sweep_override()])
            check_sweep(config, config_name, samples(overrides))
            name_by_what_is_swept(config)
            if not config.tracking.parent:  # else another verb owns it
                start(config)
        except Exception as error:
            leave(clearer(error))

    def on_multirun_end(self, config: DictConfig, **_) -> None:
        try:
            close()
        except Exception as error:
            leave(error)


def asked(config: DictConfig) -> list[Override]:
    """The overrides of the command line, and those that the config has the sweeper try, where the line has none."""
    task = list(config.hydra.overrides.task)
    overrides = OverridesParser.create().parse_overrides(task)
    given = {override.key_or_group for override in overrides}
    params = config.hydra.sweeper.get("params") or {}
    tried = [f"{key}={value}" for key, value in params.items() if key not in given]
    return overrides + OverridesParser.create().parse_overrides(tried)


def name_by_what_is_swept(config: DictConfig) -> None:
    """Have Hydra leave out of the jobs' names what is the same in all of them."""
    overrides = asked(config)
    swept = {override.key_or_group for override in overrides if override.is_sweep_override()}
    fixed = {override.key_or_group for override in overrides} - swept
    not_in_names = [*config.hydra.job.config.override_dirname.exclude_keys, *sorted(fixed)]
    with read_write(config), open_dict(config):
        config.hydra.overrides.hydra.append(
            f"hydra.job.config.override_dirname.exclude_keys=[{','.join(not_in_names)}]"
        )


def start(config: DictConfig) -> None:
    """Begin the parent run, or go on with one that was cut off, and have Hydra compose its id into every job.

    Raises InputError where a living process has a sweep of this name.
    """
    swept = [override for override in asked(config) if override.is_sweep_override()]
    planned = count(config, swept)
    name = config.tracking.name or " ".join(["sweep", *(override.input_line for override in swept)])
    command = " ".join(config.hydra.overrides.task)
    store, ending = connect(config.tracking.uri, config.tracking.experiment), ExitStack()
    alike = [run for run in jobs.sweeps(store, name) if config.tracking.name or run.data.tags.get(COMMAND) == command]
    refuse_living(alike, store)
    unfinished = cut_off(alike, command) if config.get("resume", True) else None
    if unfinished:
        log.info("goes on with the sweep of run %s", unfinished)
        parent = ending.enter_context(tracking.taken_up(store, unfinished))
    else:
        tags = {tracking.SWEEP: "parent", COMMAND: command}
        parent = ending.enter_context(tracking.started(store, name, tags))
    parent.tag(jobs.JOBS, str(planned))
    _open.append(Sweep(store, parent, ending))
    with read_write(config), open_dict(config):
        config.hydra.overrides.hydra += [f"tracking.parent={parent.id}", f"tracking.uri={quoted(store.uri)}"]


def refuse_living(alike: list, store: Store) -> None:
    """Raise InputError where a living process has one of these sweeps; mark those that died."""
    for run in alike:
        if run.info.status == "RUNNING" and not jobs.buried(store, run):
            raise InputError(
                f"tracking.name: the sweep {run.info.run_name!r} is under way as run {run.info.run_id}, by "
                f"{owner_of(run.data.tags)}; wait for its end, or give this one another tracking.name"
            )


def cut_off(alike: list, command: str) -> str | None:
    """The newest sweep of this command, where it did not finish."""
    same = [run for run in alike if run.data.tags.get(COMMAND) == command]
    return same[0].info.run_id if same and same[0].info.status != "FINISHED" else None


def count(config: DictConfig, swept: list[Override]) -> int:
    """How many jobs the sweeper will start; InputError where there are none, or more than any machine can do."""
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
    """Overrides of some of a sweep's jobs, in which the first values of each swept key occur beside those of others."""
    values = {override.get_key_element(): list(islice(_values(override), TRIED)) for override in overrides}
    first = {key: tried[0] for key, tried in values.items()}
    for number, key in enumerate(values):
        for value in values[key][min(number, 1) :]:
            yield [f"{each}={value if each == key else first[each]}" for each in first]


def _values(override: Override) -> Iterator[str]:
    if override.is_delete() or not override.is_sweep_override():
        yield override.get_value_element_as_str()
    elif override.is_interval_sweep():
        yield str(override.value().start)
    else:
        yield from override.sweep_string_iterator()


def done(config: DictConfig, error: Exception | None = None) -> None:
    """Note on the parent of a job how it ended; the table at the end of the sweep says it again."""
    store = connect(config.tracking.uri, config.tracking.experiment)
    overrides = list(HydraConfig.get().overrides.task)
    if error is None:
        jobs.note_success(store, config.tracking.parent, overrides)
        return
    known = explain(error)
    why = known[1] if known else f"{type(error).__name__}: {error}"
    log.error("job %s failed: %s", HydraConfig.get().job.num, why, exc_info=None if known else error)
    jobs.note_failure(store, config.tracking.parent, overrides, jobs.name(config.seed), why)


def close(error: BaseException | None = None) -> None:
    """Log what the finished jobs of an open sweep have in common, and end its parent run, as failed after an error.

    Raises JobsFailed, after a table that says which and why.
    """
    while _open:
        sweep = _open.pop()
        try:
            with sweep.ending:
                sum_up(sweep.store, sweep.parent)
                if isinstance(error, InputError):
                    tell_failures(sweep)  # a sweeper without one number to go by refuses to go on
                if error:
                    raise error
                sys.stdout.write(f"\nsweep {sweep.parent.id} in {sweep.store.uri}\n{opening(sweep.store)}")
                tell_failures(sweep)
        except BaseException as raised:
            if raised is not error:
                raise


def tell_failures(sweep: Sweep) -> None:
    failed = jobs.failures(sweep.store, sweep.parent.id)
    if failed.empty:
        return
    sweep.parent.table(failed, "tables/failed.csv")
    sys.stderr.write(failures_report(failed))
    of = sweep.store.client.get_run(sweep.parent.id).data.tags[jobs.JOBS]
    raise JobsFailed(f"{len(failed)} of {of} jobs failed, for the reasons above; the same command tries them again")
