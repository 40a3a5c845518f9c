"""A tracking server that becomes unreachable while a run logs: no write is lost, or missing writes are reported."""

import errno
import random
import shlex
from types import SimpleNamespace

import pytest
from mlflow.exceptions import MlflowException
from mlflow.store.artifact.local_artifact_repo import LocalArtifactRepository
from running import assert_refused, command
from serving import serving

from bench import tracking
from bench.errors import InputError, TrackingError
from bench.tracking import records
from bench.tracking.offline import outbox
from bench.tracking.offline.outbox import Outbox, Write
from bench.tracking.store import connect


class UnreliableClient:
    """Client that can be unreachable or refuse keys, and stores the writes that it receives."""

    def __init__(self, unreachable=False):
        self.unreachable, self.requests, self.received, self.refuses = unreachable, 0, [], {}

    def set_tag(self, run_id, key, value):
        self.requests += 1
        if self.unreachable:
            raise TrackingError("unreachable")
        if key in self.refuses:
            raise self.refuses[key]
        self.received.append((run_id, key, value))

    def get_run(self, run_id):
        return SimpleNamespace(data=SimpleNamespace(tags={}))

    def set_terminated(self, run_id, status, time):
        self.received.append((run_id, status, time))


@pytest.mark.parametrize("seed", range(5))
def test_writes_arrive_once_and_in_order_despite_outages(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    client, rng = UnreliableClient(), random.Random(seed)
    sent = Outbox(client, "r", tmp_path / "outbox" / "r")
    for number in range(50):
        client.unreachable = rng.random() < 0.5
        if rng.random() < 0.1:  # the process terminated, and another one continues
            sent = Outbox(client, "r", tmp_path / "outbox" / "r")
        sent.send(Write("tag", ["key", str(number)]))
    client.unreachable = False
    sent.wait(0)
    assert client.received == [("r", "key", str(number)) for number in range(50)]
    assert list(tmp_path.iterdir()) == [], "an outbox that is empty leaves no folder"


def test_an_unreachable_server_is_not_contacted_for_every_write(tmp_path):
    client = UnreliableClient(unreachable=True)
    sent = Outbox(client, "r", tmp_path / "r")
    for number in range(20):
        sent.send(Write("tag", ["key", str(number)]))
    assert client.requests == 2, "the first write, and one attempt to send the waiting ones; the next one after 30 s"
    assert len(sent.waiting()) == 20


@pytest.mark.parametrize(
    "error",
    [
        MlflowException("no such run"),
        InputError("tracking.uri: got http://x, which requires a valid user and password"),
        OSError(errno.EDQUOT, "Disk quota exceeded"),
        RuntimeError("of a store of artifacts"),
    ],
)
def test_only_refused_writes_and_the_end_of_the_run_wait(tmp_path, error):
    client = UnreliableClient()
    client.refuses, sent = {"bad": error}, Outbox(client, "r", tmp_path / "outbox" / "r")
    for key in ("a", "bad", "b", "bad", "c"):
        sent.send(Write("tag", [key, key]))
    sent.send(Write("end", ["FINISHED", 0]))
    assert [key for _, key, _ in client.received] == ["a", "b", "c"], "the server is reachable"
    with pytest.raises(TrackingError) as raised:
        sent.wait(600)  # it does not wait, because the server responds
    assert "run r is missing these 3 writes: tags, how it ended" in str(raised.value)
    client.refuses = {}
    sent.wait(0)
    assert [key for _, key, _ in client.received] == ["a", "b", "c", "bad", "bad", "FINISHED"]
    assert list(tmp_path.iterdir()) == []


def start_and_log(store, log) -> None:
    """Start a run and call log(run)."""
    with tracking.started(store, "a run", {}) as run:
        log(run)


def waiting_run(folder) -> str:
    """Return the id of the only run with waiting writes."""
    (run,) = (folder / "outbox").iterdir()
    return run.name


def test_missing_writes_are_reported_and_can_be_sent_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)

    def log(run):
        run.metrics({"before": 1.0})
        server.stop()
        run.metrics({"while": 2.0}, step=3)
        run.text("a,b\n1,2\n", "tables/some.csv")

    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with pytest.raises(TrackingError) as error:
            start_and_log(store, log)
        run, missing = waiting_run(tmp_path), str(error.value)
        assert f"run {run} is missing these 3 writes: metrics, tables/some.csv, how it ended" in missing
        assert f"python -m bench resend folder={tmp_path}/outbox" in missing

        server.start()
        assert store.client.get_run(run).info.status == "RUNNING"
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        ended = command(elsewhere, *shlex.split(missing.partition("python -m bench ")[2]))  # as the message says
        assert ended.code == 0
        assert not [*elsewhere.iterdir()]
        assert ended.out.endswith(f"run {run}: sent 3 writes\n")
        stored = store.client.get_run(run)
        assert stored.info.status == "FINISHED"
        assert stored.data.metrics == {"before": 1.0, "while": 2.0}
        assert records.table_of(store, run, "tables/some.csv").to_dict("list") == {"a": [1], "b": [2]}
        again = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
        assert_refused(again, f"folder: got {tmp_path}/outbox, which has no writes")


