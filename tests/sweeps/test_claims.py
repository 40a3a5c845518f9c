"""Claims: if several processes begin the same job at the same moment, one of them continues."""

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier

import pytest
from running import uri, with_store

from bench import tracking
from bench.sweeps import claims
from bench.tracking.store import connect

TAGS = {tracking.FINGERPRINT: "abc"}


@pytest.fixture
def store(tmp_path):
    return connect(uri(with_store(tmp_path)), "tests")


def rivals_of(store):
    return partial(claims.running, store, "abc")


@pytest.mark.parametrize("many", [2, 3])
def test_one_of_several_simultaneous_claims_continues(store, many):
    for _ in range(5):
        together = Barrier(many)

        def claim(number, together=together):
            together.wait()
            run = tracking.create(store, f"rival {number}", TAGS)
            is_first = claims.is_first(store, run, rivals_of(store))
            if not is_first:
                store.client.delete_run(run.id)
            return run.id if is_first else None

        with ThreadPoolExecutor(many) as threads:
            (first,) = filter(None, threads.map(claim, range(many)))
        assert [run.info.run_id for run in claims.running(store, "abc")] == [first]
        store.client.set_terminated(first, "KILLED")


def test_a_run_gives_way_to_an_earlier_claim_independently_of_clocks(store, monkeypatch):
    monkeypatch.setattr(claims, "SETTLE", 0.5)
    first = tracking.create(store, "first", TAGS)
    assert claims.is_first(store, first, rivals_of(store))
    second = tracking.create(store, "its clock is slow", TAGS)
    monkeypatch.setattr(claims, "_order", lambda run: run.info.run_id != second.id)
    assert not claims.is_first(store, second, rivals_of(store))


def test_a_job_that_another_process_finished_meanwhile_is_not_run_again(store):
    other = tracking.create(store, "other", TAGS)

    def begin():
        run = tracking.create(store, "second", TAGS)
        store.client.set_terminated(other.id, "FINISHED")
        return run

    claim = claims.claim
    checks = iter([lambda *_: None, claim])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(claims, "claim", lambda *arguments: next(checks)(*arguments))
        assert claims.begin_once(store, "abc", begin) == other.id
    assert not claims.running(store, "abc")
