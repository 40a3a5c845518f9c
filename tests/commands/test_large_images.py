"""A run on large images of different sizes by patches, with labels that overlap and pixels of known size."""

import json

import numpy as np
import pytest
import tifffile
from running import QUIET, artifact, command, layers, runs, with_store

pytestmark = pytest.mark.processes

RUN = (
    *QUIET, "dataset=image_folder", "dataset.root=data", "dataset.size=null", "dataset.patch=16",
    "dataset.tolerance=0.5", "model.widths=[4,8]", "estimator=[kde]", "diagnostic=[]", "train.epochs=2",
    "probe.untrained_seeds=0",
    "probe.pixels=64", "probe.split=all", "device=cpu",
)  # fmt: skip


@pytest.fixture
def folder(tmp_path):
    """Write bright circles with brighter circles inside them, in pictures of 24 to 43 pixels of 0.5 x 0.25 mm."""
    known = {"PhysicalSizeX": 0.25, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 0.5, "PhysicalSizeYUnit": "mm"}
    (tmp_path / "data" / "images").mkdir(parents=True)
    for number in range(20):
        size = (24 + number, 43 - number)
        away = np.hypot(*(np.indices(size) - np.array([10, 12]).reshape(2, 1, 1)))
        pixels = (60 * (away < 8) + 90 * (away < 4) + np.random.default_rng(number).integers(0, 40, size)).astype("u1")
        tifffile.imwrite(tmp_path / f"data/images/{number}.ome.tif", pixels, metadata={"axes": "YX", **known})
        for name, radius in (("cell", 8), ("nucleus", 4)):
            (tmp_path / "data" / "masks" / name).mkdir(parents=True, exist_ok=True)
            np.save(tmp_path / f"data/masks/{name}/{number}.npy", away < radius)
    return with_store(tmp_path)


def test_a_run_by_patches(folder):
    ended = command(folder, *RUN, "objectives=[test/nsd_0.5mm]")
    assert ended.code == 0, ended.err
    (run,) = runs(folder)
    found = run.data.metrics
    assert {"test/dice.cell", "test/dice.nucleus", "test/hd95_mm_undefined", "test/nsd_0.5mm"} <= set(found)
    assert not {"test/hd95", "test/nsd_2mm"} & set(found)
    assert set(layers(folder, run)["tap"]) >= {"bottleneck.conv2", "out"}
    assert json.loads(artifact(folder, run, "dataset.json").read_text())["spacing_mm"] == [0.5, 0.25]


def test_an_objective_in_the_wrong_unit_and_a_patch_that_is_too_large_are_one_line(folder):
    ended = command(folder, *RUN, "objectives=[test/hd95]")
    assert ended.code == 2
    assert ended.err.startswith("bench: objectives: got 'test/hd95', wanted metrics of the run")
    ended = command(folder, *RUN, "dataset.patch=32")
    assert ended.code == 2
    assert ended.err.count("\n") == 1
    assert "dataset.patch: got 32x32, but 0 has 24x43, which is smaller" in ended.err