def test_resend_continues_after_the_writes_that_were_sent_before(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with tracking.started(store, "a run", {}) as run:
            run.metrics({"a": 1.0})
        kept, client = Outbox(UnreliableClient(), run.id), store.client
        kept.client.unreachable = True
        for number in range(3):
            kept.send(Write("tag", ["key", str(number)]))
        kept.waiting()[0].unlink()
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert client.get_run(run.id).data.tags["key"] == "2"
        assert not (tmp_path / "outbox").exists()


def test_resend_sends_writes_of_this_server_and_names_those_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with tracking.started(store, "a run", {}) as run:
            run.metrics({"a": 1.0})
        for waiting_id in ("0123", run.id):
            kept = Outbox(UnreliableClient(unreachable=True), waiting_id)
            kept.send(Write("tag", ["key", "value"]))
        ended = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
        assert ended.out.endswith(f"run {run.id}: sent 1 writes\n")
        assert_refused(ended._replace(out=""), "run: got 0123, wanted a run of http")
        assert store.client.get_run(run.id).data.tags["key"] == "value"
        assert [waiting_run.name for waiting_run in (tmp_path / "outbox").iterdir()] == ["0123"]


def test_a_run_continues_during_an_outage_and_is_complete_afterwards(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(outbox, "AGAIN", 0)
    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with tracking.started(store, "a run", {}) as run:
            for step in range(30):
                if step in (5, 20):
                    server.stop()
                if step in (11, 27):
                    server.start()
                run.metrics({"loss": 1.0 / (1 + step)}, step)
                run.text(str(step), f"notes/{step}.txt")
        assert store.client.get_run(run.id).info.status == "FINISHED"
        logged = [(step, float(f"{1 / (1 + step):.7g}")) for step in range(30)]  # 7 digits
        assert sorted(records.curve(store, run.id, "loss")) == logged
        assert len(store.client.list_artifacts(run.id, "notes")) == 30
        assert not (tmp_path / "outbox").exists()


def test_a_run_that_fails_during_an_outage_raises_its_own_error(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)

    def log(run):
        server.stop()
        run.metrics({"bits": 1 / 0})

    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with pytest.raises(ZeroDivisionError):
            start_and_log(store, log)
        run = waiting_run(tmp_path)
        assert "is missing these 2 writes: traceback.txt, how it ended" in caplog.text
        server.start()
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert store.client.get_run(run).info.status == "FAILED"


def test_a_full_artifact_store_is_reported_and_completed_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)

    def log(run):
        run.metrics({"before": 1.0})
        run.text("a,b\n", "layers.csv")
        run.metrics({"after": 2.0})

    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with monkeypatch.context() as full:
            full.setattr(LocalArtifactRepository, "log_artifact_from_stream", no_space)
            with pytest.raises(TrackingError) as error:
                start_and_log(store, log)
        run = waiting_run(tmp_path)
        assert "500 error responses" in str(error.value)
        assert "is missing these 3 writes: layers.csv, metrics, how it ended" in str(error.value)
        assert "when the store answers and has space, run: python -m bench resend" in str(error.value)
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert store.client.get_run(run).data.metrics == {"before": 1.0, "after": 2.0}
        assert [found.path for found in store.client.list_artifacts(run)] == ["layers.csv"]


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")
