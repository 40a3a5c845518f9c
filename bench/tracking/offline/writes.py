"""Writes: what a run logs, each as one write that JSON can hold and that does no harm when it is sent twice."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus
from mlflow.exceptions import MlflowException

from bench.errors import TrackingError
from bench.tracking.offline.heartbeat import OWNER, owner_of

FINGERPRINT = "fingerprint"  # tag of a training run: the same for the same job
INCOMPLETE, SUPERSEDED = "incomplete", "superseded"  # tags: what is missing and where; the run that did the same job
FINISHED, FAILED, KILLED = map(RunStatus.to_string, (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED))
IN_WORDS = {"metrics": "metrics", "params": "the config", "tag": "tags", "input": "its data", "end": "how it ended"}
KINDS = {*IN_WORDS, "artifact"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Write:
    """One write to a run.

    kind: metrics ([key, value, time, step] of each), params ([key, value] of each), tag ([key, value]), input ([the
    fields of a dataset, its context]), artifact ([path], with its content) or end ([status, time] and, where they are
    known, owner and fingerprint, see `end`). Times in ms.
    """

    kind: str
    payload: list
    content: bytes = b""

    def deliver(self, client, run_id: str) -> None:
        match self.kind:
            case "metrics":
                client.log_batch(run_id, metrics=[Metric(*each) for each in self.payload])
            case "params":
                client.log_batch(run_id, params=[Param(*each) for each in self.payload])
            case "tag":
                client.set_tag(run_id, *self.payload)
            case "input":
                self._input(client, run_id)
            case "artifact":
                self._artifact(client, run_id)
            case "end":
                end(client, run_id, *self.payload)
            case _:
                raise ValueError(f"got a write of kind {self.kind!r}")

    def _input(self, client, run_id: str) -> None:
        fields, context = self.payload
        dataset = DatasetInput(Dataset(**fields), [InputTag("mlflow.data.context", context)])
        try:
            client.log_inputs(run_id, datasets=[dataset])
        except (MlflowException, TrackingError):  # of two jobs that bring it at once one is refused; now it is there
            client.log_inputs(run_id, datasets=[dataset])

    def _artifact(self, client, run_id: str) -> None:
        path = Path(*self.payload)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / path.name).write_bytes(self.content)
            within = None if path.parent == Path() else str(path.parent)
            client.log_artifact(run_id, str(Path(folder) / path.name), within)

    @property
    def finishes(self) -> bool:
        return self.kind == "end" and self.payload[0] == FINISHED

    @property
    def replaces(self) -> tuple | None:
        """Return what two writes share if the later one replaces the earlier; None if order does not matter."""
        return (self.kind, self.payload[0]) if self.kind in ("tag", "artifact") else None

    def __str__(self) -> str:
        return IN_WORDS.get(self.kind) or str(self.payload[0])


def end(client, run_id: str, status: str, time: int, owner: str | None = None, fingerprint: str | None = None) -> bool:
    """Set the final status of a run, unless another process runs it; return whether it was set.

    A run that would finish is KILLED instead where another run of the experiment with this fingerprint has finished,
    so that a job counts once. time: in ms. owner: the run's tag of this name, as this process set it.
    """
    run = client.get_run(run_id)
    tags = run.data.tags
    if owner is not None and tags.get(OWNER, owner) != owner:
        log.warning("run %s is not ended here: %s runs it now", run_id, owner_of(tags))
        return False
    if status == FINISHED and (other := _finished(client, run, fingerprint)):
        log.warning("run %s ends KILLED and not FINISHED: run %s has finished the same job", run_id, other)
        client.set_tag(run_id, SUPERSEDED, other)
        status = KILLED
    elif status == FINISHED and INCOMPLETE in tags:
        client.delete_tag(run_id, INCOMPLETE)
    client.set_terminated(run_id, status, time)
    return True


def _finished(client, run, fingerprint: str | None) -> str | None:
    """The id of another finished run of the experiment with this fingerprint."""
    if fingerprint is None:
        return None
    query = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = '{FINISHED}'"
    found = client.search_runs([run.info.experiment_id], query, max_results=2)
    return next((other.info.run_id for other in found if other.info.run_id != run.info.run_id), None)
