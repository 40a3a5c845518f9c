"""Watch the jobs of a sweep: show how many have ended, and expect how long the others take."""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from math import ceil
from statistics import median

from joblib import cpu_count

from bench.datasets.progress import OWNER, Progress, duration
from bench.sweeps import jobs
from bench.tracking.remote import reason_of
from bench.tracking.store import Store

LOOK = 2  # seconds between two readings of the store
SHARE = 20  # the pause is at least this many times the duration of a reading, because a store may have many runs
NEWEST = 20  # finished runs whose duration is the expected one

log = logging.getLogger(__name__)


@contextmanager
def watched(store: Store, parent: str, what: str, unit: str, total: int, seconds: float | None) -> Iterator[None]:
    """Show how many jobs of a sweep have ended, until the context ends.

    A thread reads the store, because the processes of the jobs and this one share nothing else. These processes show no
    progress of their own.

    Args:
        store: The tracking store.
        parent: Id of the parent run of the sweep.
        what: Name of the step.
        unit: What the jobs are called, in the plural.
        total: Number of jobs.
        seconds: Expected time from the end of a job to the end of the next one, if it is known.
    """
    ended = threading.Event()
    os.environ.setdefault(OWNER, str(os.getpid()))

    def watch() -> None:
        pause = 0.0
        while not ended.wait(pause):
            began = time.monotonic()
            try:
                step.update(jobs.count_ended(store, parent) - step.done)
            except Exception as error:  # errors of any kind; the sweep continues, and the next reading may succeed
                log.warning("the progress of the sweep can't be read: %s", reason_of(error))
            step.refresh()
            pause = max(LOOK, SHARE * (time.monotonic() - began))

    with Progress(what, unit, total, min(total, jobs.count_ended(store, parent)), seconds) as step:
        threading.Thread(target=watch, daemon=True).start()
        try:
            yield
        finally:
            ended.set()  # do not wait for the thread, because the store may not answer its last request


def seconds_of_jobs(store: Store) -> float | None:
    """Return the median duration in seconds of the newest 20 finished jobs of the experiment; None without any."""
    order = ["attributes.start_time DESC"]
    query = f"attributes.status = 'FINISHED' and tags.{jobs.DESIGN} LIKE '%'"
    runs = store.client.search_runs([store.experiment_id], query, max_results=NEWEST, order_by=order)
    return median((run.info.end_time - run.info.start_time) / 1000 for run in runs) if runs else None


def at_once(n_jobs: int) -> int:
    """Return the number of processes that joblib uses for `n_jobs`. A negative number is relative to the CPUs.

    Examples:
        >>> at_once(3), at_once(-1) == cpu_count()
        (3, True)
    """
    return n_jobs if n_jobs > 0 else max(1, cpu_count() + 1 + n_jobs)


def expectation(total: int, ended: int, seconds: float | None, parallel: int) -> str:
    """Describe how long a sweep will take.

    Args:
        total: Number of jobs.
        ended: Number of jobs that have ended before.
        seconds: Expected duration of a job, if it is known.
        parallel: Number of jobs at once.

    Examples:
        >>> expectation(12, 0, 40, 2)
        '12 jobs, 2 at once, about 40 s each as the newest finished jobs of this experiment: about 4 min'
        >>> expectation(12, 4, None, 1)
        '8 of 12 jobs, one at a time; the time left is known after the first of them'
    """
    left = f"{total} jobs" if not ended else f"{total - ended} of {total} jobs"
    words = f"{left}, {f'{parallel} at once' if parallel > 1 else 'one at a time'}"
    if seconds is None:
        return f"{words}; the time left is known after the first of them"
    whole = duration(seconds * ceil((total - ended) / parallel))
    return f"{words}, about {duration(seconds)} each as the newest finished jobs of this experiment: about {whole}"
