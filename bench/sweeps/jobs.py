"""Jobs of a sweep: their states (finished, running, terminated or failed) and the reasons of failures."""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode

from bench.errors import InputError
from bench.tracking import COLLAPSED, DESIGN, REUSED, SWEEP, Run
from bench.tracking.addresses import without_password
from bench.tracking.listing import Listed, list_runs, search
from bench.tracking.offline.heartbeat import BEAT, OWNER, is_alive, is_on_this_host, owner_of, silence
from bench.tracking.store import Store

# tags of a parent: a job that has begun; a job that failed, with the reason; the number of jobs
BEGUN, FAILED, JOBS = "begun.", "failed.", "jobs"
GONE = (
    "its process was killed, perhaps by the out-of-memory killer; lower hydra.launcher.n_jobs, train.batch_size or "
    "probe.budget_gb"
)
STATES = {
    "FINISHED": "finished",
    "FAILED": "failed",
    "KILLED": "terminated",
    "RUNNING": "terminated",
    "SCHEDULED": "terminated",
}
KEY = r"(?<![^ ,])(?:\w+\.)+?(?=[^\W\d]\w*(?:\.\d+)*=)"  # the key of an override without its last name
NEXT = r",(?=[\w.]+=)"  # the comma between two settings of a short design
VAL_SCORE = "summary/val_score"
WHY = 300  # maximal number of characters of a reason
FEWEST, SHOWN = 4, 10  # characters of an id that are enough to search it; maximal number of sweeps in a message

log = logging.getLogger(__name__)


def design() -> str:
    """Return the description that distinguishes the current job of Hydra from other jobs.

    In a sweep this is the overrides of the job. Otherwise it is the model with its overrides.
    """
    hydra = HydraConfig.get()
    if hydra.mode == RunMode.MULTIRUN:
        return hydra.job.override_dirname or hydra.runtime.choices["model"]
    of_model = [override for override in hydra.overrides.task if override.startswith("model.")]
    return " ".join([hydra.runtime.choices["model"], *of_model])


def short_design() -> str:
    """Return the design without the groups of its keys.

    A list of runs truncates long names at the end, where the jobs of a sweep differ.
    """
    return re.sub(KEY, "", design())


def name(seed: int, fold: int | None = None) -> str:
    """Return the name of a run: the short design with spaces between its settings, the fold if any, and the seed."""
    return f"{re.sub(NEXT, ' ', short_design())}{'' if fold is None else f' fold={fold}'} seed={seed}"


def of_sweep(store: Store, parent: str) -> dict[str, str]:
    """Map each finished run of a sweep to its design, including runs that had finished before the sweep."""
    runs = list_runs(store, (SWEEP, parent), "FINISHED", tags=[DESIGN])
    return _designs(runs) | _tagged(store, parent, REUSED)


def trained(store: Store) -> dict[str, str]:
    """Map each finished run that trained or measured a network to its design, inside and outside of sweeps."""
    return _designs(list_runs(store, status="FINISHED", tags=[DESIGN]))


def _designs(runs: list[Listed]) -> dict[str, str]:
    """Map each run with a design to its design."""
    return {run.id: run.tags[DESIGN] for run in runs if DESIGN in run.tags}


def collapsed(store: Store, parent: str) -> dict[str, str]:
    """Map the names of the finished runs of a sweep that have taught their network nothing to the reason."""
    own = list_runs(store, (SWEEP, parent), "FINISHED", tags=[DESIGN, COLLAPSED])
    found = {run.name: run.tags[COLLAPSED] for run in own if {DESIGN, COLLAPSED} <= run.tags.keys()}
    before = [run_id for run_id in _tagged(store, parent, REUSED) if run_id not in {run.id for run in own}]
    for run in map(store.client.get_run, before):
        found |= {run.info.run_name: run.data.tags[COLLAPSED]} if COLLAPSED in run.data.tags else {}
    return found


def count_ended(store: Store, parent: str) -> int:
    """Count the jobs of a sweep that have finished or failed."""
    return len(of_sweep(store, parent)) + len(_tagged(store, parent, FAILED))


def note_begin(store: Store, parent: str, overrides: Sequence[str], name: str) -> None:
    """Note on the parent that a job has begun. If its process is killed, no other note about the job remains."""
    Run(store, parent).tag(_key(overrides, BEGUN), json.dumps({"job": name, "why": GONE}))


def note_failure(store: Store, parent: str, overrides: Sequence[str], name: str, why: str) -> None:
    """Note on the parent that a job failed, with the reason."""
    note = json.dumps({"job": name, "why": " ".join(why.split())[:WHY]})
    Run(store, parent).tag(_key(overrides, FAILED), note)
    _remove(store, parent, [_key(overrides, BEGUN)])


def note_success(store: Store, parent: str, overrides: Sequence[str]) -> None:
    """Remove the notes that attempts at a job left on the parent."""
    _remove(store, parent, [_key(overrides, BEGUN), _key(overrides, FAILED)])


def note_killed(store: Store, parent: str) -> None:
    """Note jobs as failed that have begun and did not end. Call this when no job is running any more."""
    for key, note in _tagged(store, parent, BEGUN).items():
        Run(store, parent).tag(f"{FAILED}{key}", note)
    forget_begun(store, parent)


def forget_begun(store: Store, parent: str) -> None:
    """Remove the notes of jobs that have begun."""
    _remove(store, parent, [f"{BEGUN}{key}" for key in _tagged(store, parent, BEGUN)])


