"""The parent run of a sweep in MLflow. The jobs are its children; it holds mean profiles and the overlaid U-plot."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, open_dict, read_write

from bench import tracking
from bench.config.composing import quoted
from bench.datasets.progress import say
from bench.errors import InputError, JobsFailed, explain, was_stopped
from bench.sweeps import claims, jobs
from bench.sweeps.planned import asked, count, short_name
from bench.sweeps.summary import collapsed_report, failures_report, next_commands, summarise
from bench.sweeps.watching import at_once, expectation, seconds_of_jobs, watched
from bench.tracking import views
from bench.tracking.offline.heartbeat import BEAT, MISSED, SECONDS, Watch, is_on_this_host, mark_all_dead, owner_of
from bench.tracking.store import Store, connect

COMMAND = "overrides"  # tag of a parent

log = logging.getLogger(__name__)


@dataclass
class Sweep:
    """A sweep that this process started and has not ended."""

    store: Store
    parent: tracking.Run
    ending: ExitStack
    watching: ExitStack


def start(config: DictConfig) -> Sweep:
    """Begin the parent run, or continue the parent run of an interrupted sweep.

    Hydra composes the id of the parent into every job.

    Raises:
        InputError: A living process runs a sweep of this name.
    """
    swept = [override for override in asked(config) if override.is_sweep_override()]
    planned = count(config, swept)
    command = " ".join(config.hydra.overrides.task)
    name = config.tracking.name or short_name(config, swept, command)
    store = connect(config.tracking.uri, config.tracking.experiment)

    def alike() -> list:
        if config.tracking.name:
            return jobs.sweeps(store, name)
        return [run for run in jobs.sweeps(store) if run.data.tags.get(COMMAND) == command]

    refuse_living(store, alike())
    claim = tracking.create(store, name, {tracking.SWEEP: "parent", COMMAND: command})
    if not claims.is_first(store, claim, lambda: running(alike())):
        store.client.delete_run(claim.id)
        refuse_living(store, alike())
        raise InputError(f"tracking.name: the sweep {name!r} was started twice at the same time; start it again")
    others = [run for run in alike() if run.info.run_id != claim.id]
    unfinished = cut_off(others, command) if config.get("resume", True) else None
    with ExitStack() as ending:
        if unfinished:
            log.info("continuing the sweep of parent run %s", unfinished)
            parent = ending.enter_context(tracking.resumed(store, unfinished))
            store.client.delete_run(claim.id)
            jobs.forget_begun(store, parent.id)
        else:
            parent = ending.enter_context(tracking.ended(claim))
        parent.tag(jobs.JOBS, str(planned))
        with read_write(config), open_dict(config):
            config.hydra.overrides.hydra += [f"tracking.parent={parent.id}", f"tracking.uri={quoted(store.uri)}"]
        watching = ending.enter_context(watch(store, parent.id, planned, config))
        return Sweep(store, parent, ending.pop_all(), watching)


def watch(store: Store, parent: str, planned: int, config: DictConfig) -> ExitStack:
    """Print the expected duration of a sweep, and show its progress until the stack closes."""
    seconds, parallel = seconds_of_jobs(store), at_once(config.hydra.launcher.get("n_jobs", 1))
    if "n_jobs" in config.hydra.sweeper:
        parallel = min(parallel, at_once(config.hydra.sweeper.n_jobs))
    ended = min(planned, jobs.count_ended(store, parent))
    say(f"sweep of {expectation(planned, ended, seconds, parallel)}")
    watching = ExitStack()
    watching.enter_context(watched(store, parent, "sweep", "jobs", planned, seconds and seconds / parallel))
    return watching


def running(runs: list) -> list:
    """Select the runs that have not ended."""
    return [run for run in runs if run.info.status == "RUNNING"]


def refuse_living(store: Store, alike: list) -> None:
    """Refuse to start a sweep that a living process runs, and mark the sweeps of terminated processes as killed.

    A process of another machine is alive if its heartbeat changes while this process watches, for at most 2 min.

    Args:
        store: The tracking store.
        alike: Parent runs of the same sweep.

    Raises:
        InputError: A living process runs one of these sweeps.
    """
    watch = Watch()
    first: dict[str, str] = {}
    for run in running(alike):
        if BEAT in run.data.tags and not is_on_this_host(run.data.tags):
            log.info("checking for up to %d s whether %s is alive", MISSED * SECONDS, owner_of(run.data.tags))
    while alive := claims.select_alive(store, running(alike), watch):
        for run in alive:
            beat = first.setdefault(run.info.run_id, run.data.tags[BEAT])
            if is_on_this_host(run.data.tags) or beat != run.data.tags[BEAT]:
                raise InputError(
                    f"tracking.name: the sweep {run.info.run_name!r} is already running as run {run.info.run_id} of "
                    f"{owner_of(run.data.tags)}; wait for its end, or set another tracking.name"
                )
        time.sleep(claims.WAIT)
        alike = [store.client.get_run(run.info.run_id) for run in alive]


def cut_off(alike: list, command: str) -> str | None:
    """Return the id of the newest sweep of this command if it did not finish, else None.

    Args:
        alike: Parent runs of the same sweep, the newest first.
        command: The overrides of the command.
    """
    same = [run for run in alike if run.data.tags.get(COMMAND) == command]
    return same[0].info.run_id if same and same[0].info.status != "FINISHED" else None


def run_job(command: Callable, config: DictConfig):
    """Run a job of a sweep and note its result on the parent.

    After a failure the other jobs still run, and the sweep fails at its end.

    Returns:
        The result of the command, or None if the job failed.
    """
    overrides = list(HydraConfig.get().overrides.task)
    try:
        store = connect(config.tracking.uri, config.tracking.experiment)
        jobs.note_begin(store, config.tracking.parent, overrides, jobs.name(config.seed, config.get("fold")))
        result = command(config)
    except Exception as error:
        if was_stopped(error):
            raise KeyboardInterrupt from error
        known = explain(error)
        why = known[1] if known else f"{type(error).__name__}: {error}"
        log.error("job %s failed: %s", HydraConfig.get().job.num, why, exc_info=None if known else error)
        store = connect(config.tracking.uri, config.tracking.experiment)
        jobs.note_failure(store, config.tracking.parent, overrides, jobs.name(config.seed, config.get("fold")), why)
        return None
    jobs.note_success(store, config.tracking.parent, overrides)
    return result


def close(sweep: Sweep, error: BaseException | None = None) -> None:
    """Log the summary of a sweep and end its parent run.

    A sweep that is stopped gets no summary, because a summary takes long.

    Args:
        sweep: The sweep.
        error: The error that ended the sweep, if any. The parent run then ends as failed or killed.

    Raises:
        JobsFailed: Jobs failed. A table of these jobs with the reasons is printed before.
    """
    try:
        sweep.watching.close()
        with sweep.ending:
            if error is None or not (was_stopped(error) or isinstance(error, SystemExit)):
                summarise(sweep.store, sweep.parent)
            if isinstance(error, InputError):
                report_failures(sweep)  # a sweeper that got no number from the jobs stops with this error
            if error:
                raise error
            collapsed = jobs.collapsed(sweep.store, sweep.parent.id)
            sweep.parent.metrics({"summary/collapsed": len(collapsed)})
            sys.stdout.write(collapsed_report(collapsed))
            address = views.ui_address(sweep.store.uri, sweep.store.experiment_id)
            sys.stdout.write(f"\n{next_commands(sweep.store, sweep.parent.id)}{address}")
            report_failures(sweep)
    except BaseException as raised:
        if error is None or isinstance(raised, JobsFailed):
            raise
        if raised is not error:  # the caller reports `error`, which explains more
            log.error("the sweep has no summary: %s", raised)


def report_failures(sweep: Sweep) -> None:
    """Mark the runs of killed processes, print and log a table of the jobs that failed, and raise JobsFailed."""
    mark_all_dead(sweep.store.client, sweep.store.experiment_ids)
    jobs.note_killed(sweep.store, sweep.parent.id)
    failed = jobs.failures(sweep.store, sweep.parent.id)
    if failed.empty:
        return
    sweep.parent.table(failed, "tables/failed.csv")
    sys.stderr.write(failures_report(failed))
    of = sweep.store.client.get_run(sweep.parent.id).data.tags[jobs.JOBS]
    raise JobsFailed(f"{len(failed)} of {of} jobs failed, for the reasons above; the same command tries them again")
