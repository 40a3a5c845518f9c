"""Jobs of a sweep: which are finished, running, dead or failed, and who does one that several would do."""

from __future__ import annotations

import json
import logging
import time
import zlib
from collections.abc import Sequence

import pandas as pd

from bench.heartbeat import is_alive, owner_of
from bench.store import Store
from bench.tracking import DESIGN, FINGERPRINT, REUSED, SWEEP, Run

FAILED, JOBS = "failed.", "jobs"  # tags of a parent: a job that failed and why; how many there are in all
WAIT = 2  # seconds between looks at a run that another process does
MOST = 50_000  # runs of a sweep
WHY = 300  # characters of a reason

log = logging.getLogger(__name__)


def claim(store: Store, fingerprint: str) -> str | None:
    """The finished run of a job, after waiting for a living process that does it; None where it is to be done.

    Runs whose process is gone are marked as killed.
    """
    said = False
    while (done := finished(store, fingerprint)) is None:
        running = _search(store, f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'RUNNING'")
        alive = [run for run in running if not buried(store, run)]
        if not alive:
            return None
        if not said:
            log.info("waits for run %s, which %s does", alive[0].info.run_id, owner_of(alive[0].data.tags))
            said = True
        time.sleep(WAIT)
    return done


def finished(store: Store, fingerprint: str) -> str | None:
    """The id of a finished run of the experiment with this fingerprint."""
    query = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = 'FINISHED'"
    runs = store.client.search_runs([store.experiment_id], query, max_results=1)
    return runs[0].info.run_id if runs else None


def buried(store: Store, run) -> bool:
    """Whether the process of a running run is gone, in which case the run is marked as killed."""
    if is_alive(run.data.tags):
        return False
    store.client.set_terminated(run.info.run_id, "KILLED")
    return True


def of_sweep(store: Store, parent: str) -> dict[str, str]:
    """The finished runs of a sweep and the design of each, those that it found already done included."""
    runs = _search(store, f"tags.{SWEEP} = '{parent}' and attributes.status = 'FINISHED'")
    designs = {run.info.run_id: run.data.tags[DESIGN] for run in runs if DESIGN in run.data.tags}
    return designs | _tagged(store, parent, REUSED)


def note_failure(store: Store, parent: str, overrides: Sequence[str], name: str, why: str) -> None:
    """Note on the parent that a job failed, and why."""
    note = json.dumps({"job": name, "why": " ".join(why.split())[:WHY]})
    Run(store, parent).tag(_key(overrides), note)


def note_success(store: Store, parent: str, overrides: Sequence[str]) -> None:
    """Take back what an earlier attempt at a job noted."""
    if _key(overrides) in store.client.get_run(parent).data.tags:
        store.client.delete_tag(parent, _key(overrides))


def failures(store: Store, parent: str) -> pd.DataFrame:
    """job, why: a row for each job of a sweep that failed."""
    return pd.DataFrame([json.loads(note) for note in _tagged(store, parent, FAILED).values()], columns=["job", "why"])


def sweeps(store: Store, name: str) -> list:
    """The parent runs of a name, the newest first."""
    quoted = name.replace("'", "''")
    runs = _search(store, f"tags.{SWEEP} = 'parent' and attributes.run_name = '{quoted}'")
    return sorted(runs, key=lambda run: run.info.start_time, reverse=True)


def _key(overrides: Sequence[str]) -> str:
    of_job = [override for override in overrides if not override.startswith("tracking.")]
    return f"{FAILED}{zlib.crc32(' '.join(of_job).encode()):08x}"


def _tagged(store: Store, parent: str, prefix: str) -> dict[str, str]:
    tags = store.client.get_run(parent).data.tags
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def _search(store: Store, query: str) -> list:
    return store.client.search_runs([store.experiment_id], query, max_results=MOST)
