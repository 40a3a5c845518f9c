import time

import numpy as np
import pytest
import torch

from bench.datasets import phantoms
from bench.errors import InputError

LEVELS = (0, 0.25, 0.5, 0.75, 1)


def test_default_is_fast_and_in_range():
    seconds = []
    for _ in range(3):  # the fastest of three, because other processes may slow one down
        start = time.perf_counter()
        data = phantoms()
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 1
    assert [len(split) for split in data.splits.values()] == [160, 128, 64]
    assert data.train.images.shape[1:] == (1, 64, 64)
    assert data.train.images.min() >= 0
    assert data.train.images.max() <= 1
    assert data.card()["licence"] == "CC0-1.0"


def test_phantoms_depend_on_the_seed_alone():
    first, again, other = (phantoms(n=(4, 4, 4), seed=seed) for seed in (0, 0, 1))
    assert first.fingerprint == again.fingerprint
    assert first.fingerprint != other.fingerprint
    assert not torch.equal(first.train.images, first.val.images)


@pytest.mark.parametrize("classes", [2, 3, 4, 8])
def test_every_class_occurs_in_every_mask(classes):
    data = phantoms(classes=classes, n=(12, 2, 2))
    assert len(data.classes) == classes
    for mask in data.train.targets:
        assert mask.unique().tolist() == list(range(classes))


@pytest.mark.parametrize("classes", [2, 3, 8])
def test_position_tells_little_of_the_label(classes):
    # shuffling images must break the pairing of pixels and labels, so that the label is not a function of the position
    masks = phantoms(classes=classes, n=(600, 1, 1), size=32).train.targets
    shares = torch.stack([(masks == label).double().mean(dim=0) for label in range(classes)])

    def entropy(shares):
        return -torch.special.xlogy(shares, shares).sum(dim=0).mean()

    of_label = entropy(shares.mean(dim=(1, 2)))
    assert 1 - entropy(shares) / of_label < 0.25
    assert shares[1:].sum(dim=0).max() < 0.5
    assert (shares[1:].sum(dim=0) > 0).double().mean() > 0.75  # all but the corners


@pytest.mark.parametrize("classes", [2, 5])
def test_kinds_of_lesion_are_balanced(classes):
    data = phantoms("classification", classes, n=(20, 10, 10))
    assert torch.bincount(data.train.targets).tolist() == [20 // classes] * classes


def test_mean_intensity_does_not_classify():
    # without noise a solid lesion is brighter than any organ; at default difficulty mean intensity hardly classifies
    easy, default = (phantoms("classification", n=(200, 1, 1), difficulty=d).train for d in (0, 0.5))
    assert ((easy.images.amax((1, 2, 3)) > 0.8) == (easy.targets == 1)).all()
    mean = default.images.mean((1, 2, 3))
    lesion, healthy = mean[default.targets == 1], mean[default.targets == 0]
    auroc = (lesion[:, None] > healthy[None]).float().mean()
    assert auroc < 0.75


def test_contrast_and_dice_of_a_threshold_fall_with_difficulty():
    contrast_to_noise, best_dice = [], []
    for difficulty in LEVELS:
        train = phantoms(n=(24, 1, 1), difficulty=difficulty).train
        images, masks = train.images[:, 0].numpy(), train.targets.numpy() > 0
        inside, outside = images[masks], images[~masks & (images > 0)]
        contrast_to_noise.append((inside.mean() - outside.mean()) / np.hypot(inside.std(), outside.std()))
        dices = [
            2 * ((images > cut) & masks).sum() / ((images > cut).sum() + masks.sum()) for cut in np.linspace(0, 1, 41)
        ]
        best_dice.append(max(dices))
    assert (np.diff(contrast_to_noise) < 0).all()
    assert (np.diff(best_dice) < 0).all()
    assert best_dice[0] > 0.95


def test_difficulty_and_channels_do_not_change_the_anatomy():
    easy, hard = phantoms(n=(4, 1, 1), difficulty=0), phantoms(n=(4, 1, 1), difficulty=1, channels=3)
    assert torch.equal(easy.train.targets, hard.train.targets)
    assert hard.channels == 3


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("task", "regression"),
        ("classes", 1),
        ("classes", 9),
        ("n", (4, 0, 4)),
        ("n", (4, 4)),
        ("size", 8),
        ("channels", 0),
        ("difficulty", 1.5),
        ("seed", -1),
    ],
)
def test_option_out_of_range(option, value):
    with pytest.raises(InputError, match=rf"^dataset\.{option}: got .*, wanted .*; change dataset\.{option}$"):
        phantoms(**{option: value})
