"""A tracking server that goes away while a run logs: nothing is lost, or what is missing is said."""

import errno
import random
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


class Flaky:
    """A client that is away when told so, and keeps what it is given."""

    def __init__(self, away=False):
        self.away, self.asked, self.got, self.refuses = away, 0, [], {}

    def set_tag(self, run_id, key, value):
        self.asked += 1
        if self.away:
            raise TrackingError("away")
        if key in self.refuses:
            raise self.refuses[key]
        self.got.append((run_id, key, value))

    def get_run(self, run_id):
        return SimpleNamespace(data=SimpleNamespace(tags={}))

    def set_terminated(self, run_id, status, time):
        self.got.append((run_id, status, time))


@pytest.mark.parametrize("seed", range(5))
def test_writes_arrive_once_and_in_order_however_often_the_server_goes_away(tmp_path, monkeypatch, seed):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    client, rng = Flaky(), random.Random(seed)
    sent = Outbox(client, "r", tmp_path / "outbox" / "r")
    for number in range(50):
        client.away = rng.random() < 0.5
        if rng.random() < 0.1:  # the process died, and another runs it now
            sent = Outbox(client, "r", tmp_path / "outbox" / "r")
        sent.send(Write("tag", ["key", str(number)]))
    client.away = False
    sent.wait(0)
    assert client.got == [("r", "key", str(number)) for number in range(50)]
    assert list(tmp_path.iterdir()) == [], "an outbox that is empty leaves no folder"


def test_a_server_that_is_away_is_not_asked_at_every_write(tmp_path):
    client = Flaky(away=True)
    sent = Outbox(client, "r", tmp_path / "r")
    for number in range(20):
        sent.send(Write("tag", ["key", str(number)]))
    assert client.asked == 2, "the first write, and one attempt to send what waits; the next after 30 s"
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
def test_what_is_refused_waits_alone_and_the_end_waits_for_it(tmp_path, error):
    client = Flaky()
    client.refuses, sent = {"bad": error}, Outbox(client, "r", tmp_path / "outbox" / "r")
    for key in ("a", "bad", "b", "bad", "c"):
        sent.send(Write("tag", [key, key]))
    sent.send(Write("end", ["FINISHED", 0]))
    assert [key for _, key, _ in client.got] == ["a", "b", "c"], "the server is not away"
    with pytest.raises(TrackingError) as said:
        sent.wait(600)  # which it does not, because the server answers
    assert "run r is missing these 3 writes: tags, how it ended" in str(said.value)
    client.refuses = {}
    sent.wait(0)
    assert [key for _, key, _ in client.got] == ["a", "b", "c", "bad", "bad", "FINISHED"]
    assert list(tmp_path.iterdir()) == []


def logged(store, log) -> None:
    """A run that logs so."""
    with tracking.started(store, "a run", {}) as run:
        log(run)


def left(folder) -> str:
    """The id of the run whose writes wait."""
    (run,) = (folder / "outbox").iterdir()
    return run.name


def test_what_is_missing_is_said_and_can_be_sent_later(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)

    def log(run):
        run.metrics({"before": 1.0})
        server.stop()
        run.metrics({"while": 2.0}, step=3)
        run.text("a,b\n1,2\n", "tables/some.csv")

    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with pytest.raises(TrackingError) as said:
            logged(store, log)
        run, missing = left(tmp_path), str(said.value)
        assert f"run {run} is missing these 3 writes: metrics, tables/some.csv, how it ended" in missing
        assert f"python -m bench resend folder={tmp_path}/outbox" in missing

        server.start()
        assert store.client.get_run(run).info.status == "RUNNING"
        ended = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
        assert ended.code == 0
        assert ended.out.endswith(f"run {run}: sent 3 writes\n")
        there = store.client.get_run(run)
        assert there.info.status == "FINISHED"
        assert there.data.metrics == {"before": 1.0, "while": 2.0}
        assert records.table_of(store, run, "tables/some.csv").to_dict("list") == {"a": [1], "b": [2]}
        again = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
        assert_refused(again, f"folder: got {tmp_path}/outbox, which has no writes")


def test_resend_goes_on_behind_what_was_sent_before_the_server_went_away_again(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with tracking.started(store, "a run", {}) as run:
            run.metrics({"a": 1.0})
        kept, client = Outbox(Flaky(), run.id), store.client
        kept.client.away = True
        for number in range(3):
            kept.send(Write("tag", ["key", str(number)]))
        kept.waiting()[0].unlink()
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert client.get_run(run.id).data.tags["key"] == "2"
        assert not (tmp_path / "outbox").exists()


def test_resend_sends_what_is_of_this_server_and_names_what_is_of_another(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with tracking.started(store, "a run", {}) as run:
            run.metrics({"a": 1.0})
        for waits in ("0123", run.id):
            kept = Outbox(Flaky(away=True), waits)
            kept.send(Write("tag", ["key", "value"]))
        ended = command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests")
        assert ended.out.endswith(f"run {run.id}: sent 1 writes\n")
        assert_refused(ended._replace(out=""), "run: got 0123, wanted a run of http")
        assert store.client.get_run(run.id).data.tags["key"] == "value"
        assert [left.name for left in (tmp_path / "outbox").iterdir()] == ["0123"]


def test_a_run_goes_on_while_the_server_is_away_and_is_complete_when_it_is_back(tmp_path, monkeypatch):
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
        assert sorted(records.curve(store, run.id, "loss")) == [(step, 1.0 / (1 + step)) for step in range(30)]
        assert len(store.client.list_artifacts(run.id, "notes")) == 30
        assert not (tmp_path / "outbox").exists()


def test_a_run_that_fails_while_the_server_is_away_fails_for_its_own_reason(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)

    def log(run):
        server.stop()
        run.metrics({"bits": 1 / 0})

    with serving(tmp_path, monkeypatch) as server:
        store = connect(server.uri, "tests")
        with pytest.raises(ZeroDivisionError):
            logged(store, log)
        run = left(tmp_path)
        assert "is missing these 2 writes: traceback.txt, how it ended" in caplog.text
        server.start()
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert store.client.get_run(run).info.status == "FAILED"


def test_an_artifact_store_that_is_full_is_said_and_filled_up_later(tmp_path, monkeypatch):
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
            with pytest.raises(TrackingError) as said:
                logged(store, log)
        run = left(tmp_path)
        assert "500 error responses" in str(said.value)
        assert "is missing these 3 writes: layers.csv, metrics, how it ended" in str(said.value)
        assert "when the store answers and has space, run: python -m bench resend" in str(said.value)
        assert command(tmp_path, "resend", f"tracking.uri={server.uri}", "tracking.experiment=tests").code == 0
        assert store.client.get_run(run).data.metrics == {"before": 1.0, "after": 2.0}
        assert [found.path for found in store.client.list_artifacts(run)] == ["layers.csv"]


def no_space(*_, **__):
    raise OSError(errno.ENOSPC, "No space left on device")
