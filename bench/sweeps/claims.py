"""Claims: which of several processes does a job or a sweep that more than one of them would do."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from functools import partial

from omegaconf import DictConfig

from bench.sweeps import jobs
from bench.sweeps.jobs import search
from bench.tracking import DESIGN, FINGERPRINT, REUSED, Run, create
from bench.tracking.offline.heartbeat import Watch, mark_dead, owner_of
from bench.tracking.store import Store

WAIT = 2  # seconds between looks at a run that another process does
SETTLE, LOOK = 5, 0.2  # seconds in which a later one of two runs that began together gives way; between looks

log = logging.getLogger(__name__)


def begin(store: Store, config: DictConfig, fingerprint: str) -> tuple[Run, bool]:
    """A new run of this config, or the finished run of the same job of a sweep: the run, and whether it is finished.

    In a sweep with `resume`, a job that finished before is not done again; the parent's tags name the run.
    """
    parent, design = config.tracking.parent, jobs.design()
    once = parent is not None and config.resume
    name = (parent is None and config.tracking.name) or jobs.name(config.seed)  # a sweep's name is its parent's
    create_run = partial(create, store, name, {FINGERPRINT: fingerprint, DESIGN: design}, parent, once)
    begun = begin_once(store, fingerprint, create_run) if once else create_run()
    if isinstance(begun, Run):
        return begun, False
    Run(store, parent).tag(f"{REUSED}{begun}", design)
    log.info("finished before as run %s, so not run again; resume=false runs it", begun)
    return Run(store, begun), True


def claim(store: Store, fingerprint: str) -> str | None:
    """The finished run of a job, after waiting for a living process that does it; None where it is to be done.

    Runs whose process is gone are marked as killed.
    """
    said, watch = False, Watch()
    while (done := finished(store, fingerprint)) is None:
        alive = living(store, running(store, fingerprint), watch)
        if not alive:
            return None
        if not said:
            log.info("waits for run %s, which %s does", alive[0].info.run_id, owner_of(alive[0].data.tags))
            said = True
        time.sleep(WAIT)
    return done


def begin_once(store: Store, fingerprint: str, begin: Callable[[], Run]) -> Run | str:
    """A new run of a job that this process alone does, or the id of its finished run as `claim` finds it."""
    while (done := claim(store, fingerprint)) is None:
        run = begin()
        if is_first(store, run, partial(running, store, fingerprint)) and finished(store, fingerprint) is None:
            return run
        store.client.delete_run(run.id)
    return done


def is_first(store: Store, run: Run, rivals: Callable[[], list]) -> bool:
    """Return whether this run is the one to continue, where several began at the same moment.

    A run continues where it found no rival. Of two processes that each look after their run is in the store,
    the later one sees the other's, so that at most one continues. A run gives way to a rival that began before it, and
    to one that has not given way within 5 s.

    rivals: what the store has now of runs that may be this one or its rivals.
    """
    ends = time.monotonic() + SETTLE
    while True:
        found = {each.info.run_id: each for each in living(store, rivals(), Watch())}
        mine = found.pop(run.id, None) or store.client.get_run(run.id)
        if not found:
            return True
        if time.monotonic() > ends or any(_order(other) < _order(mine) for other in found.values()):
            return False
        time.sleep(LOOK)


def running(store: Store, fingerprint: str) -> list:
    """The runs of the experiment with this fingerprint that have not ended."""
    return search(store, f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'RUNNING'")


def living(store: Store, runs: Sequence, watch: Watch) -> list:
    """Those of some runs that a living process does, or one of another machine may do; the others are marked dead."""
    alive = [run for run in runs if watch.is_alive(run.data.tags)]
    for run in runs:
        if run not in alive:
            mark_dead(store.client, run)
    return alive


def finished(store: Store, fingerprint: str) -> str | None:
    """The id of a finished run of the experiment with this fingerprint."""
    query = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'FINISHED'"
    runs = store.client.search_runs([store.experiment_id], query, max_results=1)
    return runs[0].info.run_id if runs else None


def _order(run) -> tuple[int, str]:
    return run.info.start_time, run.info.run_id
