"""Listing: read a few fields of many runs at once, and tag many runs.

A search of MLflow reads all metrics, parameters and tags of the runs that it finds, which takes seconds for some
hundred runs. From a database, these functions read only the tags and metrics that are asked for, by one query for each
kind. A server has no such request. Its runs are read in pages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial

import sqlalchemy as sa
from mlflow.entities import LifecycleStage, Run
from mlflow.store.tracking.dbmodels.models import SqlLatestMetric, SqlRun, SqlTag

from bench.tracking.store import Store

PAGE, OLDEST = 1000, ["attributes.start_time ASC"]  # runs per request, and their order


@dataclass(frozen=True)
class Listed:
    """Fields of a run.

    Attributes:
        id: Id of the run.
        name: Name of the run.
        status: Status of the run, such as `FINISHED`.
        start: Start of the run in ms since 1970.
        end: End of the run in ms since 1970, or None.
        tags: The requested tags that the run has.
        metrics: The last values of the requested metrics that the run has.
    """

    id: str
    name: str
    status: str
    start: int
    end: int | None
    tags: dict[str, str] = field(default_factory=dict)
    metrics: dict[str, float] = field(default_factory=dict)


def list_runs(
    store: Store,
    tag: tuple[str, str] | None = None,
    status: str | None = None,
    *,
    tags: Sequence[str] = (),
    metrics: Sequence[str] = (),
) -> list[Listed]:
    """List the runs of a store's experiments, oldest first.

    Args:
        store: Store with the experiments.
        tag: Name and value of a tag that the runs must have. None takes all runs.
        status: Status that the runs must have. None takes any.
        tags: Names of the tags to read.
        metrics: Names of the metrics to read.
    """
    chosen: sa.Select = sa.select(SqlRun.run_uuid).where(
        SqlRun.experiment_id.in_(map(int, store.experiment_ids)), SqlRun.lifecycle_stage == LifecycleStage.ACTIVE
    )
    if tag:
        chosen = chosen.join(SqlTag).where(SqlTag.key == tag[0], SqlTag.value == tag[1])
    if status:
        chosen = chosen.where(SqlRun.status == status)
    found = store.client.execute(
        sa.select(SqlRun.run_uuid, SqlRun.name, SqlRun.status, SqlRun.start_time, SqlRun.end_time)
        .where(SqlRun.run_uuid.in_(chosen))
        .order_by(SqlRun.start_time, SqlRun.run_uuid),
        sa.select(SqlTag.run_uuid, SqlTag.key, SqlTag.value).where(SqlTag.key.in_(tags), SqlTag.run_uuid.in_(chosen)),
        sa.select(SqlLatestMetric.run_uuid, SqlLatestMetric.key, SqlLatestMetric.value, SqlLatestMetric.is_nan).where(
            SqlLatestMetric.key.in_(metrics), SqlLatestMetric.run_uuid.in_(chosen)
        ),
    )
    if found is None:
        terms = [f"tags.{tag[0]} = '{tag[1]}'"] if tag else []
        terms += [f"attributes.status = '{status}'"] if status else []
        return [_select(run, tags, metrics) for run in search(store, " and ".join(terms))]
    runs = {run: Listed(run, *rest) for run, *rest in found[0]}
    for run, key, value in found[1]:
        if run in runs:  # otherwise it began between the queries
            runs[run].tags[key] = value
    for run, key, value, is_nan in found[2]:
        if run in runs:
            runs[run].metrics[key] = float("nan") if is_nan else value
    return list(runs.values())


def status_of(store: Store, run_id: str) -> str | None:
    """Return the status of a run from a database, or None from a server or if there is no such run."""
    found = store.client.execute(sa.select(SqlRun.status).where(SqlRun.run_uuid == run_id))
    return found[0][0].status if found and found[0] else None


def tag_runs(store: Store, key: str, values: Mapping[str, str]) -> None:
    """Set a tag of many runs.

    Args:
        store: The tracking store.
        key: Name of the tag.
        values: Values by the ids of the runs.
    """
    items = list(values.items())
    for first in range(0, len(items), PAGE):
        page = items[first : first + PAGE]
        rows = [{"run_uuid": run, "key": key, "value": value} for run, value in page]
        former = sa.delete(SqlTag).where(SqlTag.key == key, SqlTag.run_uuid.in_([run for run, _ in page]))
        if store.client.execute(former, sa.insert(SqlTag).values(rows)) is None:
            for run, value in page:
                store.client.set_tag(run, key, value)


def search(store: Store, query: str) -> list[Run]:
    """Find all runs that match a query, oldest first. A run that begins between two requests comes last."""
    search = partial(store.client.search_runs, [*store.experiment_ids], query, max_results=PAGE, order_by=OLDEST)
    runs = page = search()
    while page.token:
        page = search(page_token=page.token)
        runs = runs + page
    return list(runs)


def _select(run: Run, tags: Iterable[str], metrics: Iterable[str]) -> Listed:
    """Return the requested fields of a run that was read as a whole."""
    info, data = run.info, run.data
    return Listed(
        info.run_id, info.run_name, info.status, info.start_time, info.end_time,
        {key: data.tags[key] for key in tags if key in data.tags},
        {key: data.metrics[key] for key in metrics if key in data.metrics},
    )  # fmt: skip
