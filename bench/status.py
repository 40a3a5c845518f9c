"""The verb `status`: where a sweep stands."""

from __future__ import annotations

import sys

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from bench import jobs
from bench.errors import InputError
from bench.heartbeat import is_alive
from bench.report import status_report
from bench.store import Store, connect


def status(config: DictConfig) -> pd.DataFrame:
    """A row for each job of a sweep that has begun; writes them with what is still to come."""
    if OmegaConf.is_missing(config, "sweep"):
        raise InputError("sweep: got none, wanted the name of a sweep or the id of its parent run")
    store = connect(config.tracking.uri, config.tracking.experiment)
    parent = newest(store, config.sweep)
    table = jobs.table(store, parent)
    planned = int(parent.data.tags.get(jobs.JOBS, len(table)))
    alive = parent.info.status == "RUNNING" and is_alive(parent.data.tags)
    sys.stdout.write(status_report(table, parent.info.run_name, planned, alive))
    return table


def newest(store: Store, sweep: str):
    """The parent run of this id, or the newest of this name; InputError lists those that there are."""
    if known := [run for run in jobs.sweeps(store) if sweep in (run.info.run_id, run.info.run_name)]:
        return known[0]
    names = sorted({run.info.run_name for run in jobs.sweeps(store)})
    experiment = store.client.get_experiment(store.experiment_id).name
    raise InputError(
        f"sweep: got {sweep!r}, wanted one of experiment {experiment!r}: {'; '.join(names) or 'it has none'}; "
        "another is tracking.experiment=NAME"
    )
