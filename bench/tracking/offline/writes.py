"""Writes: the operations by which a run logs. Each fits into JSON and may be sent twice without harm."""

from __future__ import annotations

import logging
import tempfile
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Dataset, DatasetInput, InputTag, Metric, Param, RunStatus
from mlflow.exceptions import MlflowException

from bench.errors import TrackingError
from bench.tracking.offline.heartbeat import OWNER, owner_of

FINGERPRINT = "fingerprint"  # tag of a training run, equal for equal jobs
INCOMPLETE, SUPERSEDED = "incomplete", "superseded"  # tags: missing writes and their folder; run of the same job
FINISHED, FAILED, KILLED = map(RunStatus.to_string, (RunStatus.FINISHED, RunStatus.FAILED, RunStatus.KILLED))
IN_WORDS = {"metrics": "metrics", "params": "the config", "tag": "tags", "input": "its data", "end": "how it ended"}
KINDS = {*IN_WORDS, "artifact"}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Write:
    """A write to a run.

    Attributes:
        kind: metrics, params, tag, input, artifact or end.
        payload: For metrics, a list of [key, value, time, step]. For params, a list of [key, value]. For tag,
            [key, value]. For input, [fields of a dataset, context]. For artifact, [path]. For end, [status, time],
            followed by owner and fingerprint if they are known, see `end`. Times are in ms.
        content: The bytes of an artifact.
    """

    kind: str
    payload: list
    content: bytes = b""

    def deliver(self, client, run_id: str) -> None:
        """Send the write to a run through MLflow's client."""
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
        except (MlflowException, TrackingError):  # another job may have added the dataset at the same time
            client.log_inputs(run_id, datasets=[dataset])

    def _artifact(self, client, run_id: str) -> None:
        path = Path(*self.payload)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / path.name).write_bytes(self.content)
            within = None if path.parent == Path() else str(path.parent)
            client.log_artifact(run_id, str(Path(folder) / path.name), within)

    @property
    def finishes(self) -> bool:
        """Return whether the write sets the status FINISHED."""
        return self.kind == "end" and self.payload[0] == FINISHED

    @property
    def replaces(self) -> tuple | None:
        """Return a key that two writes share if the later one replaces the earlier one, or None without such writes."""
        return (self.kind, self.payload[0]) if self.kind in ("tag", "artifact") else None

    def __str__(self) -> str:
        return IN_WORDS.get(self.kind) or str(self.payload[0])


def end(client, run_id: str, status: str, time: int, owner: str | None = None, fingerprint: str | None = None) -> bool:
    """Set the final status of a run, unless another process executes it now.

    If another run of the experiment with this fingerprint has finished, the status is KILLED in place of FINISHED.
    In this way a job counts once.

    Args:
        client: Client of the store.
        run_id: Id of the run.
        status: The status that the run would get.
        time: End of the run in ms.
        owner: Tag `owner` of the run, as this process set it.
        fingerprint: Fingerprint of a job that counts once.

    Returns:
        Whether the status was set.
    """
    run = client.get_run(run_id)
    tags = run.data.tags
    if owner is not None and tags.get(OWNER, owner) != owner:
        log.warning("the status of run %s was not set, because %s executes it now", run_id, owner_of(tags))
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
    """Return the id of another finished run of the experiment that has this fingerprint, or None."""
    if fingerprint is None:
        return None
    query = f"tags.{FINGERPRINT} = '{fingerprint}' and attributes.status = '{FINISHED}'"
    found = client.search_runs([run.info.experiment_id], query, max_results=2)
    return next((other.info.run_id for other in found if other.info.run_id != run.info.run_id), None)
