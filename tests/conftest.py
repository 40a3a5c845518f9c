from importlib.util import find_spec
from pathlib import Path

import pytest

collect_ignore = [] if find_spec("playwright") else ["browsing.py", "screenshots.py"]  # doctest would import them


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """Real images beside the checkout; the product itself never looks there."""
    folder = Path(__file__).parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}")
    return folder
