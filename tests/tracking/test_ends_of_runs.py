"""The end of a run: finished, failed with its traceback, or killed by a signal."""

import signal
from pathlib import Path

import pytest
from mlflow import MlflowClient

from bench import tracking
from bench.tracking.offline.outbox import Outbox


def test_a_run_that_ends_normally_is_finished(store):
    with tracking.started(store, "fine", {"colour": "blue"}, parent=None) as run:
        assert run.store.client.get_run(run.id).info.status == "RUNNING"
    assert run.store.client.get_run(run.id).info.status == "FINISHED"
    assert run.store.client.get_run(run.id).info.run_name == "fine"
    assert run.store.client.get_run(run.id).data.tags["colour"] == "blue"
    assert tracking.SWEEP not in run.store.client.get_run(run.id).data.tags


def measure_and_fail(run, error):
    run.metrics({"measured": 2.0})
    raise error


@pytest.mark.parametrize(
    ("error", "status"), [(ValueError("boom"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(3), "KILLED")]
)
def test_a_run_that_fails_is_marked_and_has_its_traceback(store, tmp_path, error, status):
    with pytest.raises(type(error)), tracking.started(store, "dies", {}, None) as run:
        measure_and_fail(run, error)
    assert run.store.client.get_run(run.id).info.status == status
    assert run.store.client.get_run(run.id).data.metrics == {"measured": 2.0}
    traceback = Path(store.client.download_artifacts(run.id, "traceback.txt", str(tmp_path))).read_text()
    assert "Traceback (most recent call last)" in traceback
    assert type(error).__name__ in traceback


def test_a_run_raises_its_own_error_if_its_traceback_cannot_be_stored(store, monkeypatch, tmp_path):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(MlflowClient, "log_artifact", full)
    with pytest.raises(ValueError, match="boom"), tracking.started(store, "dies", {}, None) as run:
        raise ValueError("boom")
    assert run.store.client.get_run(run.id).info.status == "FAILED"
    assert (
        Outbox(store.client, run.id).kept.names(Outbox(store.client, run.id).waiting()) == "traceback.txt, how it ended"
    )


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_until_a_write_is_done(store, monkeypatch, sent):
    written, log_batch = [], store.client.log_batch

    def interrupted(*arguments, **options):
        signal.raise_signal(sent)
        written.append(log_batch(*arguments, **options))

    monkeypatch.setattr(store.client._client, "log_batch", interrupted)
    before = signal.signal(sent, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), tracking.started(store, "stopped", {}) as run:
            run.metrics({"a": 1.0})
        assert signal.getsignal(sent) is signal.default_int_handler
    finally:
        signal.signal(sent, before)
    stopped = store.client.get_run(run.id)
    assert len(written) == 1
    assert stopped.data.metrics == {"a": 1.0}
    assert stopped.info.status == "KILLED"
