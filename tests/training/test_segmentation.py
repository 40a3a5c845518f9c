"""Distances between surfaces in millimetres, against closed forms and SciPy."""

import numpy as np
import pytest
import torch
from scipy.ndimage import binary_erosion, distance_transform_edt

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.training.evaluate import evaluate
from bench.training.segmentation import segmentation_table, surface_distances

BACKGROUND_AND_ONE = ("background", "one")


def as_masks(*masks):
    """Return each mask (*spatial) as (1, 2, *spatial) with the background first."""
    return tuple(torch.stack([1 - each, each])[None] for each in (torch.from_numpy(m).float() for m in masks))


def by_scipy(predicted, truth, spacing, tolerance):
    """Compute HD95, ASSD and NSD by SciPy."""
    surfaces = [mask & ~binary_erosion(mask) for mask in (predicted, truth)]
    away = [distance_transform_edt(~surface, sampling=spacing) for surface in surfaces]
    there, back = away[1][surfaces[0]], away[0][surfaces[1]]
    both = np.concatenate([there, back])
    return max(np.percentile(there, 95), np.percentile(back, 95)), both.mean(), (both <= tolerance).mean()


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_parallel_planes_are_apart_by_the_spacing_of_their_axis(axis):
    spacing, sheets = (0.5, 2.0, 3.0), np.zeros((2, 9, 9, 9), dtype=bool)
    for sheet, at in zip(sheets, (2, 6), strict=True):
        np.moveaxis(sheet, axis, 0)[at] = True
    apart = 4 * spacing[axis]
    for tolerance, share in ((apart - 0.1, 0), (apart, 1)):
        found = surface_distances(as_masks(*sheets), np.array([spacing]), tolerance)
        assert [values.item() for values in found.values()] == pytest.approx([apart, apart, share])
        assert list(found) == ["hd95_mm", "assd_mm", f"nsd_{tolerance:g}mm"]
    assert surface_distances(as_masks(*sheets), None, 1)["hd95"].item() == 4


def test_concentric_spheres_of_anisotropic_voxels():
    spacing = np.array([0.5, 0.8, 1.0])
    at = (np.indices((48, 32, 26)).T - np.array([24, 16, 13])).T * spacing[:, None, None, None]
    radius = np.sqrt((at**2).sum(axis=0))
    found = surface_distances(as_masks(radius < 9, radius < 6), spacing[None], tolerance=2)
    assert found["hd95_mm"].item() == pytest.approx(3, abs=0.6)  # half a voxel at both surfaces
    assert found["assd_mm"].item() == pytest.approx(3, abs=0.2)
    assert found["nsd_2mm"].item() == pytest.approx(0, abs=0.02)


@pytest.mark.parametrize("shape", [(40, 30), (14, 20, 17)])
def test_distances_are_those_of_scipy(shape):
    rng = np.random.default_rng(0)
    for _ in range(5):
        spacing = rng.uniform(0.3, 4, len(shape))
        masks = []
        for _ in range(2):
            centre = rng.uniform(0.2, 0.8, len(shape)) * shape
            away = (np.indices(shape).T - centre).T / np.array(shape).reshape(-1, *[1] * len(shape))
            masks.append(np.sqrt((away**2).sum(axis=0)) + 0.1 * rng.random(shape) < 0.3)  # touches the border
        found = surface_distances(as_masks(*masks), spacing[None], tolerance=1.5)
        assert [values.item() for values in found.values()] == pytest.approx(by_scipy(*masks, spacing, 1.5), rel=1e-5)


def test_each_image_has_its_spacing_and_absent_classes_are_left_out():
    truth = torch.zeros(4, 12, 12, dtype=torch.int64)
    truth[:, 2:8, 2:8] = 1
    truth[3] = 0
    predicted = truth.roll(1, dims=2)
    predicted[2] = 0
    logits = (predicted.float() * 2 - 1)[:, None]
    spacing = np.array([[1.0, 1.0], [1.0, 5.0], [1.0, 1.0], [1.0, 1.0]])
    table = segmentation_table(logits, truth, BACKGROUND_AND_ONE, None, spacing, tolerance=0.5)
    assert table["hd95_mm"].tolist()[:2] == [1, 5]
    assert table["hd95_mm"].isna().tolist() == table["assd_mm"].isna().tolist() == [False, False, True, True]
    assert table["nsd_0.5mm"].tolist()[2] == 0  # missed
    assert table["nsd_0.5mm"].isna().tolist() == [False, False, False, True]  # absent from both

    class Known(torch.nn.Module):
        def forward(self, images):
            return images

    split = Split(logits, truth, np.arange(4), tuple("abcd"), spacing)
    data = Data("made", "segmentation", BACKGROUND_AND_ONE, split, split, split, tolerance=0.5)
    metrics, _ = evaluate(Known(), data, "test", seed=0)
    assert (metrics["hd95_mm"], metrics["hd95_mm_undefined"]) == (3, 2)
    assert metrics["nsd_0.5mm"] == pytest.approx(table["nsd_0.5mm"].mean())
    assert "hd95" not in metrics


def test_classes_have_distances_of_their_own():
    truth = torch.zeros(1, 16, 16, dtype=torch.int64)
    truth[0, 1:5, 1:5], truth[0, 9:13, 9:13] = 1, 2
    predicted = truth.clone()
    predicted[0, 9:13] = truth[0, 9:13].roll(2, dims=1)
    logits = torch.nn.functional.one_hot(predicted, 3).movedim(-1, 1).float()
    row = segmentation_table(logits, truth, ("ground", "a", "b"), None, np.array([[2.0, 0.5]])).iloc[0]
    assert (row["hd95_mm.a"], row["hd95_mm.b"], row["hd95_mm"]) == (0, 1, 0.5)
