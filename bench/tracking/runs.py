"""Runs: a run, its files and its end, in MLflow."""

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

import pandas as pd
import torch
from matplotlib.figure import Figure
from matplotlib.text import Text
from mlflow.data.code_dataset_source import CodeDatasetSource
from mlflow.data.meta_dataset import MetaDataset
from mlflow.entities import RunStatus
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID
from omegaconf import DictConfig, OmegaConf

from bench.datasets.data import Data
from bench.errors import InputError, TrackingError
from bench.tracking.addresses import refuse_strange, shown
from bench.tracking.offline.heartbeat import OWNER, beating, owner_tags
from bench.tracking.offline.outbox import Outbox, is_stopping
from bench.tracking.offline.writes import FINGERPRINT, Write
from bench.tracking.remote import reason_of
from bench.tracking.store import Store

PER_REQUEST = 100
PATIENCE = 600  # seconds that a run which is through waits for a server that is away
DESIGN, SWEEP, REUSED = "design", "sweep", "reused."

log = logging.getLogger(__name__)


class Run:
    """One tracked run: what is logged lands at once, so that a run that dies keeps it.

    owner: the tag of the process that does it. once: the fingerprint of a job that counts once, see `writes.end`.
    """

    def __init__(self, store: Store, run_id: str, owner: str | None = None, once: str | None = None):
        self.store = store
        self.id = run_id
        self.owner = owner
        self.once = once
        self._send: Callable[[Write], None] = lambda write: write.deliver(store.client, run_id)

    def metrics(self, values: dict[str, float], step: int = 0) -> None:
        """Log finite values in one request per 100; a value that is not finite has no place in a chart."""
        self.curves([(key, value, step) for key, value in values.items()])

    def curves(self, points: list[tuple[str, float, int]]) -> None:
        """Log (key, value, step) points."""
        now = _now()
        finite = [[key, float(value), now, int(step)] for key, value, step in points if math.isfinite(value)]
        self._in_batches("metrics", finite)

    def config(self, config: DictConfig) -> None:
        """The composed config, as a file that rebuilds the run and as flattened parameters."""
        self.text(OmegaConf.to_yaml(config, resolve=True), "config.yaml")
        flat = _flat(OmegaConf.to_container(config, resolve=True))
        self._in_batches("params", [[key, str(value)] for key, value in flat])

    def param(self, key: str, value: str) -> None:
        self._send(Write("params", [[key, value]]))

    def tag(self, key: str, value: str) -> None:
        self._send(Write("tag", [key, value]))

    def dataset(self, data: Data) -> None:
        card = data.card()
        source = CodeDatasetSource(tags={"card": json.dumps(card)})
        dataset = MetaDataset(source, name=data.name, digest=card["fingerprint"])
        self._send(Write("input", [dataset._to_mlflow_entity().to_dictionary(), "train, val, test"]))
        self.text(json.dumps(card, indent=2), "dataset.json")

    def text(self, text: str, path: str) -> None:
        self.file(text.encode(), path)

    def file(self, content: bytes, path: str) -> None:
        self._send(Write("artifact", [path], content))

    def table(self, frame: pd.DataFrame, path: str) -> None:
        self.text(frame.to_csv(index=False), path)

    def figure(self, figure: Figure, path: str) -> None:
        self.file(png(figure), path)

    def findings(self, findings) -> None:
        """What a diagnostic found: metrics and curves, tables/*.csv and figures/*.png."""
        self.metrics(findings.metrics)
        self.curves(findings.curves)
        for name, frame in findings.tables.items():
            self.table(frame, f"tables/{name}.csv")
        for name, figure in findings.figures.items():
            self.figure(figure, f"figures/{name}.png")

    def weights(self, state: dict[str, torch.Tensor]) -> None:
        saved = io.BytesIO()
        torch.save({name: tensor.cpu() for name, tensor in state.items()}, saved)
        self.file(saved.getvalue(), "weights.pt")

    def end(self, status: int) -> None:
        self._send(Write("end", [RunStatus.to_string(status), _now(), self.owner, self.once]))

    def _in_batches(self, kind: str, items: list) -> None:
        for first in range(0, len(items), PER_REQUEST):
            self._send(Write(kind, items[first : first + PER_REQUEST]))

    @contextmanager
    def patient(self) -> Iterator[Outbox]:
        """Within: what the store does not take waits in files. The run gets a final status, even if files wait."""
        outbox, at_once = Outbox(self.store.client, self.id, uri=self.store.uri), self._send
        self._send = outbox.send
        try:
            yield outbox
        finally:
            self._send = at_once
            outbox.tell()


def png(figure: Figure) -> bytes:
    """Return a figure as it is logged. A $ in the name of a design or a class does not begin a formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=120, bbox_inches="tight")
    return drawn.getvalue()


def create(store: Store, name: str, tags: dict[str, str], parent: str | None = None, once: bool = False) -> Run:
    """Create a run that is to be `ended`; once: not FINISHED where another run has finished the same job."""
    owner = owner_tags()
    tags = resolve_tags(
        tags | owner | ({MLFLOW_PARENT_RUN_ID: parent, SWEEP: parent} if parent else {})
    )  # user, source, commit
    tags = {key: shown(value) for key, value in tags.items()}  # the repository's address may hold a token
    with begun(store):
        made = store.client.create_run(store.experiment_id, tags=tags, run_name=name).info
    try:
        refuse_strange(store.uri, made.artifact_uri or "")
    except InputError:
        store.client.set_terminated(made.run_id, RunStatus.to_string(RunStatus.FAILED))
        raise
    return Run(store, made.run_id, owner[OWNER], tags[FINGERPRINT] if once else None)


@contextmanager
def started(
    store: Store, name: str, tags: dict[str, str], parent: str | None = None, once: bool = False
) -> Iterator[Run]:
    """Create a run, `ended` as what is within ends."""
    with ended(create(store, name, tags, parent, once)) as run:
        yield run


@contextmanager
def taken_up(store: Store, run_id: str) -> Iterator[Run]:
    """A run whose process is gone, done by this one from here on."""
    owner = owner_tags()
    run = Run(store, run_id, owner[OWNER])
    with begun(store):
        store.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
        for key, value in owner.items():
            run.tag(key, value)
    with ended(run):
        yield run


@contextmanager
def begun(store: Store) -> Iterator[None]:
    """Within: a run begins; InputError where the store does not take it."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # of whatever kind: a store of any kind refuses it here, before anything is computed
        raise InputError(
            f"tracking.uri: got {store.uri}, wanted a store that takes a new run ({reason_of(error)}); "
            "see that it answers, has room and may be written"
        ) from error


@contextmanager
def ended(run: Run) -> Iterator[Run]:
    """Within: a run that beats; it ends FINISHED, KILLED on Ctrl-C, or FAILED with its traceback as an artifact.

    Raises TrackingError where the run finished and something that it logged did not arrive.
    """
    with run.patient() as outbox:
        try:
            with beating(partial(run.store.client.set_tag, run.id)):
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
    return int(1000 * time.time())


def _flat(config: dict, prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in config.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
