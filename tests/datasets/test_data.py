"""Checks of every dataset: names of classes, foreground, finite pixels."""

import numpy as np
import pytest
import torch
from mlflow.utils.validation import _validate_metric

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import InputError


def made(classes=("background", "organ"), task="segmentation", pixels=0.0, masks=1):
    images = torch.full((2, 1, 4, 4), pixels)
    targets = torch.full((2, 4, 4), masks) if task == "segmentation" else torch.tensor([0, 1])
    split = Split(images, targets, np.arange(2), ("a", "b"))
    return Data("made", task, tuple(classes), split, split, split)


@pytest.mark.parametrize(
    "name",
    ["edema (ED)", "tumour+core", "left/right", "a,b", "50%", "a\nb", "", "  ", "tab\t", "x" * 101, "née \u0301"],
)
def test_class_names_that_metrics_cannot_have_are_refused(name):
    with pytest.raises(InputError, match=r"dataset made: got the class name ") as caught:
        made(["background", name, "other"])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "classes",
    [
        ("lesion", "lesion"),
        ("Lesion", "lesion"),
        ("lesion", "lesion "),
        ("lesion", "lesion_low"),
        ("Straße", "STRASSE"),
    ],
)
def test_class_names_that_give_the_same_metric_are_refused(classes):
    with pytest.raises(InputError, match=r"dataset made: got two classes that share the name"):
        made(["background", *classes])


def test_mlflow_accepts_allowed_class_names():
    names = ("background", "non-enhancing tumour", "Ödem: links", "class_1", "v1.2", "低", "x" * 100)
    classes = made(names).classes
    assert classes == names
    for name in classes:
        _validate_metric(f"test/dice.{name}_high", 1.0, 0, 0)


def test_class_names_of_classification_must_only_differ():
    assert made(["Collecting Duct, Tubule", "granulocytes(myelocytes)"], "classification").outputs == 2
    with pytest.raises(InputError, match=r"share the name 'cat'"):
        made(["cat", "Cat"], "classification")
    made([str(number) for number in range(1000)], "classification")
    with pytest.raises(InputError, match=r"got 10000 classes, wanted at most 1000"):
        made([str(number) for number in range(10_000)], "classification")
    with pytest.raises(InputError, match=r"got 10000 classes, wanted at most 256"):
        made([str(number) for number in range(10_000)])


def test_masks_without_foreground_and_pixels_that_are_not_finite_are_refused():
    with pytest.raises(InputError, match=r"dataset made: no mask of the train split has foreground"):
        made(masks=0)
    for value in (float("nan"), float("inf")):
        with pytest.raises(InputError, match=r"dataset made: a has NaN or infinite pixels after scaling"):
            made(pixels=value)
