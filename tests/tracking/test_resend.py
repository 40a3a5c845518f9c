"""`resend` beside living runs, other resends, damaged files, and jobs that were done again."""

import json
import multiprocessing
import os
import signal
import socket
import threading
from contextlib import contextmanager
from pathlib import Path

import pytest
from running import assert_refused, command, uri, with_store

from bench import tracking
from bench.errors import TrackingError
from bench.sweeps import jobs
from bench.tracking import outbox, records
from bench.tracking.heartbeat import OWNER
from bench.tracking.outbox import Outbox
from bench.tracking.store import connect
from bench.tracking.writes import Write

TAGS = {tracking.FINGERPRINT: "abc", tracking.DESIGN: "a design"}


@pytest.fixture
def store(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(tracking.runs, "PATIENCE", 0)
    return connect(uri(with_store(tmp_path)), "tests")


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


def test_a_living_run_is_refused_and_sends_all_by_itself(store, tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    with tracking.started(store, "a run", {}) as run:
        for step in range(30):
            if step % 10 < 5:
                with away():
                    run.metrics({"loss": 1.0}, step)
            else:
                run.metrics({"loss": 1.0}, step)
            if step % 10 == 3:
                owner = f"process {os.getpid()} on {socket.gethostname()}"
                assert_refused(resend(tmp_path), f"run {run.id}: {owner} goes on with it and sends what waits")
    assert steps(store, run) == [*range(30)]
    assert status(store, run) == "FINISHED"
    assert not (tmp_path / "outbox").exists()


def test_of_two_at_once_the_second_is_refused(store, tmp_path):
    run = cut_off(store)
    with Outbox(store.client, run.id).kept.locked():
        refused = resend(tmp_path)
    assert_refused(refused, f"run {run.id}: another process adds to {tmp_path}/outbox/{run.id} or sends from it")
    assert resend(tmp_path).out.endswith(f"\nrun {run.id}: sent 5 writes\n")
    assert status(store, run) == "FINISHED"


def test_a_run_that_adds_while_another_process_sends_loses_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(outbox, "AGAIN", 0)
    got, folder = [], tmp_path / "outbox" / "r"

    class Client:
        def set_tag(self, _, key, value):
            if threading.current_thread() is threading.main_thread() and len(got) < 200:
                raise TrackingError("away")
            got.append(int(value))

    def send():
        while len(got) < 250:
            Outbox(Client(), "r", folder).flush()

    other = threading.Thread(target=send)
    run = Outbox(Client(), "r", folder)
    other.start()
    for number in range(300):
        run.send(Write("tag", ["key", str(number)]))
    run.wait(60)
    other.join()
    assert sorted(got) == [*range(300)]
    assert not folder.exists()


def half(path):
    path.write_text(path.read_text()[:7])


def no_content(path):
    path.with_suffix(".bin").unlink()


def folder_instead(path):
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    "damage",
    [
        half,
        no_content,
        folder_instead,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"\xff\xfe\0"),
        lambda path: path.write_text('{"kind": "metrics"}'),
        lambda path: path.write_text('["metrics", {}]'),
        lambda path: path.write_text('["remove", ["all"]]'),
        lambda path: path.write_text("null"),
    ],
)
def test_a_damaged_file_is_named_and_the_others_are_sent(store, tmp_path, damage):
    run = cut_off(store)
    second = sorted((tmp_path / "outbox" / run.id).glob("*.json"))[1]
    damage(second)
    ended = resend(tmp_path)
    assert ended.code == 1
    assert f"{second} is damaged (" in ended.err
    assert f"of run {run.id} these 2 writes are missing there: " in ended.err
    assert ended.err.count("\n") == 1
    assert steps(store, run) == [0, 2]
    assert [info.path for info in store.client.list_artifacts(run.id)] == ["layers.csv"]
    assert second.exists()
    assert status(store, run) != "FINISHED", "something is missing"
    second.rmdir() if second.is_dir() else second.unlink()
    assert resend(tmp_path).code == 0
    assert status(store, run) == "FINISHED"
    assert not (tmp_path / "outbox").exists()


def test_one_damaged_run_leaves_the_others(store, tmp_path):
    first, second = cut_off(store, once=False), cut_off(store, once=False)
    for path in sorted((tmp_path / "outbox" / first.id).glob("*.json"))[:-1]:
        path.write_text("")
    ended = resend(tmp_path)
    assert ended.code == 1
    assert "000000.json, 000001.json, 000002.json, 000003.json, how it ended" in ended.err
    assert ended.out.endswith(f"\nrun {second.id}: sent 5 writes\n")
    assert status(store, second) == "FINISHED"


def test_a_job_done_again_while_its_first_attempt_waits_counts_once(store, tmp_path):
    with tracking.started(store, "sweep", {tracking.SWEEP: "parent"}) as parent:
        first = cut_off(store, parent.id)
        store.client.set_terminated(first.id, "KILLED")  # as the next attempt does, which finds nobody alive
        again = finished(store, parent.id)
        assert resend(tmp_path).code == 0
        assert [status(store, run) for run in (first, again)] == ["KILLED", "FINISHED"]
        assert store.client.get_run(first.id).data.tags["superseded"] == again.id
        assert steps(store, first) == [0, 1, 2], "what it had logged is kept"
        assert jobs.of_sweep(store, parent.id) == {again.id: "a design"}


