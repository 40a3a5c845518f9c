"""Read DICOM: a series in a folder as a volume, and a file of one frame as a picture."""

from __future__ import annotations

import warnings
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError, optional

SUFFIXES = (".dcm", ".dicom", ".ima")
WHOLE = "a whole DICOM file"
MAGIC, MAGIC_AT = b"DICM", 128  # bytes after the preamble of a file
DIRECTORY = "DICOMDIR"  # a list of files, which is not needed
UNEVEN = 0.1  # largest distance of a slice from its place in an even stack, in distances between slices
LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])
ONE_VALUE = ("Modality", "SeriesInstanceUID", "Rows", "Columns", "PixelSpacing", "ImageOrientationPatient")


def is_dicom(path: Path) -> bool:
    """Return whether the suffix of a file is that of DICOM, or a folder has a DICOM file."""
    if path.is_dir():
        return any(each.is_file() and (is_dicom(each) or _has_magic(each)) for each in sorted(path.iterdir()))
    return path.name.lower().endswith(SUFFIXES)


def dicom_shape(path: Path) -> tuple[int, ...]:
    """Read the shape from headers: (rows, columns) of a file, or (columns, rows, slices) of a series."""
    files = _slices(path) if path.is_dir() else [path]
    first = _open(files[0], with_pixels=False)
    return (first.Columns, first.Rows, len(files)) if path.is_dir() else (first.Rows, first.Columns)


def read_slice(path: Path) -> np.ndarray:
    """Read (rows, columns) of a file with one frame, scaled by slope and intercept. Black is low."""
    return _rescale([_open(path)], [path])[0]


def pixel_spacing(path: Path) -> tuple[float, ...] | None:
    """Read the size of a pixel of a file along (rows, columns) in millimetres. None if the tag is missing."""
    header = _open(path, with_pixels=False)
    with refuse_damage(path, WHOLE), warnings.catch_warnings(action="ignore"):
        sides = header.get("PixelSpacing")
        return tuple(float(side) for side in sides) if sides else None


def series_affine(path: Path) -> np.ndarray:
    """Read the 4x4 affine of a series, from (column, row, slice) to millimetres in RAS orientation."""
    return _sort(_slices(path), with_pixels=False)[2]


