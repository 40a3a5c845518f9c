"""The command `resend`: sends what runs could not log before they ended."""

from __future__ import annotations

import sys
from pathlib import Path

from filelock import Timeout
from omegaconf import DictConfig

from bench.errors import InputError, TrackingError
from bench.tracking import records
from bench.tracking.offline.heartbeat import OWNER, is_alive, mark_dead, owner_of
from bench.tracking.offline.outbox import Outbox
from bench.tracking.offline.writes import Write
from bench.tracking.store import Store, connect


def resend(config: DictConfig) -> list[str]:
    """Send what waits in a folder to tracking.uri; returns the ids of the runs that are complete now.

    Raises InputError, at the end, where a run is of another server or another process has it, and TrackingError where
    the server did not take all of a run; what was not sent still waits.
    """
    folder = Path(config.folder).absolute()
    runs = sorted({path.parent.name for path in folder.glob("*/[0-9]*.json")})
    if not runs:
        raise InputError(f"folder: got {folder}, in which nothing waits; wanted an outbox that a run named as it ended")
    store = connect(config.tracking.uri, config.tracking.experiment)
    complete, problems = [], []
    for run in runs:
        try:
            writes = send(store, run, folder / run)
        except (InputError, TrackingError) as problem:
            problems.append(problem)
        else:
            complete.append(run)
            sys.stdout.write(f"run {run}: sent {writes} writes\n")
    if problems:
        kind = TrackingError if any(isinstance(problem, TrackingError) for problem in problems) else InputError
        raise kind("; ".join(map(str, problems)))
    return complete


def send(store: Store, run_id: str, folder: Path) -> int:
    """Send what waits of one run; returns how many writes it was.

    Raises InputError where the store does not know the run or a living process has it, and TrackingError where writes
    are left.
    """
    outbox = Outbox(store.client, run_id, folder, store.uri)
    try:
        with outbox.kept.locked(seconds=0):
            run, end = records.run_of(store, run_id), outbox.kept.end()
            refuse_another_owner(run, end, folder)
            count = len(outbox.waiting())
            outbox.wait(0)
            if end is None and run.info.status == "RUNNING":
                mark_dead(store.client, run)
    except Timeout:
        raise InputError(f"run {run_id}: another process adds to {folder} or sends from it; wait for its end") from None
    except OSError as error:
        raise InputError(f"folder: got {folder}, wanted one that may be written ({error})") from error
    return count


def refuse_another_owner(run, end: Write | None, folder: Path) -> None:
    """Raise InputError where another process runs it now; end: how the run ended, None where it has not."""
    tags = run.data.tags
    if end is None:
        if run.info.status == "RUNNING" and is_alive(tags):
            raise InputError(
                f"run {run.info.run_id}: {owner_of(tags)} still runs it and sends what waits in {folder}; "
                "wait for its end"
            )
    elif OWNER in tags and end.payload[2:3] not in ([], [None], [tags[OWNER]]):
        raise InputError(
            f"run {run.info.run_id}: {owner_of(tags)} has taken it over, and what waits in {folder} is of the attempt "
            "before; delete that folder"
        )