def failures(store: Store, parent: str) -> pd.DataFrame:
    """Return a table with the columns job and why, and a row for each failed job of a sweep."""
    return pd.DataFrame([json.loads(note) for note in _tagged(store, parent, FAILED).values()], columns=["job", "why"])


def table(store: Store, parent) -> pd.DataFrame:
    """Return a table of the jobs of a sweep that have begun.

    Args:
        store: The tracking store.
        parent: The parent run of the sweep, as MLflow returns it.

    Returns:
        A row for each job, with the columns run, name, state, minutes, val_score, where and why. A state is `finished`,
        `finished before` (in another sweep), `running`, `failed`, or `terminated` if its process ended before it did.
        `why` is the reason of a failure, or why a finished training has taught the network nothing.
    """
    tags = parent.data.tags
    rows: dict[str, dict[str, object]] = {}
    read = [OWNER, BEAT, COLLAPSED]
    for run in list_runs(store, (SWEEP, parent.info.run_id), tags=read, metrics=[VAL_SCORE]):
        alive = run.status == "RUNNING" and is_alive(run.tags)
        rows[run.id] = {
            "name": run.name,
            "state": "running" if alive else STATES[run.status],
            "minutes": ((run.end or 1000 * time.time()) - run.start) / 60_000,
            "val_score": run.metrics.get(VAL_SCORE),
            "where": _where(run.tags) if alive else None,
            "why": run.tags.get(COLLAPSED) and f"collapsed: {run.tags[COLLAPSED]}",
        }
    before = {run: design for run, design in _of(tags, REUSED).items() if run not in rows}
    notes = [json.loads(note) for note in _of(tags, FAILED).values()]
    found: list[dict[str, object]] = [
        {"run": run, "name": design, "state": "finished before"} for run, design in before.items()
    ]
    found += [{"run": run, **row} for run, row in rows.items() if row["state"] != "failed"]  # failed jobs have notes
    found += [{"name": note["job"], "state": "failed", "why": note["why"]} for note in notes]
    return pd.DataFrame(found, columns=["run", "name", "state", "minutes", "val_score", "where", "why"])


def sweeps(store: Store, name: str | None = None) -> list:
    """List the parent runs of this name, or all parent runs, the newest first."""
    runs = search(store, f"tags.{SWEEP} = 'parent'")
    return [run for run in reversed(runs) if name in (None, run.info.run_name)]


@dataclass(frozen=True)
class FoundSweep:
    """A sweep of the store.

    Attributes:
        parent: The parent run, as MLflow returns it.
        words: Description of the sweep, which says how it was selected among several.
    """

    parent: Any
    words: str

    @property
    def name(self) -> str:
        """Return the name of the sweep."""
        return self.parent.info.run_name


def find_sweep(store: Store, sweep: str | None) -> FoundSweep:
    """Find the newest sweep with this name, or the one whose id begins with this text, or the newest of all.

    Args:
        store: Store with the experiments that are searched.
        sweep: Name of a sweep, or the first 4 characters or more of the id of its parent run. None = the newest sweep.

    Raises:
        InputError: There is no such sweep. The message lists sweeps.
    """
    known = sweeps(store)
    if not known:
        raise InputError(
            f"sweep: there is no sweep in {without_password(store.uri)}; `python -m bench -m seed=0,1` runs one"
        )
    found, which = known, ", the newest sweep"
    if sweep is not None:
        found = [run for run in known if run.info.run_name == sweep]
        which = f", the newest of {len(found)} sweeps with this name" if len(found) > 1 else ""
        found = found or [run for run in known if len(sweep) >= FEWEST and run.info.run_id.startswith(sweep)]
        if not found or (len(found) > 1 and not which):
            names = [*dict.fromkeys(run.info.run_name for run in known)]
            listed = "; ".join(names[:SHOWN] + ["…"] * (len(names) > SHOWN))
            got = f"sweep: got {sweep!r}" + (f", the beginning of {len(found)} ids" if found else "")
            raise InputError(f"{got}, wanted the name of a sweep or the id of its parent run; the newest are: {listed}")
    info = found[0].info
    experiment = store.client.get_experiment(info.experiment_id).name
    return FoundSweep(found[0], f"{info.run_name} (run {info.run_id[:8]} of experiment {experiment}){which}")


def _where(tags: Mapping[str, str]) -> str:
    """Describe the process of a run. For another machine, add the time since its last heartbeat."""
    return owner_of(tags) + ("" if is_on_this_host(tags) else f", heard of {silence(tags):.0f} s ago")


def _remove(store: Store, parent: str, keys: Sequence[str]) -> None:
    """Delete these tags of a parent, if they exist."""
    for key in store.client.get_run(parent).data.tags.keys() & set(keys):
        store.client.delete_tag(parent, key)


def _key(overrides: Sequence[str], prefix: str) -> str:
    """Return the key of the tag that identifies a job by its overrides."""
    of_job = [override for override in overrides if not override.startswith("tracking.")]
    return f"{prefix}{hashlib.sha256(' '.join(of_job).encode()).hexdigest()[:16]}"


def _tagged(store: Store, parent: str, prefix: str) -> dict[str, str]:
    """Read the tags of a parent whose keys begin with the prefix. The prefix is removed from the keys."""
    return _of(store.client.get_run(parent).data.tags, prefix)


def _of(tags: Mapping[str, str], prefix: str) -> dict[str, str]:
    """Select the tags whose keys begin with the prefix. The prefix is removed from the keys."""
    return {key.removeprefix(prefix): value for key, value in tags.items() if key.startswith(prefix)}
