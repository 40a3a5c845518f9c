"""Claims: decide which process runs a job or a sweep that several processes could run."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from bench.sweeps import jobs
from bench.sweeps.continuing import Job, stopped
from bench.tracking import DESIGN, FINGERPRINT, REUSED, Run, create, resume, views
from bench.tracking.listing import search
from bench.tracking.offline.heartbeat import Watch, mark_dead, owner_of
from bench.tracking.store import Store
from bench.training.checkpoint import FOLDER, Checkpoint

WAIT = 2  # seconds between checks of a run that belongs to another process
# If two runs begin together, the later one yields within SETTLE seconds. LOOK is the time between checks in seconds.
SETTLE, LOOK = 5, 0.2

log = logging.getLogger(__name__)


class Begun(NamedTuple):
    """A run of a job, and its checkpoint, or None if the run had finished before."""

    run: Run
    checkpoint: Checkpoint | None


def begin(
    store: Store, config: DictConfig, fingerprint: str, design: str | None = None, kind: str = views.RUN
) -> Begun:
    """Create a run of this config, continue the run of a killed process, or find the finished run of the same job.

    A sweep with `resume` does not repeat a finished job. A tag of the parent names its run instead.

    Args:
        store: The tracking store.
        config: The config of the job.
        fingerprint: Identifies the job.
        design: Name of the design outside a sweep. None takes the model with its overrides.
        kind: Value of the tag `kind`. A run that trains has a checkpoint.
    """
    parent = config.tracking.parent
    if parent is not None or design is None:
        design, name = jobs.design(), jobs.name(config.seed, config.get("fold"))
    else:
        name = design
    once = parent is not None and config.resume
    name = (parent is None and config.tracking.name) or name  # in a sweep, the parent has the name
    tags = {FINGERPRINT: fingerprint, DESIGN: design, views.KIND: kind}
    tags |= {} if config.get("fold") is None else {views.FOLD: str(config.fold)}
    minutes = config.checkpoint_minutes if kind == views.RUN else None
    job = Job.of(store, parent, name, fingerprint)
    continued: dict[str, Checkpoint] = {}

    def create_or_continue() -> Run:
        if minutes is None or not config.resume or (checkpoint := stopped(store, job, minutes)) is None:
            return create(store, name, tags, parent, once)
        run = resume(store, checkpoint.folder.name, once=fingerprint if once else None)
        run.skip_logged()
        log.info("continuing run %s from its checkpoint in %s", run.id, checkpoint.folder)
        continued[run.id] = checkpoint
        return run

    def give_up(run: Run) -> None:
        if run.id in continued:
            store.client.set_terminated(run.id, "KILLED")
            continued.pop(run.id).release()
        else:
            store.client.delete_run(run.id)

    begun = begin_once(store, fingerprint, create_or_continue, give_up) if once else create_or_continue()
    if isinstance(begun, Run):
        checkpoint = continued.get(begun.id) or Checkpoint(Path.cwd() / FOLDER / begun.id, asdict(job), minutes)
        return Begun(begun, checkpoint)
    Run(store, parent).tag(f"{REUSED}{begun}", design)
    log.info("this job finished before as run %s and is not repeated; resume=false repeats it", begun)
    return Begun(Run(store, begun), None)


def claim(store: Store, fingerprint: str) -> str | None:
    """Find the finished run of a job. If a living process runs the job, wait for it.

    Runs whose process has ended are marked as killed.

    Returns:
        The id of the finished run, or None if this process must run the job.
    """
    logged, watch = False, Watch()
    while (done := finished(store, fingerprint)) is None:
        alive = select_alive(store, running(store, fingerprint), watch)
        if not alive:
            return None
        if not logged:
            log.info("waiting for run %s of %s", alive[0].info.run_id, owner_of(alive[0].data.tags))
            logged = True
        time.sleep(WAIT)
    return done


def begin_once(
    store: Store, fingerprint: str, begin: Callable[[], Run], give_up: Callable[[Run], None] | None = None
) -> Run | str:
    """Begin a job so that only this process runs it.

    Args:
        store: The tracking store.
        fingerprint: Identifies the job.
        begin: Creates the run of the job.
        give_up: Called with a run that another process makes superfluous. None deletes the run.

    Returns:
        The new run, or the id of the finished run if `claim` finds one.
    """
    while (done := claim(store, fingerprint)) is None:
        run = begin()
        if is_first(store, run, partial(running, store, fingerprint)) and finished(store, fingerprint) is None:
            return run
        (give_up or (lambda run: store.client.delete_run(run.id)))(run)
    return done


def is_first(store: Store, run: Run, rivals: Callable[[], list]) -> bool:
    """Return whether this run continues if several runs of one job began at the same moment.

    A run continues if it finds no rival. Each process checks after its run is in the store. The later process therefore
    sees the run of the other one, so at most one run continues. A run yields to a rival that began before it. It also
    yields to a rival that is still there after 5 s.

    Args:
        store: The tracking store.
        run: The run of this process.
        rivals: Returns the runs that the store has now: this run and its rivals.
    """
    ends = time.monotonic() + SETTLE
    while True:
        found = {each.info.run_id: each for each in select_alive(store, rivals(), Watch())}
        mine = found.pop(run.id, None) or store.client.get_run(run.id)
        if not found:
            return True
        if time.monotonic() > ends or any(_order(other) < _order(mine) for other in found.values()):
            return False
        time.sleep(LOOK)


def running(store: Store, fingerprint: str) -> list:
    """Find the runs of the experiment that have this fingerprint and have not ended."""
    return search(store, f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'RUNNING'")


def select_alive(store: Store, runs: Sequence, watch: Watch) -> list:
    """Select the runs whose process is alive, or may be alive on another machine. Mark the other runs as killed."""
    alive = [run for run in runs if watch.is_alive(run.data.tags)]
    for run in runs:
        if run not in alive:
            mark_dead(store.client, run)
    return alive


def finished(store: Store, fingerprint: str) -> str | None:
    """Return the id of a finished run of the experiment that has this fingerprint, or None."""
    query = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'FINISHED'"
    runs = store.client.search_runs([store.experiment_id], query, max_results=1)
    return runs[0].info.run_id if runs else None


def _order(run) -> tuple[int, str]:
    """Return the sort key by which the earlier of two rivals continues."""
    return run.info.start_time, run.info.run_id
