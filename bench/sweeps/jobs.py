"""Jobs of a sweep: which are finished, running, dead or failed, and who does one that several would do."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from functools import partial

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from bench.errors import InputError
from bench.tracking import DESIGN, FINGERPRINT, REUSED, SWEEP, Run
from bench.tracking.heartbeat import is_alive, owner_of
from bench.tracking.store import Store

FAILED, JOBS = "failed.", "jobs"  # tags of a parent: a job that failed and why; how many there are in all
STATES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "dead", "RUNNING": "dead", "SCHEDULED": "dead"}
KEY = r"(?<![^ ,])(?:\w+\.)+(?=\w+=)"  # of an override, all but its last part
WAIT = 2  # seconds between looks at a run that another process does
PAGE, OLDEST = 1000, ["attributes.start_time ASC"]  # runs that one request brings, and their order
WHY = 300  # characters of a reason

log = logging.getLogger(__name__)


def design() -> str:
    """What tells the job that Hydra runs from others: what its sweep changed, or its model with what was set of it."""
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return hydra.job.override_dirname or hydra.runtime.choices.model
    of_model = [override for override in hydra.overrides.task if override.startswith("model.")]
    return " ".join([hydra.runtime.choices.model, *of_model])


def short_design() -> str:
    """The design without the groups of its keys, for a list of runs cuts off the end, where those of a sweep differ."""
    return re.sub(KEY, "", design())


def name(seed: int) -> str:
    """The design in short words, and the seed."""
    return f"{short_design()} seed={seed}"


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


def trained(store: Store) -> dict[str, str]:
    """The finished training runs of the experiment and the design of each, in sweeps or not."""
    runs = _search(store, "attributes.status = 'FINISHED'")
    return {run.info.run_id: run.data.tags[DESIGN] for run in runs if DESIGN in run.data.tags}


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


def table(store: Store, parent) -> pd.DataFrame:
    """run, name, state, minutes, val_score, where and why of each job of a sweep that has begun, oldest first.

    state: finished; finished before, in another sweep; running; failed; or dead, begun and left by its process.
    """
    tags, rows = parent.data.tags, {}
    for run in _search(store, f"tags.{SWEEP} = '{parent.info.run_id}'"):
        alive = run.info.status == "RUNNING" and is_alive(run.data.tags)
        rows[run.info.run_id] = {
            "name": run.info.run_name,
            "state": "running" if alive else STATES[run.info.status],
            "minutes": ((run.info.end_time or 1000 * time.time()) - run.info.start_time) / 60_000,
            "val_score": run.data.metrics.get("summary/val_score"),
            "where": owner_of(run.data.tags) if alive else None,
        }
    before = {run: design for run, design in _of(tags, REUSED).items() if run not in rows}
    notes = [json.loads(note) for note in _of(tags, FAILED).values()]
    found = [{"run": run, "name": design, "state": "finished before"} for run, design in before.items()]
    found += [{"run": run, **row} for run, row in rows.items() if row["state"] != "failed"]  # they have notes
    found += [{"name": note["job"], "state": "failed", "why": note["why"]} for note in notes]
    return pd.DataFrame(found, columns=["run", "name", "state", "minutes", "val_score", "where", "why"])


def sweeps(store: Store, name: str | None = None) -> list:
    """The parent runs, of a name or all, the newest first."""
    runs = _search(store, f"tags.{SWEEP} = 'parent'")
    return [run for run in reversed(runs) if name in (None, run.info.run_name)]


def newest(store: Store, sweep: str):
    """The parent run of this id, or the newest of this name; InputError lists those that there are."""
    if known := [run for run in sweeps(store) if sweep in (run.info.run_id, run.info.run_name)]:
        return known[0]
    names = sorted({run.info.run_name for run in sweeps(store)})
    experiment = store.client.get_experiment(store.experiment_id).name
    raise InputError(
        f"sweep: got {sweep!r}, wanted one of experiment {experiment!r}: {'; '.join(names) or 'it has none'}; "
        "another is tracking.experiment=NAME"
    )


def _key(overrides: Sequence[str]) -> str:
    of_job = [override for override in overrides if not override.startswith("tracking.")]
    return f"{FAILED}{hashlib.sha256(' '.join(of_job).encode()).hexdigest()[:16]}"


def _tagged(store: Store, parent: str, prefix: str) -> dict[str, str]:
    return _of(store.client.get_run(parent).data.tags, prefix)


def _of(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def _search(store: Store, query: str) -> list:
    """Every run that a query finds, oldest first: one that begins between two pages comes after both."""
    search = partial(store.client.search_runs, [store.experiment_id], query, max_results=PAGE, order_by=OLDEST)
    runs = page = search()
    while page.token:
        page = search(page_token=page.token)
        runs = runs + page
    return runs
