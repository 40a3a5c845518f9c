"""The verb `status`: where a sweep stands."""

from __future__ import annotations

import sys

import pandas as pd
from omegaconf import DictConfig

from bench.checks import check_status
from bench.report import status_report
from bench.sweeps import jobs
from bench.tracking.heartbeat import is_alive
from bench.tracking.store import connect


def status(config: DictConfig) -> pd.DataFrame:
    """A row for each job of a sweep that has begun; writes them with what is still to come."""
    check_status(config)
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    parent = jobs.newest(store, config.sweep)
    table = jobs.table(store, parent)
    planned = int(parent.data.tags.get(jobs.JOBS, len(table)))
    alive = parent.info.status == "RUNNING" and is_alive(parent.data.tags)
    sys.stdout.write(status_report(table, parent.info.run_name, planned, alive))
    return table
