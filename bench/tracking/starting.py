"""Starting: create a run in MLflow, or continue one whose process has ended."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from mlflow.entities import RunStatus
from mlflow.tracking.context.registry import resolve_tags
from mlflow.utils.mlflow_tags import MLFLOW_PARENT_RUN_ID

from bench.errors import InputError
from bench.tracking import views
from bench.tracking.addresses import refuse_strange, without_password
from bench.tracking.offline.heartbeat import OWNER, owner_tags
from bench.tracking.offline.writes import FINGERPRINT
from bench.tracking.remote import reason_of
from bench.tracking.runs import SWEEP, Run, ended
from bench.tracking.store import Store


def create(store: Store, name: str, tags: dict[str, str], parent: str | None = None, once: bool = False) -> Run:
    """Create a run, which the caller ends with `ended`.

    Args:
        store: The tracking store.
        name: Name of the run.
        tags: Tags of the run.
        parent: Id of the parent run in a sweep.
        once: If another run has finished the same job, this run does not end as FINISHED.

    Raises:
        InputError: The store does not accept the run, or the location of its files is not allowed.
    """
    owner = owner_tags()
    links = {MLFLOW_PARENT_RUN_ID: parent, SWEEP: parent} if parent else {}
    tags = resolve_tags(
        {views.KIND: views.RUN} | tags | owner | links
    )  # adds user, source, commit and the address of the repository
    tags = {key: without_password(value) for key, value in tags.items()}
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
    """Create a run and end it with this context, see `create` and `ended`."""
    with ended(create(store, name, tags, parent, once)) as run:
        yield run


def resume(store: Store, run_id: str, once: str | None = None) -> Run:
    """Continue a run whose process has ended. The caller ends it with `ended`.

    Args:
        store: The tracking store.
        run_id: Id of the run.
        once: Fingerprint of a job that counts once, see `writes.end`.

    Raises:
        InputError: The store does not accept the changes.
    """
    owner = owner_tags()
    run = Run(store, run_id, owner[OWNER], once)
    with begun(store):
        for key, value in owner.items():
            run.tag(key, value)
        store.client.update_run(run_id, status=RunStatus.to_string(RunStatus.RUNNING))
    return run


@contextmanager
def resumed(store: Store, run_id: str) -> Iterator[Run]:
    """Continue a run whose process has ended, and end it with this context."""
    with ended(resume(store, run_id)) as run:
        yield run


@contextmanager
def begun(store: Store) -> Iterator[None]:
    """Turn an error of a store that does not accept a new run into InputError."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # stores raise errors of any kind; they refuse the run here, before any computation
        raise InputError(
            f"tracking.uri: got {store.uri}, wanted a store that accepts a new run ({reason_of(error)}); "
            "check that it answers, has free space and is writable"
        ) from error
