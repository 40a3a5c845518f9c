"""Collapse: constructed losses and scores, and networks that can't or can learn."""

import re

import numpy as np
import pytest
import torch

from bench.datasets import phantoms
from bench.training.collapse import describe, find_collapse, is_flat
from bench.training.train import fit, loss_function
from models import UNet

FALLING, FLAT = [0.7, 0.5, 0.4, 0.35], [0.70, 0.702, 0.699, 0.701]
BOTH = {0, 1}


@pytest.fixture(scope="module")
def data():
    return {task: phantoms(task, n=(16, 8, 8), size=16) for task in ("segmentation", "classification")}


@pytest.mark.parametrize(
    ("task", "losses", "scores", "predicted", "reason"),
    [
        ("segmentation", FALLING, [0.0, 0.0, 0.0, 0.0, 0.0], {0}, "predicts background everywhere"),
        ("segmentation", FALLING, [0.1, 0.5, 0.5, 0.5, 0.5], {1}, "everywhere .*score 0.500"),
        ("classification", FALLING, [0.4, 0.5, 0.5, 0.5, 0.5], {1}, "everywhere .*score 0.500"),
        ("segmentation", FALLING, [0.0, 0.0, 0.0, 0.0, 0.0], BOTH, "no foreground .*Dice 0"),
        ("segmentation", FALLING, [0.3, 0.1, 0.3, 0.2, 0.2], BOTH, r"higher validation score \(0.300\)"),
        ("segmentation", FLAT, [0.30, 0.31, 0.30, 0.30, 0.30], BOTH, "loss is flat"),
        ("segmentation", FALLING, [0.3, 0.4, 0.6, 0.7, 0.8], BOTH, None),
        ("segmentation", FLAT, [0.3, 0.8, 0.8, 0.8, 0.8], BOTH, None),  # learned within the first epoch
        ("classification", FALLING, [1.0, 1.0, 1.0, 1.0, 1.0], {1}, None),  # validation data of one class
        ("segmentation", [], [0.0], {0}, None),  # not trained
    ],
)
def test_each_kind_of_collapse_has_its_reason(data, task, losses, scores, predicted, reason):
    found = find_collapse(data[task], losses, scores, predicted)
    assert found is None if reason is None else re.search(reason, found)


def test_a_loss_is_flat_if_it_falls_less_than_its_noise():
    rng = np.random.default_rng(0)
    noisy = [is_flat(0.7 + 0.05 * rng.normal(size=12)) for _ in range(200)]
    assert np.mean(noisy) > 0.9
    falling = [is_flat(0.7 * 0.9 ** np.arange(12) + 0.01 * rng.normal(size=12)) for _ in range(200)]
    assert not any(falling)
    assert not is_flat([2.0, 0.3, 0.3, 0.3, 0.3, 0.3])  # a step
    assert is_flat([0.5, 0.6, 4.0, 5.0])  # diverged
    assert not is_flat([0.7, 0.7])  # two epochs say nothing


def test_the_words_depend_on_the_number_of_epochs():
    assert describe(None, (), 10) == ""
    short = describe("the training loss is flat", (), 2)
    assert short.startswith("has not learned yet after 2 epochs: the training loss")
    assert "train.optimizer.lr" in describe("the training loss is flat", ("organ",), 10)
    missed = describe(None, ("organ", "lesion"), 10)
    assert "validation data that the network never predicts: organ, lesion; raise train.epochs" in missed


def trained(model, data, lr, batch_size, epochs=12):
    """Train, and return what is known about the best checkpoint."""
    return fit(
        model,
        data,
        epochs=epochs,
        batch_size=batch_size,
        optimizer=torch.optim.Adam(model.parameters(), lr=lr),
        schedule=None,
        loss=loss_function("auto", data),
        amp=False,
        seed=0,
        on_epoch=lambda *_: None,
    )


class Blind(UNet):
    """A U-Net that never predicts the last class."""

    def forward(self, images):
        logits = super().forward(images)
        return torch.cat([logits[:, :-1], logits[:, -1:] - 1e3], dim=1)


@pytest.mark.parametrize(("kind", "missed"), [(UNet, ()), (Blind, ("lesion",))])
def test_a_training_tells_the_classes_that_its_network_never_predicts(kind, missed):
    torch.manual_seed(0)
    model, images = kind(1, 3, widths=(8, 16), norm="batch"), phantoms(classes=3, n=(24, 16, 8), size=32, difficulty=0)
    best = trained(model, images, lr=1e-2, batch_size=4)
    assert best.missed == missed
    assert best.collapse is None
    assert trained(model, images, lr=1e-2, batch_size=4, epochs=0).missed == ()


@pytest.mark.parametrize(("lr", "collapsed"), [(1e-2, False), (1e-12, True)])
def test_a_network_that_does_not_move_has_collapsed(data, lr, collapsed):
    torch.manual_seed(0)
    best = trained(UNet(1, 1, widths=(8, 16), norm="batch"), data["segmentation"], lr, batch_size=8)
    assert (best.collapse is not None) == collapsed