def test_a_job_sent_again_while_it_is_redone_counts_once(store, tmp_path):
    first = cut_off(store)
    with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}, once=True) as again:
        assert resend(tmp_path).code == 0
    assert [status(store, run) for run in (first, again)] == ["FINISHED", "KILLED"]


def test_a_job_that_may_be_done_twice_is(store):
    runs = []
    for _ in range(2):
        with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}) as run:
            runs.append(run)
    assert [status(store, run) for run in runs] == ["FINISHED", "FINISHED"]


def test_a_process_that_was_stopped_and_replaced_does_not_count(store, caplog):
    with tracking.started(store, "a run", {tracking.FINGERPRINT: "abc"}, once=True) as stopped:
        store.client.set_terminated(stopped.id, "KILLED")  # its beats were missed
        again = finished(store)
    assert [status(store, run) for run in (stopped, again)] == ["KILLED", "FINISHED"]
    assert f"run {stopped.id} ends KILLED and not FINISHED: run {again.id} has finished the same job" in caplog.text


def of_another_process(store, run):
    owner = json.dumps({"host": "elsewhere", "pid": 7, "since": 0.0})
    store.client.set_tag(run.id, OWNER, owner)


def test_a_run_that_another_process_took_over_is_not_ended(store, caplog):
    with tracking.started(store, "sweep", {}) as run:
        of_another_process(store, run)
    assert status(store, run) == "RUNNING"
    assert f"run {run.id} is not ended here: process 7 on elsewhere goes on with it" in caplog.text


def test_what_waits_of_a_run_that_another_process_took_over_is_not_sent(store, tmp_path):
    run = cut_off(store)
    of_another_process(store, run)
    assert_refused(resend(tmp_path), f"run {run.id}: process 7 on elsewhere has taken it over", "delete that folder")
    assert len(list((tmp_path / "outbox" / run.id).glob("*.json"))) == 5
    assert status(store, run) == "RUNNING"


def test_a_run_whose_process_was_killed_is_marked_after_its_writes(store, tmp_path):
    run = cut_off(store)
    *_, end = sorted((tmp_path / "outbox" / run.id).glob("*.json"))
    end.unlink()
    store.client.set_tag(run.id, OWNER, json.dumps({"host": socket.gethostname(), "pid": 2**22 + 1, "since": 0.0}))
    assert resend(tmp_path).code == 0
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "KILLED"


def test_a_run_that_failed_ends_so(store, tmp_path):
    run = cut_off(store, error=ValueError("boom"))
    assert resend(tmp_path).code == 0
    assert status(store, run) == "FAILED"
    assert {info.path for info in store.client.list_artifacts(run.id)} == {"layers.csv", "traceback.txt"}


@pytest.mark.parametrize("step", range(1, 16))
def test_killed_at_any_step_of_keeping_or_sending(tmp_path, step):
    """What was kept whole arrives, in its order; sent twice it does no harm."""
    folder, arrived = tmp_path / "outbox" / "r", tmp_path / "arrived"

    class Client:
        def set_tag(self, _, key, value):
            with arrived.open("a") as file:
                file.write(f"{value}\n")

    def killed():
        left = iter(range(step - 1, -1, -1))
        for name in ("write_bytes", "write_text", "rename", "unlink", "rmdir"):
            method = getattr(Path, name)

            def operation(*arguments, method=method, **options):
                if next(left, None) == 0:
                    os.kill(os.getpid(), signal.SIGKILL)
                return method(*arguments, **options)

            setattr(Path, name, operation)
        kept = Outbox(Client(), "r", folder)
        for number in range(2):
            kept.kept.add(Write("tag", ["key", str(number)]))
        kept.flush()
        os._exit(0)

    process = multiprocessing.get_context("fork").Process(target=killed)
    process.start()
    process.join(60)
    whole = len(list(folder.glob("*.json")))
    assert Outbox(Client(), "r", folder).flush()
    numbers = arrived.read_text().split() if arrived.exists() else []
    assert list(dict.fromkeys(numbers)) == ["0", "1"][: len(set(numbers))]
    assert len(set(numbers)) >= whole
    assert not list(folder.glob("*.json"))


def test_where_files_can_not_be_written_writes_are_held_and_sent(store, tmp_path, caplog):
    (tmp_path / "outbox").write_text("a file")
    with tracking.started(store, "a run", {}) as run, away():
        for step in range(3):
            run.metrics({"loss": 1.0}, step)
    assert steps(store, run) == [0, 1, 2]
    assert status(store, run) == "FINISHED"
    assert caplog.text.count("what waits is held in memory") == 1


def test_what_neither_the_store_nor_files_take_is_said_to_be_lost(store, tmp_path):
    (tmp_path / "outbox").write_text("a file")
    with pytest.raises(TrackingError) as said, away(), tracking.started(store, "a run", {}) as run:
        run.text("a", "layers.csv")
    assert f"{tmp_path}/outbox/{run.id} can't be written (" in str(said.value)
    assert "so these are lost: layers.csv, how it ended" in str(said.value)
    assert "resend" not in str(said.value)
