"""Helpers for tests: readers of the stored config of a run."""

import pytest
from running import uri

import bench
from bench.errors import InputError
from bench.pruning.search.base import Base
from bench.tracking.store import connect

READERS = (bench.load, lambda name, address: Base.of_run(connect(address, "bench"), name))


def assert_readers_refuse(trained, *parts: str, readers=READERS) -> list[str]:
    """Assert that each reader of a run's config refuses it in one line that has these parts; return the lines."""
    folder, run = trained
    lines = []
    for read in readers:
        with pytest.raises(InputError) as refusal:
            read(run.info.run_id, uri(folder))
        message = str(refusal.value)
        assert run.info.run_id in message
        assert "\n" not in message
        for part in parts:
            assert part in message
        lines.append(message)
    return lines
