"""The command `status`: the state of each job of a sweep."""

from __future__ import annotations

import sys

import pandas as pd
from omegaconf import DictConfig

from bench.sweeps import jobs
from bench.tracking.offline.heartbeat import is_alive
from bench.tracking.store import connect


def status(config: DictConfig) -> pd.DataFrame:
    """Write a table of the jobs of a sweep, by default the newest, that have begun, and the number of jobs that remain.

    Returns:
        The table, one row for each job.
    """
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    found = jobs.find_sweep(store, config.sweep)
    parent = found.parent
    table = jobs.table(store, parent)
    planned = int(parent.data.tags.get(jobs.JOBS, len(table)))
    alive = parent.info.status == "RUNNING" and is_alive(parent.data.tags)
    sys.stdout.write(f"\nsweep {found.words}\n{status_report(table, found.name, planned, alive)}")
    return table


def status_report(jobs: pd.DataFrame, name: str, planned: int, alive: bool) -> str:
    """Format the jobs of a sweep that have begun, and the number of jobs in each state.

    Args:
        jobs: Table of the jobs that have begun.
        name: Name of the sweep.
        planned: Number of all jobs of the sweep.
        alive: Whether the process of the sweep is running.
    """
    counts = jobs["state"].value_counts()
    attempts = jobs["state"].isin(("terminated",)).sum()
    remaining = max(0, planned - (len(jobs) - attempts))
    parts = [f"{count} {state}" for state, count in counts.items()] + ([f"{remaining} to do"] if remaining else [])
    if alive:
        progress = "is running"
    elif remaining:
        progress = "is not running; the same command continues it"
    else:
        progress = "has ended"
    shown = jobs.drop(columns="run").set_index("name").rename_axis(None).dropna(axis=1, how="all")
    rows = f"{shown.round(3).fillna('').to_string()}\n\n" if len(jobs) else ""
    return f"\n{rows}{name}: {planned} jobs ({', '.join(parts) or 'none has begun'}); the sweep {progress}\n"