def read_series(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Read a series: (columns, rows, slices), scaled by slope and intercept, and its 4x4 affine in RAS orientation.

    Slices are sorted by their positions. Black is low: pictures where white is low (MONOCHROME1) are inverted.

    Raises:
        InputError: A file can't be read, or the files are of several series, modalities or sizes, lack a position,
            share one, or leave a gap.
    """
    shape = dicom_shape(path)
    check_memory(COPIES * INT * prod(shape), f"{path} of {by(shape)}", "crop it")
    headers, files, affine = _sort(_slices(path), with_pixels=True)
    return np.stack(_rescale(headers, files)).transpose(2, 1, 0), affine


def _slices(folder: Path) -> list[Path]:
    """Return the files of a series, without hidden files and the list of files."""
    found = sorted(each for each in folder.iterdir() if not each.name.startswith(".") and each.name != DIRECTORY)
    if not found:
        raise InputError(f"{folder}: got no file, wanted the slices of a DICOM series; add them or remove the folder")
    return found


def _has_magic(path: Path) -> bool:
    with open(path, "rb") as file:
        file.seek(MAGIC_AT)
        return file.read(len(MAGIC)) == MAGIC


def _open(path: Path, with_pixels: bool = True):
    """Read a file, or raise InputError if it has no grey picture of one frame."""
    with optional(str(path)):
        import pydicom

    with refuse_damage(path, WHOLE), warnings.catch_warnings(action="ignore"):  # about values that are not read
        header = pydicom.dcmread(path, stop_before_pixels=not with_pixels)
        rows, columns, frames = int(header.Rows), int(header.Columns), int(header.get("NumberOfFrames") or 1)
        kind = str(header.PhotometricInterpretation)
        signed = int(header.PixelRepresentation) == 1
        if min(rows, columns) < 1:
            raise ValueError(f"{rows} rows and {columns} columns")
    if frames != 1:
        raise InputError(f"{path}: got {frames} frames, wanted one; save each slice in its own file")
    if kind not in ("MONOCHROME1", "MONOCHROME2") or (kind == "MONOCHROME1" and signed):
        raise InputError(f"{path}: got pixels of kind {kind}, wanted grey (MONOCHROME2); convert it")
    if "ModalityLUTSequence" in header:
        raise InputError(f"{path}: got values by a table (Modality LUT), wanted slope and intercept; convert it")
    return header


def _sort(files: list[Path], with_pixels: bool) -> tuple[list, list[Path], np.ndarray]:
    """Open the files in the order of their positions: headers, files, and the affine of the stack."""
    headers = [_open(file, with_pixels) for file in files]
    for key in ONE_VALUE:
        found = {_text(header, key, file): file.name for header, file in zip(headers, files, strict=True)}
        if len(found) > 1 or "None" in found:
            names = " and ".join(f"{value} in {name}" for value, name in list(found.items())[:2])
            raise InputError(
                f"{files[0].parent}: got {key} {names}, wanted one in all {len(files)} slices; keep one series per "
                "folder, of one orientation and size"
            )
    with refuse_damage(files[0].parent, "the position of each slice"), warnings.catch_warnings(action="ignore"):
        orientation = np.array(headers[0].ImageOrientationPatient, dtype=float).reshape(2, 3)
        positions = np.array([header.ImagePositionPatient for header in headers], dtype=float).reshape(-1, 3)
        of_rows, of_columns = (float(side) for side in headers[0].PixelSpacing)
        normal = np.cross(*orientation)
        order = np.argsort(positions @ normal, kind="stable")
        thickness = float(headers[0].get("SliceThickness") or 1)
    positions = positions[order]
    step = _step(positions, files[0].parent) if len(files) > 1 else normal * thickness
    affine = np.eye(4)
    affine[:3] = np.column_stack([orientation[0] * of_columns, orientation[1] * of_rows, step, positions[0]])
    return [headers[row] for row in order], [files[row] for row in order], LPS_TO_RAS @ affine


def _text(header, key: str, file: Path) -> str:
    """Return the value of a tag as text, `None` if it is missing."""
    with refuse_damage(file, WHOLE), warnings.catch_warnings(action="ignore"):
        return str(header.get(key))


def _step(positions: np.ndarray, folder: Path) -> np.ndarray:
    """Return the vector between slices, or raise InputError if they are not evenly spaced."""
    step = np.median(np.diff(positions, axis=0), axis=0)
    length = np.linalg.norm(step)
    gaps = np.linalg.norm(np.diff(positions, axis=0), axis=1)
    apart = np.linalg.norm(np.diff(positions, axis=0) - step, axis=1)
    if not length > 0 or not gaps.min() > 0:
        raise InputError(
            f"{folder}: got several slices at one position, wanted one each; keep one time or echo per folder"
        )
    if not (apart <= UNEVEN * length).all():
        found = list_values(sorted({f"{gap:.4g}" for gap in gaps}))
        raise InputError(
            f"{folder}: got distances between slices of {found} mm, wanted one distance; "
            "add the slices that are missing, or keep one stack per folder"
        )
    return (positions[-1] - positions[0]) / (len(positions) - 1)


def _rescale(headers: list, files: list[Path]) -> list[np.ndarray]:
    """Return the pixels (rows, columns) of each slice, scaled. They stay integers if slope and intercept are."""
    stored, scales = [], []
    for header, file in zip(headers, files, strict=True):
        fix = "replace it, or save it without compression"
        with refuse_damage(file, WHOLE, fix), warnings.catch_warnings(action="ignore"):
            _check_decoder(header, file)
            pixels = np.asarray(header.pixel_array)
            if pixels.shape != (header.Rows, header.Columns) or pixels.dtype.kind not in "iuf":
                raise ValueError(f"pixels of {by(pixels.shape)} and type {pixels.dtype}")
            if header.PhotometricInterpretation == "MONOCHROME1":
                pixels = (2 ** int(header.BitsStored) - 1 - pixels.astype(np.int64)).astype(pixels.dtype)
            scales.append((float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))))
        stored.append(pixels)
    if all(scale == (1, 0) for scale in scales):
        return stored
    whole = all(number == round(number) for scale in scales for number in scale) and stored[0].dtype.kind != "f"
    kind = np.int32 if whole else np.float32
    return [(each * slope + intercept).astype(kind) for each, (slope, intercept) in zip(stored, scales, strict=True)]


def _check_decoder(header, file: Path) -> None:
    """Raise InputError if no installed package decodes the compression of a file."""
    from pydicom.pixels import get_decoder

    syntax = header.file_meta.TransferSyntaxUID
    if not syntax.is_compressed:
        return
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError as error:
        raise InputError(
            f"{file}: got pixels of the transfer syntax {syntax.name}, which pydicom does not decode, wanted one of "
            "images; save it without compression"
        ) from error
    if not decoder.is_available:
        needed = [each.partition(" requires ")[2] for each in decoder.missing_dependencies]
        raise InputError(
            f"{file}: got pixels compressed by {syntax.name}, wanted a decoder of it; install {' or '.join(needed)}, "
            "or save it without compression"
        )
