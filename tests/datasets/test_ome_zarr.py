"""OME-Zarr: axes, the highest resolution and the size of a pixel, and refused layouts."""

import json

import numpy as np
import pytest
from dataset_helpers import assert_refused, save

from bench.datasets import image_folder
from bench.datasets.files import read_image, read_mask, shape_of
from bench.datasets.spacing import spacing_of

zarr = pytest.importorskip("zarr")

VOLUME = np.random.default_rng(0).integers(0, 60000, (4, 6, 8)).astype(np.uint16)  # slices, rows, columns


def save_zarr(path, array, axes, scale=None, version="0.4", units="micrometer", codecs=None, **changes):
    """Write a multiscale image of two resolutions; `changes` replace keys of its description."""
    group = zarr.create_group(path, zarr_format=2 if version == "0.4" else 3, overwrite=True)
    for level, step in enumerate((1, 2)):
        smaller = array[tuple(slice(None, None, step if axis in "yx" else 1) for axis in axes)]
        chunks = tuple(max(1, side // 2) for side in smaller.shape)
        stored = group.create_array(str(level), shape=smaller.shape, chunks=chunks, dtype=array.dtype, **codecs or {})
        stored[...] = smaller
    scale = list(scale or [1.0] * len(axes))
    image = {
        "version": version,
        "axes": [{"name": axis, "type": "space", **({"unit": units} if axis in "zyx" else {})} for axis in axes],
        "datasets": [
            {"path": str(level), "coordinateTransformations": [{"type": "scale", "scale": scale}]} for level in (0, 1)
        ],
    }
    described = {"multiscales": [image | changes]}
    group.attrs.update(described if version == "0.4" else {"ome": {"version": version, **described}})
    return path


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_axes_and_size_of_a_pixel(tmp_path, version):
    colour = np.stack([VOLUME, VOLUME + 1, VOLUME + 2])[None]
    path = save_zarr(tmp_path / "a.ome.zarr", colour, "tczyx", [1, 1, 2, 0.5, 0.25], version)
    assert shape_of(path) == (3, 4, 6, 8)
    assert np.array_equal(read_image(path), colour[0])
    assert spacing_of(path, 3) == pytest.approx((0.002, 0.0005, 0.00025))
    plane = save_zarr(tmp_path / "b.zarr", VOLUME[:1], "zyx", [1, 3, 5], version, units="millimeter")
    assert shape_of(plane) == (1, 6, 8)
    assert np.array_equal(read_image(plane), VOLUME[:1])
    assert np.array_equal(read_mask(plane), VOLUME[0])
    assert spacing_of(plane, 2) == (3, 5)
    assert spacing_of(save_zarr(tmp_path / "c.zarr", VOLUME[0], "yx", units="pixel"), 2) is None


def test_scales_multiply_and_translations_do_not_matter(tmp_path):
    moved = [{"type": "scale", "scale": [2, 4]}, {"type": "translation", "translation": [7, 7]}]
    path = save_zarr(tmp_path / "a.zarr", VOLUME[0], "yx", [0.5, 0.5], coordinateTransformations=moved)
    assert spacing_of(path, 2) == pytest.approx((0.001, 0.002))


@pytest.mark.parametrize(
    ("saved", "changes", "message"),
    [
        (VOLUME, {"axes": "zyq"}, r"got the axes z, y, q, wanted y and x, and possibly c and z; convert it"),
        (np.stack([VOLUME[0]] * 2), {"axes": "tyx"}, r"got 2 times, wanted one"),
        (VOLUME[0], {"axes": "yx", "version": "0.3"}, r"got version 0.3 of OME-Zarr, wanted 0.4 or 0.5"),
        (VOLUME[0], {"axes": "yx", "datasets": []}, r"unreadable \(list index out of range\)"),
        (VOLUME[0], {"axes": "yx", "datasets": [{"path": "../b"}]}, r"unreadable \(the path \.\./b\)"),
        (VOLUME[0] * 1j, {"axes": "yx"}, r"got pixels of type complex128, wanted numbers"),
    ],
)
def test_other_layouts_are_refused(tmp_path, saved, changes, message):
    options = {key: value for key, value in changes.items() if key != "axes"}
    if options.get("version") == "0.3":
        path = save_zarr(tmp_path / "a.ome.zarr", saved, changes["axes"])
        described = json.loads((path / ".zattrs").read_text().replace('"0.4"', '"0.3"'))
        (path / ".zattrs").write_text(json.dumps(described))
    else:
        path = save_zarr(tmp_path / "a.ome.zarr", saved, changes["axes"], **options)
    assert_refused(rf"a\.ome\.zarr: {message}", read_image, path)


def test_plates_codecs_that_run_code_and_damage_are_refused(tmp_path):
    plate = zarr.create_group(tmp_path / "p.zarr", zarr_format=2)
    plate.attrs["plate"] = {"wells": []}
    assert_refused(r"p\.zarr: got metadata of plate, wanted one multiscale image", read_image, tmp_path / "p.zarr")
    path = save_zarr(tmp_path / "a.zarr", VOLUME[0], "yx")
    stored = json.loads((path / "0" / ".zarray").read_text())
    (path / "0" / ".zarray").write_text(json.dumps(stored | {"compressor": {"id": "pickle", "protocol": 5}}))
    assert_refused(r"a\.zarr: unreadable \(.*pickle.*\), wanted a whole", read_image, path)
    (path / "0" / ".zarray").write_text(json.dumps(stored | {"filters": [{"id": "bitround", "keepbits": 5}]}))
    assert_refused(r"a\.zarr: got the codec bitround, wanted one of blosc, bytes", read_image, path)
    (path / "0" / ".zarray").write_text(json.dumps(stored))
    for chunk in (path / "0").glob("[0-9]*"):
        chunk.write_bytes(b"damaged")
    assert_refused(r"a\.zarr: unreadable \(.*\), wanted a whole OME-Zarr image", read_image, path)
    (tmp_path / "n.zarr").mkdir()
    assert_refused(r"n\.zarr: unreadable", shape_of, tmp_path / "n.zarr")


def test_image_folder_reads_pictures_in_zarr_with_masks_in_png(tmp_path):
    for number in range(5):
        picture = np.full((8, 8), 100 * number, dtype=np.uint16)
        save_zarr(tmp_path / "images" / f"{number}.ome.zarr", picture, "yx", [2, 2], "0.5", units="millimeter")
        save(tmp_path / "masks" / f"{number}.png", np.tri(8, dtype=np.uint8))
    data = image_folder(tmp_path, size=4, n=[2, 1, 1])
    assert data.train.names == tuple(name.removesuffix(".ome.zarr") for name in data.train.names)
    assert np.allclose(data.train.spacing, 4)
    assert data.train.images[:, 0, 0, 0].tolist() == pytest.approx([100 * int(n) / 65535 for n in data.train.names])
