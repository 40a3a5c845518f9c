"""The command `resend`: send the writes that runs could not log before they ended."""

from __future__ import annotations

import sys
from pathlib import Path

from filelock import Timeout
from omegaconf import DictConfig

from bench.errors import InputError, TrackingError
from bench.tracking import records
from bench.tracking.offline.heartbeat import OWNER, is_alive, mark_dead, owner_of
from bench.tracking.offline.outbox import Outbox
from bench.tracking.offline.waiting import Waiting, runs_in
from bench.tracking.offline.writes import Write
from bench.tracking.store import Store, connect


def resend(config: DictConfig) -> list[str]:
    """Send the writes in a folder to tracking.uri, or to the store of each run. The other writes remain in the folder.

    Returns:
        The ids of the runs that are now complete.

    Raises:
        InputError: After all runs, if a run belongs to another server or is in use by another process.
        TrackingError: After all runs, if the server did not accept all writes of a run.
    """
    folder = Path(config.folder).absolute()
    try:
        runs = runs_in(folder)
    except OSError as error:
        raise InputError(f"folder: got {folder}, which can't be read ({error}); check its permissions") from error
    if not runs:
        raise InputError(f"folder: got {folder}, which has no writes; wanted an outbox that a run named when it ended")
    complete, problems = [], []
    for run in runs:
        try:
            uri = config.tracking.uri or Waiting(folder / run).store()
            writes = send(connect(uri, config.tracking.experiment), run, folder / run)
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
    """Send the writes of one run.

    Returns:
        The number of writes that were sent.

    Raises:
        InputError: If the store does not have the run, or a running process uses it.
        TrackingError: If writes remain.
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
        raise InputError(f"folder: got {folder}, wanted a writable folder ({error})") from error
    return count


def refuse_another_owner(run, end: Write | None, folder: Path) -> None:
    """Refuse a run that another process executes or has taken over.

    Args:
        run: Run of MLflow.
        end: The write that ended the run, or None if the run has not ended.
        folder: Outbox of the run.

    Raises:
        InputError: If another process owns the run.
    """
    tags = run.data.tags
    if end is None:
        if run.info.status == "RUNNING" and is_alive(tags):
            raise InputError(
                f"run {run.info.run_id}: {owner_of(tags)} still executes it and sends the writes in {folder}; "
                "wait for its end"
            )
    elif OWNER in tags and end.payload[2:3] not in ([], [None], [tags[OWNER]]):
        raise InputError(
            f"run {run.info.run_id}: {owner_of(tags)} has taken it over, and the writes in {folder} belong to the "
            "previous attempt; delete that folder"
        )
