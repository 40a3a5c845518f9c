import pytest
from running import uri, with_store

from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path):
    """An empty SQLite store in a folder of its own."""
    return connect(uri(with_store(tmp_path)), "tests")
