"""Continuing: find the checkpoint of a stopped or killed run on this machine, so that the same command continues it."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass

from filelock import Timeout

from bench.errors import InputError
from bench.tracking import records
from bench.tracking.addresses import without_password
from bench.tracking.offline.heartbeat import is_alive
from bench.tracking.store import Store
from bench.training.checkpoint import Checkpoint, kept_checkpoints

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """What the checkpoint of a run says about its job.

    Attributes:
        store: Address of the tracking store.
        experiment: Id of the experiment.
        parent: Id of the parent run in a sweep, or None.
        name: Name of the run.
        fingerprint: Hash of config, data and version.
    """

    store: str
    experiment: str
    parent: str | None
    name: str
    fingerprint: str

    @classmethod
    def of(cls, store: Store, parent: str | None, name: str, fingerprint: str) -> Job:
        """Return the job with this name and fingerprint in the experiment of a store."""
        return cls(without_password(store.uri), store.experiment_id, parent, name, fingerprint)


def stopped(store: Store, job: Job, minutes: float) -> Checkpoint | None:
    """Find the checkpoint of a run of this job that was stopped or killed.

    Checkpoints of the same name whose config, data or version differs are not used, and the log says so. Those of runs
    that have ended by themselves are removed.

    Args:
        store: The tracking store.
        job: The job.
        minutes: Time between two states of the checkpoint.
    """
    for folder, about in kept_checkpoints():
        if about | {"fingerprint": job.fingerprint} != asdict(job):
            continue
        if about["fingerprint"] != job.fingerprint:
            log.warning(
                "the checkpoint of run %s is not used, because its config, data or version differs; delete %s if it is "
                "not needed any more",
                folder.name,
                folder,
            )
            continue
        try:
            run = records.run_of(store, folder.name)
        except InputError:  # the store has lost the run
            log.warning("the checkpoint %s is not used, because its run is not in %s", folder, job.store)
            continue
        if run.info.status == "RUNNING" and is_alive(run.data.tags):
            continue
        try:
            checkpoint = Checkpoint(folder, about, minutes)
        except Timeout:  # another process continues the run
            continue
        if run.info.status in ("RUNNING", "KILLED") and run.info.lifecycle_stage == "active":
            return checkpoint
        checkpoint.remove()
    return None
