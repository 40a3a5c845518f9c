"""Jobs of a sweep: which are finished, running, dead or failed, and why."""

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
from bench.tracking import DESIGN, REUSED, SWEEP, Run
from bench.tracking.offline.heartbeat import is_alive, is_here, owner_of, silence
from bench.tracking.store import Store

# tags of a parent: a job that has begun; one that failed and why; how many there are in all
BEGUN, FAILED, JOBS = "begun.", "failed.", "jobs"
GONE = (
    "its process was killed, perhaps by the out-of-memory killer; lower hydra.launcher.n_jobs, train.batch_size or "
    "probe.budget_gb"
)
STATES = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "dead", "RUNNING": "dead", "SCHEDULED": "dead"}
KEY = r"(?<![^ ,])(?:\w+\.)+(?=\w+=)"  # of an override, all but its last part
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


def of_sweep(store: Store, parent: str) -> dict[str, str]:
    """The finished runs of a sweep and the design of each, those that it found already done included."""
    runs = search(store, f"tags.{SWEEP} = '{parent}' and attributes.status = 'FINISHED'")
    designs = {run.info.run_id: run.data.tags[DESIGN] for run in runs if DESIGN in run.data.tags}
    return designs | _tagged(store, parent, REUSED)


def trained(store: Store) -> dict[str, str]:
    """The finished training runs of the experiment and the design of each, in sweeps or not."""
    runs = search(store, "attributes.status = 'FINISHED'")
    return {run.info.run_id: run.data.tags[DESIGN] for run in runs if DESIGN in run.data.tags}


def note_begin(store: Store, parent: str, overrides: Sequence[str], name: str) -> None:
    """Note on the parent that a job has begun, which is all that one can say whose process is killed."""
    Run(store, parent).tag(_key(overrides, BEGUN), json.dumps({"job": name, "why": GONE}))


def note_failure(store: Store, parent: str, overrides: Sequence[str], name: str, why: str) -> None:
    """Note on the parent that a job failed, and why."""
    note = json.dumps({"job": name, "why": " ".join(why.split())[:WHY]})
    Run(store, parent).tag(_key(overrides, FAILED), note)
    _remove(store, parent, [_key(overrides, BEGUN)])


def note_success(store: Store, parent: str, overrides: Sequence[str]) -> None:
    """Take back what an attempt at a job noted."""
    _remove(store, parent, [_key(overrides, BEGUN), _key(overrides, FAILED)])


def note_killed(store: Store, parent: str) -> None:
    """Note the jobs as failed that have begun and did not come to an end, once no job is being done."""
    for key, note in _tagged(store, parent, BEGUN).items():
        Run(store, parent).tag(f"{FAILED}{key}", note)
    forget_begun(store, parent)


def forget_begun(store: Store, parent: str) -> None:
    """Take back that jobs have begun."""
    _remove(store, parent, [f"{BEGUN}{key}" for key in _tagged(store, parent, BEGUN)])


def failures(store: Store, parent: str) -> pd.DataFrame:
    """job, why: a row for each job of a sweep that failed."""
    return pd.DataFrame([json.loads(note) for note in _tagged(store, parent, FAILED).values()], columns=["job", "why"])


def table(store: Store, parent) -> pd.DataFrame:
    """run, name, state, minutes, val_score, where and why of each job of a sweep that has begun, oldest first.

    state: finished; finished before, in another sweep; running; failed; or dead, begun and left by its process.
    """
    tags, rows = parent.data.tags, {}
    for run in search(store, f"tags.{SWEEP} = '{parent.info.run_id}'"):
        alive = run.info.status == "RUNNING" and is_alive(run.data.tags)
        rows[run.info.run_id] = {
            "name": run.info.run_name,
            "state": "running" if alive else STATES[run.info.status],
            "minutes": ((run.info.end_time or 1000 * time.time()) - run.info.start_time) / 60_000,
            "val_score": run.data.metrics.get("summary/val_score"),
            "where": _where(run.data.tags) if alive else None,
        }
    before = {run: design for run, design in _of(tags, REUSED).items() if run not in rows}
    notes = [json.loads(note) for note in _of(tags, FAILED).values()]
    found = [{"run": run, "name": design, "state": "finished before"} for run, design in before.items()]
    found += [{"run": run, **row} for run, row in rows.items() if row["state"] != "failed"]  # they have notes
    found += [{"name": note["job"], "state": "failed", "why": note["why"]} for note in notes]
    return pd.DataFrame(found, columns=["run", "name", "state", "minutes", "val_score", "where", "why"])


def sweeps(store: Store, name: str | None = None) -> list:
    """The parent runs, of a name or all, the newest first."""
    runs = search(store, f"tags.{SWEEP} = 'parent'")
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


def _where(tags: Mapping[str, str]) -> str:
    return owner_of(tags) + ("" if is_here(tags) else f", heard of {silence(tags):.0f} s ago")


def _remove(store: Store, parent: str, keys: Sequence[str]) -> None:
    for key in store.client.get_run(parent).data.tags.keys() & set(keys):
        store.client.delete_tag(parent, key)


def _key(overrides: Sequence[str], prefix: str) -> str:
    of_job = [override for override in overrides if not override.startswith("tracking.")]
    return f"{prefix}{hashlib.sha256(' '.join(of_job).encode()).hexdigest()[:16]}"


def _tagged(store: Store, parent: str, prefix: str) -> dict[str, str]:
    return _of(store.client.get_run(parent).data.tags, prefix)


def _of(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}


def search(store: Store, query: str) -> list:
    """Every run that a query finds, oldest first: one that begins between two pages comes after both."""
    search = partial(store.client.search_runs, [store.experiment_id], query, max_results=PAGE, order_by=OLDEST)
    runs = page = search()
    while page.token:
        page = search(page_token=page.token)
        runs = runs + page
    return runs
