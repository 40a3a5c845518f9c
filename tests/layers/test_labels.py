import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist

from bench.datasets import image_folder
from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import InputError
from bench.information.reductions import Distances
from bench.information.variables import plug_in_entropy
from bench.layers.labels import coarse, fractions, kmeans, label_view


def data_of(masks, classes=2, task="segmentation"):
    n = len(masks)
    split = Split(torch.zeros(n, 1, 8, 8), masks, np.arange(n), tuple(map(str, range(n))))
    return Data("made", task, tuple(f"class {k}" for k in range(classes)), split, split, split)


def square_masks(sizes, side=8):
    masks = torch.zeros(len(sizes), side * side, dtype=torch.int64)
    for mask, size in zip(masks, sizes, strict=True):
        mask[:size] = 1
    return masks.reshape(-1, side, side)


def test_fractions_of_binary_masks_are_octiles():
    data = data_of(square_masks(range(64)))
    labels = fractions(data, data.train)
    octiles = np.arange(64) // 8
    np.testing.assert_array_equal(labels[:, None] == labels, octiles[:, None] == octiles)
    assert plug_in_entropy(labels) == 3


def test_fractions_of_several_classes_split_by_the_share_that_varies_most():
    # classes 1 and 2 vary independently, class 2 twice as much: the first split is by class 2, the next ones by both
    rng = np.random.default_rng(0)
    masks = torch.zeros(64, 64, dtype=torch.int64)
    for mask in masks:
        one, two = rng.integers(0, 16), rng.integers(0, 32)
        mask[:one], mask[32 : 32 + two] = 1, 2
    data = data_of(masks.reshape(-1, 8, 8), classes=3)
    labels = fractions(data, data.train)
    assert 2.5 < plug_in_entropy(labels) <= 3
    two = (masks == 2).sum(dim=1).numpy()
    above = two > np.median(two)
    for cell in np.unique(labels):
        assert len(set(above[labels == cell])) == 1


def test_fractions_of_equal_masks_are_one_class():
    data = data_of(square_masks([5] * 20))
    assert set(fractions(data, data.train)) == {0}


def test_coarse_marks_a_block_with_more_than_one_sixteenth_of_foreground():
    masks = torch.zeros(3, 16, 16, dtype=torch.int64)
    masks[1, 0, 0] = 1  # 1 of 16 pixels of a 4×4 block: not more than 1/16
    masks[2, 0, :2] = 1
    data = data_of(masks)
    np.testing.assert_array_equal(coarse(data, data.train), [0, 0, 1])


def test_mask_view_has_the_masks_and_one_class_per_distinct_mask():
    masks = square_masks([3, 9, 3])
    data = data_of(masks)
    variable = label_view("mask", data, data.train, 0)
    flat = masks.flatten(1).numpy()
    np.testing.assert_allclose(variable.read(Distances()), cdist(flat, flat, "sqeuclidean"), atol=1e-9)
    np.testing.assert_array_equal(variable.labels, [0, 1, 0])


def test_kmeans_requires_enough_training_masks():
    data = data_of(square_masks(range(20)))
    with pytest.raises(InputError, match="got kmeans with 20 training masks, wanted at least 64"):
        kmeans(data, data.train)


def test_views_that_do_not_fit_the_task_are_refused_with_the_choices():
    segmentation = data_of(square_masks(range(20)))
    with pytest.raises(InputError, match="got 'classes', wanted one of fractions, mask, coarse, kmeans"):
        label_view("classes", segmentation, segmentation.train, 0)
    classification = data_of(torch.arange(20) % 2, task="classification")
    with pytest.raises(InputError, match="got 'fractions', wanted one of classes for classification"):
        label_view("fractions", classification, classification.train, 0)


def test_each_combination_of_labels_is_a_class_in_multi_label_data():
    data = data_of(torch.tensor([[0, 1], [1, 1], [0, 1], [0, 0]]), task="multilabel")
    np.testing.assert_array_equal(label_view("classes", data, data.train, 0).labels, [0, 1, 0, 2])


def test_reproduction_labels_of_the_nuclei_are_nearly_all_singletons(shared_data):
    data = image_folder(shared_data / "nuclei", size=128, channels=3)
    words = coarse(data, data.split("all"))
    counts = np.unique(words, return_counts=True)[1]
    assert len(counts) == 398
    assert (counts == 1).sum() == 350
    assert plug_in_entropy(words) == pytest.approx(7.443, abs=5e-4)
    clusters = np.unique(kmeans(data, data.split("all")), return_counts=True)[1]
    assert (clusters == 1).sum() >= 50  # of 64


def test_centres_of_kmeans_are_fitted_to_the_training_masks():
    """Each of 64 training masks is a centre; the masks of a smaller split equal two of the centres."""
    data = data_of(square_masks(range(64)))
    split = data.train.take(np.array([5, 40, 5]))
    labels = kmeans(data, split)
    assert labels[0] == labels[2] != labels[1]


def test_a_discrete_view_has_one_column():
    data = data_of(square_masks(range(16)))
    assert label_view("fractions", data, data.train, 0).dim == 1
    assert label_view("mask", data, data.train, 0).dim == 64
