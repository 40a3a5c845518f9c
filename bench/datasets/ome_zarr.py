"""Read OME-Zarr (NGFF 0.4 and 0.5): the highest resolution of an image, with its axes and the size of a pixel."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from bench.datasets.common import by, list_values, refuse_damage
from bench.datasets.memory import COPIES, INT, check_memory
from bench.errors import InputError, optional

SUFFIXES = (".ome.zarr", ".zarr")
WHOLE = "a whole OME-Zarr image"
VERSIONS = ("0.4", "0.5")
CHANNEL, SPACE = "c", "zyx"
TO_MM = {"angstrom": 1e-7, "nanometer": 1e-6, "micrometer": 1e-3, "millimeter": 1.0, "centimeter": 10.0, "meter": 1e3}
CODECS = (  # others, such as pickle, could run code
    "blosc", "bytes", "bz2", "crc32c", "delta", "gzip", "lz4", "lzma", "sharding_indexed", "shuffle", "transpose",
    "zlib", "zstd",
)  # fmt: skip


class Level(NamedTuple):
    """The highest resolution of an image.

    Attributes:
        array: The array of zarr, which is not read yet.
        axes: Name of each of its axes.
        scale: Size of a pixel along each axis.
        units: Unit of each axis, empty if there is none.
    """

    array: Any
    axes: tuple[str, ...]
    scale: tuple[float, ...]
    units: tuple[str, ...]


def is_zarr(path: Path) -> bool:
    """Return whether the suffix of a folder is that of Zarr."""
    return path.name.lower().endswith(SUFFIXES) and path.is_dir()


def zarr_shape(path: Path) -> tuple[int, ...]:
    """Read the shape (C, *spatial) from the metadata alone."""
    level = _open_level(path)
    lengths = dict(zip(level.axes, level.array.shape, strict=True))
    return lengths.get(CHANNEL, 1), *(lengths[axis] for axis in _spatial(level))


def zarr_spacing(path: Path) -> tuple[float, ...] | None:
    """Read the size of a pixel along the spatial axes in millimetres. None if an axis has no unit of length."""
    level = _open_level(path)
    at = [level.axes.index(axis) for axis in _spatial(level)]
    if not all(level.units[axis] in TO_MM for axis in at):
        return None
    return tuple(level.scale[axis] * TO_MM[level.units[axis]] for axis in at)


def read_zarr(path: Path) -> np.ndarray:
    """Read an image (C, *spatial), with the spatial axes (slices, rows, columns), or (rows, columns) of one slice.

    Raises:
        InputError: The folder is damaged, or it has no image of axes that are known, or several times.
    """
    level = _open_level(path)
    shape = level.array.shape
    check_memory(COPIES * INT * prod(shape), f"{path} of {by(shape)}", "crop it")
    with refuse_damage(path, WHOLE):
        array = np.asarray(level.array[...])
        if array.shape != shape:
            raise ValueError(f"pixels of {by(array.shape)} instead of {by(shape)}")
    kept = [*([CHANNEL] if CHANNEL in level.axes else []), *_spatial(level)]
    array = array[tuple(slice(None) if axis in kept else 0 for axis in level.axes)]
    left = [axis for axis in level.axes if axis in kept]
    array = array.transpose([left.index(axis) for axis in kept])
    return array if CHANNEL in kept else array[np.newaxis]


def _spatial(level: Level) -> str:
    """Return the spatial axes in the order zyx, without slices if there is one."""
    lengths = dict(zip(level.axes, level.array.shape, strict=True))
    return SPACE if lengths.get("z", 1) > 1 else "yx"


def _open_level(path: Path) -> Level:
    """Open the first resolution, after checks of its layout."""
    with optional(str(path)):
        import zarr

    with refuse_damage(path, WHOLE):
        attributes: Any = zarr.open_group(path, mode="r").attrs.asdict()
        described = dict(attributes.get("ome", attributes))
    images = described.get("multiscales")
    if not isinstance(images, list) or len(images) != 1:
        held = f"metadata of {list_values(described) or 'nothing'}"
        found = f"{len(images)} images" if isinstance(images, list) else held
        raise InputError(
            f"{path}: got {found}, wanted one multiscale image (plates, wells and collections are not read); give the "
            "folder of one image"
        )
    with refuse_damage(path, WHOLE):
        image = images[0]
        version = str(described.get("version", image.get("version")))
        axes = tuple(str(axis["name"]) for axis in image["axes"]) if version in VERSIONS else ()
        units = tuple(str(axis.get("unit", "")) for axis in image["axes"]) if axes else ()
        first = image["datasets"][0]
        inside = str(first["path"])
        if ".." in Path(inside).parts or Path(inside).is_absolute():
            raise ValueError(f"the path {inside}")
    if version not in VERSIONS:
        raise InputError(f"{path}: got version {version} of OME-Zarr, wanted {' or '.join(VERSIONS)}; convert it")
    with refuse_damage(path, WHOLE):
        array = zarr.open_array(path / inside, mode="r")
        codecs = set(_codecs(array.metadata.to_dict()))
        scale = _scale([*first["coordinateTransformations"], *image.get("coordinateTransformations", [])], len(axes))
        if len(axes) != array.ndim or min(array.shape) < 1:
            raise ValueError(f"axes {list_values(axes)} and a shape of {by(array.shape)}")
    lengths = dict(zip(axes, array.shape, strict=True))
    if not {"y", "x"} <= set(axes) or len(lengths) < len(axes) or set(axes) - {"t", CHANNEL, *SPACE}:
        raise InputError(f"{path}: got the axes {list_values(axes)}, wanted y and x, and possibly c and z; convert it")
    if lengths.get("t", 1) > 1:
        raise InputError(f"{path}: got {lengths['t']} times, wanted one; save each time in its own folder")
    if array.dtype.kind not in "biuf":
        raise InputError(f"{path}: got pixels of type {array.dtype}, wanted numbers; convert it")
    if unknown := sorted(codecs - set(CODECS)):
        raise InputError(f"{path}: got the codec {unknown[0]}, wanted one of {list_values(CODECS, 20)}; save it again")
    return Level(array, axes, scale, units)


def _scale(transformations: Sequence[dict], axes: int) -> tuple[float, ...]:
    """Return the size of a pixel along each axis: the product of all scales."""
    scale = np.ones(axes)
    for each in transformations:
        if each["type"] == "scale":
            scale = scale * np.array(each["scale"], dtype=float)
        elif each["type"] not in ("translation", "identity"):
            raise ValueError(f"the transformation {each['type']}")
    return tuple(scale.tolist())


def _codecs(metadata: Any) -> Iterator[str]:
    """Yield the names of all codecs in the metadata of an array, also of those inside of codecs."""
    if isinstance(metadata, dict):
        for key, value in metadata.items():
            if key in ("compressor", "filters", "codecs", "index_codecs"):
                for codec in value if isinstance(value, list | tuple) else [value]:
                    if codec is not None:
                        described = codec if isinstance(codec, dict) else codec.get_config()
                        yield str(described.get("id", described.get("name")))
                        yield from _codecs(described.get("configuration"))
