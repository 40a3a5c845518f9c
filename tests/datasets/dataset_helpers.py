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


def dicom_slice(pixels, **changes):
    """Return a DICOM file of pixels (rows, columns) at (0, 0, 0), axial, 1 mm, with some tags replaced or removed."""
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    pixels = np.asarray(pixels)
    meta = FileMetaDataset()
    meta.TransferSyntaxUID, meta.MediaStorageSOPClassUID = ExplicitVRLittleEndian, "1.2.840.10008.5.1.4.1.1.4"
    meta.MediaStorageSOPInstanceUID = "1.2.3.4"
    header = FileDataset("", {}, file_meta=meta, preamble=bytes(128))
    tags = {
        "SOPClassUID": meta.MediaStorageSOPClassUID, "SOPInstanceUID": "1.2.3.4", "Modality": "MR",
        "SeriesInstanceUID": "1.2.3", "Rows": pixels.shape[0], "Columns": pixels.shape[1], "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2", "BitsAllocated": 8 * pixels.itemsize,
        "BitsStored": 8 * pixels.itemsize, "HighBit": 8 * pixels.itemsize - 1,
        "PixelRepresentation": int(pixels.dtype.kind == "i"), "PixelSpacing": [1, 1],
        "ImageOrientationPatient": [1, 0, 0, 0, 1, 0], "ImagePositionPatient": [0, 0, 0],
    }  # fmt: skip
    for name, value in (tags | changes).items():
        if value is not None:
            setattr(header, name, value)
    header.PixelData = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    return header


def save_dicom(path: Path, pixels, **changes):
    """Write a DICOM file of pixels (rows, columns)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    dicom_slice(pixels, **changes).save_as(path, enforce_file_format=True)


def save_series(folder: Path, volume, affine, order=None, **changes):
    """Write a volume (columns, rows, slices) with an affine in RAS orientation as slices, in files of any order."""
    to_lps = np.diag([-1.0, -1, 1, 1]) @ affine
    sides = np.linalg.norm(to_lps[:3, :3], axis=0)
    for number, at in enumerate(order if order is not None else range(volume.shape[2])):
        where = {
            "PixelSpacing": [float(sides[1]), float(sides[0])],
            "ImageOrientationPatient": [*(to_lps[:3, 0] / sides[0]), *(to_lps[:3, 1] / sides[1])],
            "ImagePositionPatient": list(to_lps[:3, 3] + at * to_lps[:3, 2]),
            "SOPInstanceUID": f"1.2.3.4.{number + 1}",
        }
        each = {name: value(at) if callable(value) else value for name, value in changes.items()}
        save_dicom(folder / f"{number:03d}.dcm", volume[:, :, at].T, **(where | each))
