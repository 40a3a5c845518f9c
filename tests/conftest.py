from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = [] if find_spec("playwright") else ["browsing.py", "screenshots.py"]  # doctest imports every file


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Return the folder of real images beside the checkout; only tests read it."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
