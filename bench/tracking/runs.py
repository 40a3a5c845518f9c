"""Runs: log to a run in MLflow, and end it."""

from __future__ import annotations

import io
import json
import logging
import math
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import cast

import pandas as pd
import torch
from matplotlib.figure import Figure
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import RunStatus
from mlflow.utils.mlflow_tags import MLFLOW_RUN_NOTE
from omegaconf import DictConfig, OmegaConf

from bench.datasets.data import Data
from bench.errors import TrackingError
from bench.tracking import views
from bench.tracking.artifacts import png
from bench.tracking.offline.heartbeat import keep_heartbeat
from bench.tracking.offline.outbox import Outbox, is_stopping
from bench.tracking.offline.writes import Write
from bench.tracking.store import Store

PER_REQUEST = 100  # maximal number of values per request
PATIENCE = 600  # seconds that a finished run waits for an unavailable server
DESIGN, SWEEP, REUSED, COLLAPSED, MISSED = "design", "sweep", "reused.", "collapsed", "missed"

log = logging.getLogger(__name__)


class Run:
    """A tracked run. Each write is sent at once, so that it remains if the process dies.

    Args:
        store: The tracking store.
        run_id: Id of the run in the store.
        owner: Tag of the process that executes the run.
        once: Fingerprint of a job that counts once, see `writes.end`.
    """

    def __init__(self, store: Store, run_id: str, owner: str | None = None, once: str | None = None):
        self.store = store
        self.id = run_id
        self.owner = owner
        self.once = once
        self._send: Callable[[Write], None] = lambda write: write.deliver(store.client, run_id)
        self._logged: set[tuple[str, int]] = set()  # points that are not logged again
        self._given: set[str] = set()  # parameters that are not logged again

    def skip_logged(self) -> None:
        """Do not log the points and parameters again that the store has, because the run is continued."""
        data = self.store.client.get_run(self.id).data
        for key in data.metrics:
            history = self.store.client.get_metric_history(self.id, key)
            self._logged |= {(point.key, point.step) for point in history}
        self._given = set(data.params)

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log finite values, 100 per request. Other values are dropped, because charts can't show them."""
        self.curves([(key, value, step) for key, value in values.items()])

    def curves(self, points: list[tuple[str, float, int]]) -> None:
        """Log points (key, value, step), rounded to 7 digits. Points that are not finite are dropped."""
        now = _now()
        finite = [[key, views.rounded(value), now, int(step)] for key, value, step in points if math.isfinite(value)]
        self._in_batches("metrics", [point for point in finite if (point[0], point[3]) not in self._logged])

    def config(self, config: DictConfig) -> None:
        """Log the composed config as a file, which can rebuild the run, and as flattened parameters."""
        self.text(OmegaConf.to_yaml(config, resolve=True), "config.yaml")
        flat = _flat(cast(dict, OmegaConf.to_container(config, resolve=True)))
        self._in_batches("params", [[key, str(value)] for key, value in flat if key not in self._given])

    def param(self, key: str, value: str) -> None:
        self._send(Write("params", [[key, value]]))

    def tag(self, key: str, value: str) -> None:
        self._send(Write("tag", [key, value]))

    def note(self, text: str) -> None:
        """Describe the run in Markdown, at the top of its page in MLflow's UI."""
        self.tag(MLFLOW_RUN_NOTE, text)

    def dataset(self, data: Data) -> None:
        """Log the dataset as an input of the run, and its data card as a file."""
        card = data.card()
        source = CodeDatasetSource(tags={"card": json.dumps(card)})
        dataset = MetaDataset(source, data.name, card["fingerprint"])  # type: ignore[abstract]  # MLflow has no `profile`
        self._send(Write("input", [dataset._to_mlflow_entity().to_dictionary(), "train, val, test"]))
        self.text(json.dumps(card, indent=2), "dataset.json")

    def text(self, text: str, path: str) -> None:
        """Log a text as an artifact."""
        self.file(text.encode(), path)

    def file(self, content: bytes, path: str) -> None:
        """Log bytes as an artifact."""
        self._send(Write("artifact", [path], content))

    def table(self, frame: pd.DataFrame, path: str) -> None:
        """Log a table as CSV."""
        self.text(frame.to_csv(index=False), path)

    def figure(self, figure: Figure, path: str) -> None:
        """Log a figure as PNG."""
        self.file(png(figure), path)

    def findings(self, findings) -> None:
        """Log the findings of a diagnostic: metrics and curves, tables/*.csv and figures/*.png."""
        self.metrics(findings.metrics)
        self.curves(findings.curves)
        for name, frame in findings.tables.items():
            self.table(frame, f"tables/{name}.csv")
        for name, figure in findings.figures.items():
            self.figure(figure, f"figures/{name}.png")

    def weights(self, state: dict[str, torch.Tensor]) -> None:
        """Log a state dict as weights.pt."""
        saved = io.BytesIO()
        torch.save({name: tensor.cpu() for name, tensor in state.items()}, saved)
        self.file(saved.getvalue(), "weights.pt")

    def end(self, status: int) -> None:
        """Set the final status of the run."""
        self._send(Write("end", [RunStatus.to_string(status), _now(), self.owner, self.once]))

    def _in_batches(self, kind: str, items: list) -> None:
        for first in range(0, len(items), PER_REQUEST):
            self._send(Write(kind, items[first : first + PER_REQUEST]))

    @contextmanager
    def keep_rejected(self) -> Iterator[Outbox]:
        """Keep rejected writes in files within this context. At its end, set a final status even if files wait."""
        outbox, at_once = Outbox(self.store.client, self.id, uri=self.store.uri), self._send
        self._send = outbox.send
        try:
            yield outbox
        finally:
            self._send = at_once
            outbox.set_final_status()


@contextmanager
def ended(run: Run) -> Iterator[Run]:
    """Send heartbeats of a run within this context, and set its final status at the end.

    The status is FINISHED, KILLED after Ctrl-C, or FAILED after an error. The traceback is logged as an artifact.

    Raises:
        TrackingError: The run finished, and some of its writes did not arrive.
    """
    with run.keep_rejected() as outbox:
        try:
            with keep_heartbeat(partial(run.store.client.set_tag, run.id)):
                yield run
        except BaseException:
            run.text(traceback.format_exc(), "traceback.txt")
            run.end(RunStatus.KILLED if is_stopping() else RunStatus.FAILED)
            try:
                outbox.wait(0 if is_stopping() else PATIENCE)
            except TrackingError as missing:
                log.error("%s", missing)
            raise
        run.end(RunStatus.FINISHED)
        outbox.wait(PATIENCE)


def _now() -> int:
    return int(1000 * time.time())  # ms since 1970


def _flat(config: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yield each value of a nested config with its dotted key."""
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
