"""The verb `resend`: sends what runs could not, because their tracking server was away until they ended."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from bench.checks import check_resend
from bench.errors import InputError
from bench.tracking import records
from bench.tracking.outbox import Outbox
from bench.tracking.store import connect


def resend(config: DictConfig) -> list[str]:
    """Send what waits in a folder to tracking.uri; returns the ids of the runs that are complete now.

    Raises InputError, at the end, where a run is of another server; what it left still waits.
    """
    check_resend(config)
    folder = Path(config.folder).absolute()
    runs = sorted({path.parent.name for path in folder.glob("*/*.json")})
    if not runs:
        raise InputError(f"folder: got {folder}, in which nothing waits; wanted an outbox that a run named as it ended")
    store = connect(config.tracking.uri, config.tracking.experiment)
    strange = []
    for run in runs:
        try:
            records.run_of(store, run)
        except InputError as error:
            strange.append(error)
            continue
        outbox = Outbox(store.client, run, folder / run)
        writes = len(outbox.waiting())
        outbox.wait(0)
        sys.stdout.write(f"run {run}: sent {writes} writes\n")
    if strange:
        raise strange[0]
    return runs
