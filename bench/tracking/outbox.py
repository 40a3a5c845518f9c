"""Outbox: what a run logs while its tracking server is away waits in files, and is sent when the server is back."""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from mlflow.entities import Metric, Param

from bench.errors import TrackingError

FOLDER = "outbox"  # where the command was started; a folder for each run in it
AGAIN = 30  # seconds after which a server that was away is tried again while the run goes on
PAUSE = 3  # seconds between attempts when there is nothing left to do but to wait

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Write:
    """One write to a run, of what JSON can hold; sent twice it does no harm.

    kind: metrics ([key, value, time, step] of each), params ([key, value] of each), tag ([key, value]), artifact
    ([path], with its content) or end ([status, time]). Times in ms.
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
            case "artifact":
                self._artifact(client, run_id)
            case "end":
                client.set_terminated(run_id, *self.payload)

    def _artifact(self, client, run_id: str) -> None:
        path = Path(*self.payload)
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / path.name).write_bytes(self.content)
            within = None if path.parent == Path() else str(path.parent)
            client.log_artifact(run_id, str(Path(folder) / path.name), within)

    def __str__(self) -> str:
        return {"metrics": "metrics", "params": "the config", "tag": "tags", "end": "how it ended"}.get(
            self.kind, str(self.payload[0])
        )


class Outbox:
    """The writes of one run, sent in their order; the first that its server can't take and those after it wait."""

    def __init__(self, client, run_id: str, folder: Path | None = None):
        self.client = client
        self.run_id = run_id
        self.folder = folder or Path.cwd() / FOLDER / run_id
        self._reason = "nothing was tried"
        self._try_at = 0.0

    def send(self, write: Write) -> None:
        """Send, or keep in a file while the server is away."""
        if waiting := self.waiting():
            self._keep(write, int(waiting[-1].stem) + 1)
            if time.monotonic() >= self._try_at:
                self.flush()
            return
        try:
            write.deliver(self.client, self.run_id)
        except TrackingError as error:
            self._reason = str(error)
            log.warning("%s; the run goes on, and what it logs waits in %s", error, self.folder)
            self._keep(write, 0)

    def flush(self) -> bool:
        """Send what waits; whether nothing is left."""
        waiting = self.waiting()
        for path in waiting:
            try:
                self._read(path).deliver(self.client, self.run_id)
            except TrackingError as error:
                self._reason = str(error)
                self._try_at = time.monotonic() + AGAIN
                return False
            path.unlink()
            path.with_suffix(".bin").unlink()
        if waiting:
            log.info("the tracking server is back; sent what had waited: %d writes", len(waiting))
            shutil.rmtree(self.folder)  # with what a process left that was killed while it kept a write or dropped one
            with contextlib.suppress(OSError):  # another run's writes wait beside
                self.folder.parent.rmdir()
        return True

    def wait(self, seconds: float) -> None:
        """Send what waits, again and again for so long; TrackingError says what is missing after that."""
        ends = time.monotonic() + seconds
        while not self.flush():
            if time.monotonic() >= ends:
                raise TrackingError(self.missing())
            time.sleep(PAUSE)

    def missing(self) -> str:
        """What waits, in words, and how it can be sent."""
        writes = [str(self._read(path)) for path in self.waiting()]
        return (
            f"{self._reason}; of run {self.run_id} these {len(writes)} writes are missing there: "
            f"{', '.join(dict.fromkeys(writes))}; they wait in {self.folder}; when it answers and has room: "
            f"python -m bench resend folder={self.folder.parent} tracking.uri=…"
        )

    def waiting(self) -> list[Path]:
        return sorted(self.folder.glob("*.json"))

    def _keep(self, write: Write, number: int) -> None:
        """Whole or not at all, should the process be killed: the last step gives the file its name."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{number:06}.json"
        path.with_suffix(".bin").write_bytes(write.content)
        path.with_suffix(".part").write_text(json.dumps([write.kind, write.payload]))
        path.with_suffix(".part").rename(path)

    def _read(self, path: Path) -> Write:
        return Write(*json.loads(path.read_text()), path.with_suffix(".bin").read_bytes())
