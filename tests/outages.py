"""Runs for tests whose store takes nothing for a while, and what is sent of them later."""

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
def away():
    """Within: no write arrives, nor how a run ended."""

    def fail(*_):
        raise TrackingError("away")

    with pytest.MonkeyPatch.context() as broken:
        broken.setattr(Write, "deliver", fail)
        broken.setattr(outbox, "end", fail)
        yield


def cut_off(store, parent=None, once=True, error=None):
    """A run of which all that it logged waits; error: that ended it."""
    runs = []

    def attempt():
        with tracking.started(store, "a run", TAGS, parent, once) as run:
            runs.append(run)
            for step in range(3):
                run.metrics({"loss": 1.0}, step)
            run.text("a,b\n1,2\n", "layers.csv")
            if error:
                raise error

    with away(), pytest.raises(type(error) if error else TrackingError):
        attempt()
    return runs[0]


def said_of(store, log) -> tuple[str, str]:
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
    """The same job, done."""
    with tracking.started(store, "a run", TAGS, parent, once=True) as run:
        run.text("a,b\n1,2\n", "layers.csv")
    return run


def resend(tmp_path):
    return command(tmp_path, "resend", f"tracking.uri={uri(tmp_path)}", "tracking.experiment=tests")


def status(store, run):
    return store.client.get_run(run.id).info.status


def steps(store, run):
    return sorted(step for step, _ in records.curve(store, run.id, "loss"))
