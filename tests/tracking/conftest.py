import pytest
from running import uri, with_store

from bench.tracking.store import connect


@pytest.fixture
def store(tmp_path):
    """Return an empty SQLite store in a temporary folder."""
    return connect(uri(with_store(tmp_path)), "tests")
