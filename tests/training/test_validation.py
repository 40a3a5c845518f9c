"""Validation: the classes that a network predicts and those that it never predicts, of constructed predictions."""

from dataclasses import replace

import pytest
import torch

from bench.datasets import phantoms
from bench.training.validation import distinct_predictions, missed_classes, predicted_and_labelled


def test_predictions_are_distinct_by_class_and_in_multilabel_data_by_output():
    mask = torch.full((2, 1, 4, 4), -1.0)
    assert distinct_predictions(mask, "segmentation") == {0}
    mask[1, 0, 2, 3] = 1.0
    assert distinct_predictions(mask, "segmentation") == {0, 1}
    assert distinct_predictions(torch.tensor([[0.0, 1, 2], [3, 1, 2]]), "classification") == {0, 2}
    rare = torch.tensor([[-4.0, -5.0], [-3.0, -5.0]])  # no label is predicted, but the images can be ranked
    assert distinct_predictions(rare, "multilabel") == {0, 1}
    assert distinct_predictions(rare[:1].expand(5, 2), "multilabel") == {0}
    regions = torch.full((1, 2, 2, 2), -1.0)
    assert distinct_predictions(regions, "segmentation", overlap=True) == {0}
    regions[0, :, 0, 0] = 1.0
    assert distinct_predictions(regions, "segmentation", overlap=True) == {0, 1}


@pytest.mark.parametrize(
    ("task", "regions", "logits", "targets", "missed"),
    [
        ("classification", None, [[2.0, 1, 0], [1, 2, 0]], [0, 2], ("ring lesion",)),
        ("classification", None, [[2.0, 1, 0], [1, 2, 0]], [0, 0], ()),  # the labels do not have the missing class
        ("classification", None, [[0.0, 0, 1]], [2], ()),
        ("segmentation", None, [[[[2.0, 1]], [[1, 2]], [[0, 0]]]], [[[0, 2]]], ("lesion",)),
        ("segmentation", {"whole": (1, 2), "core": (2,)}, [[[[1.0, 1]], [[-1, -1]]]], [[[0, 2]]], ("core",)),
        ("segmentation", {"whole": (1, 2), "core": (2,)}, [[[[1.0, 1]], [[-1, -1]]]], [[[0, 1]]], ()),
        ("segmentation", {"whole": (1, 2), "core": (2,)}, [[[[-1.0, -1]], [[-1, 1]]]], [[[0, 2]]], ("whole",)),
    ],
)
def test_a_class_is_missed_if_the_labels_have_it_and_the_network_never_predicts_it(
    task, regions, logits, targets, missed
):
    data = replace(phantoms(task, classes=3, n=(3, 3, 3), size=16), regions=regions)
    seen = predicted_and_labelled(torch.tensor(logits), torch.tensor(targets), data)
    assert missed_classes(*seen, data) == missed


def test_in_binary_and_multilabel_data():
    data = phantoms("segmentation", n=(1, 1, 1), size=16)
    mask, label = torch.full((2, 1, 4, 4), -1.0), torch.zeros(2, 4, 4)
    label[1, 0, 0] = 1
    assert missed_classes(*predicted_and_labelled(mask, label, data), data) == ("organ",)
    mask[0, 0, 3, 3] = 1.0  # found, although in a wrong place
    assert missed_classes(*predicted_and_labelled(mask, label, data), data) == ()
    findings = replace(phantoms("classification", n=(2, 2, 2), size=16), task="multilabel")
    assert predicted_and_labelled(torch.full((2, 2), -1.0), torch.ones(2, 2), findings) == [set(), set()]
