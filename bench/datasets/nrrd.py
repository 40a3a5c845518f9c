"""Read NRRD files: grey volumes and pictures in one file, raw or compressed by gzip or bzip2."""

from __future__ import annotations

import bz2
import gzip
import re
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError

SUFFIX = ".nrrd"
WHOLE = "a whole NRRD file"
MAGIC = b"NRRD000"
SIGNS = {  # of the first two axes in RAS orientation, by the space of the file
    **dict.fromkeys(("left-posterior-superior", "lps"), (-1, -1)),
    **dict.fromkeys(("left-anterior-superior", "las"), (-1, 1)),
    **dict.fromkeys(("right-anterior-superior", "ras", "scanner-xyz", "3d-right-handed", "3d-left-handed", ""), (1, 1)),
}
LONGEST_HEADER = 1_000_000  # bytes
KINDS = {  # type of the format -> dtype without the order of bytes
    **dict.fromkeys(("signed char", "int8", "int8_t"), "i1"),
    **dict.fromkeys(("uchar", "unsigned char", "uint8", "uint8_t"), "u1"),
    **dict.fromkeys(("short", "short int", "signed short", "signed short int", "int16", "int16_t"), "i2"),
    **dict.fromkeys(("ushort", "unsigned short", "unsigned short int", "uint16", "uint16_t"), "u2"),
    **dict.fromkeys(("int", "signed int", "int32", "int32_t"), "i4"),
    **dict.fromkeys(("uint", "unsigned int", "uint32", "uint32_t"), "u4"),
    **dict.fromkeys(("longlong", "long long", "long long int", "signed long long", "int64", "int64_t"), "i8"),
    **dict.fromkeys(("ulonglong", "unsigned long long", "unsigned long long int", "uint64", "uint64_t"), "u8"),
    "float": "f4",
    "double": "f8",
}
ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "raw": bytes,
    **dict.fromkeys(("gzip", "gz"), gzip.decompress),
    **dict.fromkeys(("bzip2", "bz2"), bz2.decompress),
}


def is_nrrd(path: Path) -> bool:
    """Return whether the suffix of a file is that of NRRD."""
    return path.name.lower().endswith(SUFFIX)


def nrrd_header(path: Path) -> tuple[tuple[int, ...], tuple[float, ...]]:
    """Read the sizes and the spacings in millimetres from the header. Both start with the slowest axis.

    Raises:
        InputError: The file is damaged, or it has other than 2 or 3 spatial axes.
    """
    fields, _ = _read(path, with_data=False)
    return _sizes(path, fields), _spacings(path, fields)


def has_spacing(path: Path) -> bool:
    """Return whether the header has the size of a voxel."""
    fields, _ = _read(path, with_data=False)
    return "space directions" in fields or "spacings" in fields


def nrrd_affine(path: Path) -> np.ndarray:
    """Read the 4x4 affine of a volume, from (fastest, middle, slowest axis) to millimetres in RAS orientation.

    A file without directions gets its spacings, and one without a space is read as RAS.
    """
    fields, _ = _read(path, with_data=False)
    space = fields.get("space", "").lower()
    if space not in SIGNS:
        raise InputError(f"{path}: got the space {space!r}, wanted one of {list_values(SIGNS, 40)}; save it again")
    affine = np.eye(4)
    with refuse_damage(path, WHOLE):
        if "space directions" in fields:
            affine[:3, :3] = np.column_stack([_vector(each) for each in _vectors(fields["space directions"])])
        else:
            affine[:3, :3] = np.diag(_spacings(path, fields)[::-1])
        if "space origin" in fields:
            affine[:3, 3] = _vector(_vectors(fields["space origin"])[0])
    return np.diag([*SIGNS[space], 1.0, 1.0]) @ affine


def read_nrrd(path: Path) -> tuple[np.ndarray, tuple[float, ...]]:
    """Read the array and its spacings in millimetres. Both start with the slowest axis, as with SimpleITK.

    Raises:
        InputError: The file is damaged, or is of a form that is not read: colours, text, or data in another file.
    """
    fields, data = _read(path, with_data=True)
    shape, kind, encoding = _sizes(path, fields), fields.get("type", "").lower(), fields.get("encoding", "").lower()
    check_memory(COPIES * INT * prod(shape), f"{path} of {by(shape)}", "crop it")
    for key, got, known in (("type", kind, KINDS), ("encoding", encoding, ENCODINGS)):
        if got not in known:
            raise InputError(f"{path}: got {key} {got!r}, wanted one of {list_values(known, 40)}; save it again")
    if "data file" in fields or "datafile" in fields:
        raise InputError(f"{path}: got data in another file, wanted them in this one; save it as one .nrrd file")
    order = {"big": ">", "little": "<"}.get(fields.get("endian", "").lower(), "|" if KINDS[kind][1] == "1" else "")
    with refuse_damage(path, WHOLE):
        values = np.frombuffer(ENCODINGS[encoding](data), dtype=order + KINDS[kind])
        if not order or len(values) != prod(shape):
            raise ValueError(f"{len(values)} values for a size of {by(shape)}, or no order of bytes")
    return values.reshape(shape), _spacings(path, fields)


def _read(path: Path, with_data: bool) -> tuple[dict[str, str], bytes]:
    """Read the fields of the header, and the bytes after it."""
    with refuse_damage(path, WHOLE), open(path, "rb") as file:
        head = file.read(LONGEST_HEADER)
        if not head.startswith(MAGIC):
            raise ValueError("it does not begin with NRRD")
        end = re.search(rb"\r?\n\r?\n", head)
        if end is None:
            raise ValueError("the header has no end")
        lines = head[: end.start()].decode("utf-8").splitlines()[1:]
        pairs = [line.split(": ", 1) for line in lines if not line.startswith("#") and ":=" not in line]
        fields = {pair[0].strip().lower(): pair[1].strip() for pair in pairs if len(pair) == 2}
        return fields, head[end.end() :] + file.read() if with_data else b""


def _sizes(path: Path, fields: dict[str, str]) -> tuple[int, ...]:
    with refuse_damage(path, WHOLE):
        sizes = tuple(int(side) for side in fields["sizes"].split())[::-1]
        space = int(fields.get("space dimension", len(sizes)))
    kinds = fields.get("kinds", "").split()
    colours = any(kind not in ("domain", "space", "???") for kind in kinds) or "none" in fields.get(
        "space directions", ""
    )
    if len(sizes) not in (2, 3) or colours or space < len(sizes) or min(sizes) < 1:
        raise InputError(
            f"{path}: got sizes of {by(sizes)} of the kinds {' '.join(kinds) or 'domain'}, wanted 2 or 3 spatial axes "
            "and one channel; save each channel in its own file"
        )
    return sizes


def _spacings(path: Path, fields: dict[str, str]) -> tuple[float, ...]:
    """Return the spacing of each axis, 1 if the file has none."""
    with refuse_damage(path, WHOLE):
        if "space directions" in fields:
            sides = [float(np.linalg.norm(_vector(each))) for each in _vectors(fields["space directions"])]
        elif "spacings" in fields:
            sides = [abs(float(number)) for number in fields["spacings"].split()]
        else:
            return (1.0,) * len(_sizes(path, fields))
        if not all(np.isfinite(side) and side > 0 for side in sides) or len(sides) != len(fields["sizes"].split()):
            raise ValueError(f"spacings of {list_values(sides)}")
    return tuple(sides[::-1])


def _vectors(text: str) -> list[str]:
    return re.findall(r"\(([^)]*)\)", text)


def _vector(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]
