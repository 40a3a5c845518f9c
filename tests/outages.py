"""Helpers for tests: runs whose store is unreachable for a while, and sending their writes later."""

from contextlib import contextmanager

import pytest
from running import command, uri

from bench import tracking
from bench.errors import TrackingError
from bench.tracking import records
from bench.tracking.offline import outbox
from bench.tracking.offline.writes import Write

TAGS = {tracking.FINGERPRINT: "abc", tracking.DESIGN: "a design"}


@contextmanager
def unreachable_store():
    """Make the store unreachable: no write arrives, and no end of a run."""

    def fail(*_):
        raise TrackingError("away")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Write, "deliver", fail)
        broken.setattr(outbox, "end", fail)
        yield


def run_without_store(store, parent=None, once=True, error=None):
    """Return a run whose writes all wait in the outbox. If `error` is given, the run raises it at its end."""
    runs = []

    def attempt():
        with tracking.started(store, "a run", TAGS, parent, once) as run:
            runs.append(run)
            for step in range(3):
                run.metrics({"loss": 1.0}, step)
            run.text("a,b\n1,2\n", "layers.csv")
            if error:
                raise error

    with unreachable_store(), pytest.raises(type(error) if error else TrackingError):
        attempt()
    return runs[0]


def tracking_error_of(store, log) -> tuple[str, str]:
    """Call log(run) on a new run, some of whose writes fail; return its id and the message of its TrackingError."""
    runs = []

    def attempt():
        with tracking.started(store, "a run", {}) as run:
            runs.append(run.id)
            log(run)

    with pytest.raises(TrackingError) as said:
        attempt()
    return runs[0], str(said.value)


def finished(store, parent=None):
    """Run the same job with a reachable store; return its run."""
    with tracking.started(store, "a run", TAGS, parent, once=True) as run:
        run.text("a,b\n1,2\n", "layers.csv")
    return run


def resend(tmp_path):
    return command(tmp_path, "resend", f"tracking.uri={uri(tmp_path)}", "tracking.experiment=tests")


def status(store, run):
    return store.client.get_run(run.id).info.status


def steps(store, run):
    return sorted(step for step, _ in records.curve(store, run.id, "loss"))
