"""Small files in the real formats, and how a loader refuses them."""

import csv
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import InputError


def save(path: Path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path)


def write_index(root: Path, rows: list[dict]):
    with open(root / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def assert_refused(message: str, load, *args, **options):
    """`load` raises an InputError of one line that matches."""
    with pytest.raises(InputError, match=message) as caught:
        load(*args, **options)
    assert "\n" not in str(caught.value)
