"""Helpers for tests: write small files in the real formats, and assert that a loader refuses them."""

import csv
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import InputError


def save(path: Path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.asarray(array)).save(path)


def png16(path: Path, array):
    """Write a 16-bit PNG with 3 (colour), 2 (grey and alpha) or 4 channels, which Pillow cannot write."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    path.parent.mkdir(parents=True, exist_ok=True)
    height, width, channels = array.shape
    header = struct.pack(">IIBBBBB", width, height, 16, {2: 4, 3: 2, 4: 6}[channels], 0, 0, 0)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in array)
    parts = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + b"".join(parts))


def write_index(root: Path, rows: list[dict]):
    with open(root / "index.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def assert_refused(message: str, load, *args, **options):
    """Assert that `load` raises an InputError of one line that matches."""
    with pytest.raises(InputError, match=message) as caught:
        load(*args, **options)
    assert "\n" not in str(caught.value)
