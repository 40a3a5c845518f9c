"""Losses for unbalanced classes equal their formulas, for masks, classes, several labels and regions."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import one_hot, softplus

from bench.datasets import phantoms
from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import InputError
from bench.training.train import loss_function

RANDOM = torch.Generator().manual_seed(0)
MASKS = torch.tensor([[[0, 1], [0, 0]], [[2, 1], [0, 2]]])  # class 0: 4, class 1: 2, class 2: 2 pixels


def of(targets: torch.Tensor, task: str, classes: int, **more) -> Data:
    """Return data with the same targets in each split."""
    n = len(targets)
    names = tuple(map(str, range(n)))
    images = torch.rand(n, 1, 2, 2, generator=RANDOM)
    split = Split(images, targets, torch.arange(n).numpy(), names)
    return Data("d", task, tuple(f"c{k}" for k in range(classes)), split, split, split, **more)


def logits(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=RANDOM)


def value(name: str, data: Data, found: torch.Tensor) -> float:
    return loss_function(name, data)(found, data.train.targets).item()


def test_weights_of_classes():
    data, found = of(MASKS, "segmentation", 3), logits(2, 3, 2, 2)
    weights = torch.tensor([8 / 12, 8 / 6, 8 / 6])
    each = -found.log_softmax(dim=1).gather(1, MASKS[:, None])[:, 0]
    of_pixels = weights[MASKS]
    assert value("weighted_ce", data, found) == pytest.approx(
        ((each * of_pixels).sum() / of_pixels.sum()).item(), abs=1e-6
    )
    labels = of(torch.tensor([0, 0, 0, 1]), "classification", 2)
    found = logits(4, 2)
    each = -found.log_softmax(dim=1).gather(1, labels.train.targets[:, None])[:, 0]
    balanced = (each[:3].mean() + each[3]) / 2
    assert value("weighted_ce", labels, found) == pytest.approx(balanced.item(), abs=1e-6)


def test_weights_of_positives():
    masks = (MASKS > 1).long()  # 2 of 8
    data, found = of(masks, "segmentation", 2), logits(2, 1, 2, 2)
    each = 3 * masks * softplus(-found[:, 0]) + (1 - masks) * softplus(found[:, 0])
    assert value("weighted_bce", data, found) == pytest.approx(each.mean().item(), abs=1e-6)
    labels = torch.tensor([[0, 1], [0, 1], [1, 0], [0, 1]])
    data, found = of(labels, "multilabel", 2), logits(4, 2)
    each = torch.tensor([3, 1 / 3]) * labels * softplus(-found) + (1 - labels) * softplus(found)
    assert value("weighted_bce", data, found) == pytest.approx(each.mean().item(), abs=1e-6)
    regions = {"any": (1, 2), "second": (2,)}  # 4 and 2 of 8
    data, found = of(MASKS, "segmentation", 3, regions=regions), logits(2, 2, 2, 2)
    truth = torch.stack([MASKS > 0, MASKS == 2], dim=1).float()
    each = torch.tensor([1.0, 3.0])[:, None, None] * truth * softplus(-found) + (1 - truth) * softplus(found)
    assert value("weighted_bce", data, found) == pytest.approx(each.mean().item(), abs=1e-6)


def test_focal():
    masks = (MASKS > 1).long()
    data, found = of(masks, "segmentation", 2), logits(2, 1, 2, 2)
    right = torch.where(masks == 1, found[:, 0].sigmoid(), 1 - found[:, 0].sigmoid())
    binary = -((1 - right) ** 2 * right.log()).mean()
    assert value("focal", data, found) == pytest.approx(binary.item(), abs=1e-6)
    labels = of(torch.tensor([0, 2, 0, 1]), "classification", 3)
    found = logits(4, 3)
    right = found.softmax(dim=1).gather(1, labels.train.targets[:, None])
    assert value("focal", labels, found) == pytest.approx(
        (-((1 - right) ** 2 * right.log()).mean() / 3).item(), abs=1e-6
    )
    several, found = of(torch.tensor([[0, 1], [1, 1]]), "multilabel", 2), logits(2, 2)
    right = torch.where(several.train.targets == 1, found.sigmoid(), 1 - found.sigmoid())
    assert value("focal", several, found) == pytest.approx(-((1 - right) ** 2 * right.log()).mean().item(), abs=1e-6)


def test_dice_focal_and_tversky():
    masks = (MASKS > 1).long()
    masks[0, 0, 0] = 1
    data, found = of(masks, "segmentation", 2), logits(2, 1, 2, 2)
    sums = value("dice", data, found) + value("focal", data, found)
    assert value("dice_focal", data, found) == pytest.approx(sums, abs=1e-5)
    p, truth = found[:, 0].sigmoid(), masks.float()
    both, extra, missed = ((a * b).sum((1, 2)) for a, b in ((p, truth), (p, 1 - truth), (1 - p, truth)))
    tversky = (1 - both / (both + 0.3 * extra + 0.7 * missed)).mean()
    assert value("tversky", data, found) == pytest.approx(tversky.item(), abs=1e-4)
    data, found = of(MASKS, "segmentation", 3), logits(2, 3, 2, 2)
    p, truth = found.softmax(dim=1), one_hot(MASKS, 3).movedim(-1, 1).float()
    both, extra, missed = ((a * b).sum((2, 3)) for a, b in ((p, truth), (p, 1 - truth), (1 - p, truth)))
    tversky = (1 - (both + 1e-5) / (both + 0.3 * extra + 0.7 * missed + 1e-5)).mean()
    assert value("tversky", data, found) == pytest.approx(tversky.item(), abs=1e-5)


def test_losses_that_do_not_fit_are_refused():
    data = of(MASKS, "segmentation", 4)
    with pytest.raises(
        InputError, match=r"train.loss: got a weighted loss, but the class c3 does not occur in the train"
    ):
        loss_function("weighted_ce", data)
    with pytest.raises(
        InputError, match=r"got 'weighted_bce', wanted one of auto, ce, weighted_ce, focal, dice, dice_ce,"
    ):
        loss_function("weighted_bce", data)
    regions = replace(phantoms(classes=3, n=(4, 2, 2), size=16), regions={"none": (7,), "organ": (1,)})
    with pytest.raises(InputError, match=r"the class none does not occur"):
        loss_function("weighted_bce", regions)
