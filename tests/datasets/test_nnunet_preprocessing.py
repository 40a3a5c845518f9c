"""Preprocessing of nnU-Net: values that nnU-Net gave, and formulas."""

import numpy as np
import pytest
from nnunet_files import ball, plans_content
from skimage.transform import resize

from bench.datasets.nnunet_preprocessing import Recipe, _zoom, preprocess
from models.nnunet_plans import plans_of

# results of DefaultPreprocessor.run_case_npy of nnU-Net 2.8.1 for the volumes of `odd`: shape, values in the middle,
# standard deviations of the channels, maximum, voxels of each label, and the sum of labels times position modulo 97

RECORDED = {
    "masked": (
        {"spacing": (1.3, 0.8, 1.1), "use_mask": (True,), "transpose": (1, 0, 2)}, "3d_fullres", (1.0, 1.2, 0.9),
        (1, 14, 15, 13), [2.68487], [0.934503], 3.66954, {0: 2443, 1: 81, 2: 206}, 13433,
    ),
    "slices one by one": (
        {"spacing": (3.0, 0.7, 0.9), "schemes": ("CTNormalization", "ZScoreNormalization"), "use_mask": (False, False)},
        "3d_fullres", (4.0, 1.0, 1.1),
        (2, 16, 21, 20), [1.68298, 2.94877], [0.70202, 0.956172], 3.67411, {0: 5996, 1: 203, 2: 521}, 34091,
    ),
    "2d": (
        {"spacing": (3.0, 0.7, 0.9), "schemes": ("RescaleTo01Normalization",)}, "2d", (2.0, 1.0, 1.1),
        (1, 12, 21, 20), [0.782127], [0.200706], 1.0, {0: 4497, 1: 148, 2: 395}, 25822,
    ),
}  # fmt: skip


def odd(name: str, channels: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a seeded volume with a border of zeros, and for `masked` a hole of zeros."""
    image, mask = ball(np.random.default_rng(7), channels=channels)
    image[:, :2], image[:, :, -3:] = 0, 0
    image = np.round(image)
    if name == "masked":
        image[0, 5, 3:6, 4] = 0
    return image, mask


@pytest.mark.parametrize("name", RECORDED)
def test_preprocessing_gives_the_values_of_nnunet(name):
    given, configuration, spacing, shape, middle, spread, most, labels, position = RECORDED[name]
    content = plans_content(**given)
    recipe = Recipe.of(plans_of(content, configuration, "plans.json"))
    image, mask, voxel = preprocess(*odd(name, len(given.get("schemes", (0,)))), spacing, recipe)
    assert (image.shape, image.dtype) == (shape, np.float32)
    wanted = [spacing[axis] for axis in recipe.transpose]
    wanted[3 - len(recipe.spacing) :] = recipe.spacing
    assert voxel == pytest.approx(wanted, rel=0.5 / min(shape[1:]))  # by the rounding of the shape
    assert image[:, *(side // 2 for side in shape[1:])] == pytest.approx(middle, abs=1e-4)
    assert image.reshape(len(image), -1).astype(float).std(axis=1) == pytest.approx(spread, abs=1e-4)
    assert image.max() == pytest.approx(most, abs=1e-4)
    assert dict(zip(*np.unique(mask, return_counts=True), strict=True)) == labels
    assert (mask * np.arange(mask.size).reshape(mask.shape) % 97).sum() == position


@pytest.mark.parametrize("order", [0, 1, 3])
def test_resampling_equals_that_of_scikit_image(order):
    array = np.random.default_rng(0).normal(size=(9, 8, 7))
    for shape in ((12, 8, 5), (5, 11, 7), (18, 16, 14)):
        wanted = resize(array, shape, order, mode="edge", clip=True, anti_aliasing=False)
        assert np.array_equal(_zoom(array, shape, order), wanted)


def test_labels_never_take_a_value_between_two_labels():
    mask = np.zeros((1, 6, 6), np.uint8)
    mask[:, :, 3:] = 2
    recipe = Recipe((0, 1, 2), (1.0, 0.3, 0.3), ("NoNormalization",), (False,))
    _, finer, _ = preprocess(np.ones((1, 1, 6, 6), np.float32), mask, (1.0, 1.0, 1.0), recipe)
    assert finer.shape == (1, 20, 20)
    assert np.array_equal(finer, np.repeat(2 * (np.arange(20) >= 10), 20).reshape(20, 20).T[None])


def test_normalisations_follow_their_formulas():
    image = np.array([0, 0, 1, 2, 3, 4], np.float32).reshape(1, 1, 1, 6)
    mask = np.zeros((1, 1, 6))

    def after(scheme, use_mask=False, **known):
        recipe = Recipe((0, 1, 2), None, (scheme,), (use_mask,), (known,))
        return preprocess(image.copy(), mask, (1, 1, 1), recipe)[0].flatten()  # the zeros are cropped

    assert after("NoNormalization").tolist() == [1, 2, 3, 4]
    assert after("ZScoreNormalization") == pytest.approx((np.arange(1, 5) - 2.5) / np.sqrt(1.25))
    assert after("RescaleTo01Normalization") == pytest.approx([0, 1 / 3, 2 / 3, 1])
    assert after("RGBTo01Normalization") == pytest.approx(np.arange(1, 5) / 255)
    known = {"percentile_00_5": 1.5, "percentile_99_5": 3.5, "mean": 2.0, "std": 0.5}
    assert after("CTNormalization", **known) == pytest.approx([-1, 0, 2, 3])


def test_nonzero_voxels_alone_are_normalised_and_background_outside_is_marked():
    image = np.zeros((1, 1, 4, 4), np.float32)
    image[0, 0, 0], image[0, 0, :, 0] = [1, 2, 3, 4], [1, 5, 5, 5]
    mask = np.zeros((1, 4, 4))
    mask[0, 3, 3] = 1  # a label outside the nonzero region is kept
    scaled, found, _ = preprocess(image, mask, (1, 1, 1), Recipe((0, 1, 2), None, ("ZScoreNormalization",), (True,)))
    inside = np.array([1, 2, 3, 4, 5, 5, 5, 0])  # the voxel with the label counts as inside
    assert scaled[0, 0, 0] == pytest.approx((np.arange(1, 5) - inside.mean()) / inside.std(), abs=1e-6)
    assert found[0].tolist() == [[0, 0, 0, 0], [0, -1, -1, -1], [0, -1, -1, -1], [0, -1, -1, 1]]
    assert (scaled[0, 0, 1:3, 1:3] == 0).all()
