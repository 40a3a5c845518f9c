"""The command `status`: where a sweep stands."""

from __future__ import annotations

import sys

import pandas as pd
from omegaconf import DictConfig

from bench.sweeps import jobs
from bench.tracking.offline.heartbeat import is_alive
from bench.tracking.store import connect


def status(config: DictConfig) -> pd.DataFrame:
    """A row for each job of a sweep that has begun; writes them with what is still to come."""
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    parent = jobs.newest(store, config.sweep)
    table = jobs.table(store, parent)
    planned = int(parent.data.tags.get(jobs.JOBS, len(table)))
    alive = parent.info.status == "RUNNING" and is_alive(parent.data.tags)
    sys.stdout.write(status_report(table, parent.info.run_name, planned, alive))
    return table


def status_report(jobs: pd.DataFrame, name: str, planned: int, alive: bool) -> str:
    """The jobs of a sweep that have begun, and how many there are of each state."""
    counts = jobs["state"].value_counts()
    attempts = jobs["state"].isin(("dead",)).sum()
    ahead = max(0, planned - (len(jobs) - attempts))
    words = [f"{count} {state}" for state, count in counts.items()] + ([f"{ahead} still to do"] if ahead else [])
    going = "goes on" if alive else "has ended" if not ahead else "is not running; the same command goes on with it"
    shown = jobs.drop(columns="run").set_index("name").rename_axis(None).dropna(axis=1, how="all")
    listed = f"{shown.round(3).fillna('').to_string()}\n\n" if len(jobs) else ""
    return f"\n{listed}{name}: of {planned} jobs {', '.join(words) or 'none has begun'}; the sweep {going}\n"
