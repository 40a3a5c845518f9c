import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.functional import softplus

from bench.datasets import phantoms
from bench.errors import InputError, TrainingError
from bench.training.batches import Batches
from bench.training.evaluate import score
from bench.training.predictions import predict
from bench.training.train import fit, loss_function, soft_loss
from models import CNN, UNet


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(64, 8, 8), size=16, difficulty=0.1)


def train(model, data, epochs=3, lr=1e-2, on_epoch=lambda epoch, metrics: None, schedule=None, teacher=None):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr)
    schedule = schedule and schedule(optimizer)
    loss = loss_function("auto", data)
    return fit(model, data, epochs=epochs, batch_size=8, optimizer=optimizer, schedule=schedule, loss=loss, amp=True,
               seed=0, on_epoch=on_epoch, teacher=teacher)  # fmt: skip


def network():
    torch.manual_seed(0)
    return UNet(1, 1, widths=(8, 16), norm="batch")


def test_training_learns_the_organ_and_keeps_the_best_checkpoint(data):
    model, recorded = network(), {}

    def on_epoch(epoch, metrics):
        recorded[epoch] = (metrics["val/score"], copy.deepcopy(model.state_dict()))

    best = train(model, data, epochs=12, on_epoch=on_epoch)
    assert list(recorded) == list(range(13))
    assert best.val_score == max(value for epoch, (value, _) in recorded.items() if epoch)
    assert best.val_score > 0.8 > recorded[0][0]
    assert score(predict(model, data.val.images), data.val.targets, data) == best.val_score
    assert all(torch.equal(tensor, recorded[best.epoch][1][name]) for name, tensor in model.state_dict().items())


def test_a_student_learns_the_output_of_its_teacher_and_not_the_labels(data):
    teacher = network()
    train(teacher, data, epochs=12)
    wrong = replace(data, train=replace(data.train, targets=1 - data.train.targets))
    torch.manual_seed(1)
    student = UNet(1, 1, widths=(8, 16), norm="batch")
    taught = train(student, wrong, epochs=20, teacher=teacher.eval())
    assert taught.val_score > 0.8
    agreement = ((predict(student, data.test.images) > 0) == (predict(teacher, data.test.images) > 0)).float().mean()
    assert agreement > 0.9


@pytest.mark.parametrize(("task", "classes"), [("segmentation", 3), ("classification", 3), ("segmentation", 2)])
def test_the_loss_of_a_student_is_minimal_at_the_output_of_the_teacher(task, classes):
    data = phantoms(task, classes=classes, n=(4, 2, 2), size=16)
    shape = (4, data.outputs) if task == "classification" else (4, data.outputs, 16, 16)
    taught = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    loss = soft_loss(data)
    logits = taught.clone().requires_grad_()
    (slope,) = torch.autograd.grad(loss(logits, taught), logits)
    assert slope.abs().max() < 1e-6
    assert loss(taught + torch.randn(shape, generator=torch.Generator().manual_seed(1)), taught) > loss(taught, taught)


def test_the_same_seed_trains_the_same_network(data):
    states = []
    for _ in range(2):
        model = network()
        train(model, data)
        states.append(model.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_without_epochs_the_network_is_untrained(data):
    model = network()
    before = copy.deepcopy(model.state_dict())
    assert train(model, data, epochs=0).epoch == 0
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_a_schedule_is_stepped_every_epoch(data):
    rates = []

    def schedule(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: rates.append(epoch) or 1.0)

    train(network(), data, schedule=schedule)
    assert rates == [0, 1, 2, 3]


def test_a_loss_that_is_not_finite_stops_the_training(data):
    model = network()
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    with pytest.raises(TrainingError, match="validation loss: got nan in epoch 0"):
        train(model, data)


def test_losses_equal_their_formulas(data):
    logits, targets = torch.randn(2, 1, 4, 4, generator=torch.Generator().manual_seed(0)), torch.zeros(2, 4, 4).long()
    targets[:, :2] = 1
    bce = loss_function("bce", data)(logits, targets)
    assert bce.item() == pytest.approx((softplus(logits[:, 0]) - targets * logits[:, 0]).mean().item(), abs=1e-6)
    p = logits.sigmoid()[:, 0]
    dice = 1 - 2 * (p * targets).sum((1, 2)) / (p.sum((1, 2)) + targets.sum((1, 2)))
    assert loss_function("dice", data)(logits, targets).item() == pytest.approx(dice.mean().item(), abs=1e-4)
    both = loss_function("dice_ce", data)(logits, targets)
    assert both.item() == pytest.approx((dice.mean() + bce).item(), abs=1e-4)
    several = phantoms(classes=3, n=(4, 2, 2), size=16)
    uniform = loss_function("auto", several)(torch.zeros(2, 3, 4, 4), targets)
    assert uniform.item() == pytest.approx(np.log(3), abs=1e-6)


def test_losses_of_regions_are_those_of_each_region(data):
    regions = replace(phantoms(classes=3, n=(4, 2, 2), size=16), regions={"both": (1, 2), "second": (2,)})
    logits = torch.randn(2, 2, 4, 4, generator=torch.Generator().manual_seed(0))
    targets = torch.arange(16).reshape(4, 4).expand(2, 4, 4) % 3
    truth = torch.stack([targets > 0, targets == 2], dim=1).float()
    bce = (softplus(logits) - truth * logits).mean()
    assert loss_function("auto", regions)(logits, targets).item() == pytest.approx(bce.item(), abs=1e-6)
    p = logits.sigmoid()
    dice = 1 - 2 * (p * truth).sum((2, 3)) / (p.sum((2, 3)) + truth.sum((2, 3)))
    assert loss_function("dice", regions)(logits, targets).item() == pytest.approx(dice.mean().item(), abs=1e-4)


def test_a_loss_that_does_not_fit_the_data_is_refused(data):
    with pytest.raises(InputError, match=r"train.loss: got 'ce', wanted one of auto, bce, weighted_bce, focal, dice, "):
        loss_function("ce", data)
    with pytest.raises(InputError, match=r"train.loss: got 'dice', wanted one of auto, ce, weighted_ce, focal for"):
        loss_function("dice", phantoms(task="classification", n=(4, 2, 2), size=16))


def test_batches_have_every_sample_once_in_an_order_that_depends_on_the_seed(data):
    one, again, other = ([images for images, _ in Batches(data, 8, seed)] for seed in (0, 0, 1))
    assert torch.equal(torch.cat(one), torch.cat(again))
    assert not torch.equal(torch.cat(one), torch.cat(other))
    assert torch.allclose(torch.cat(one).sum(0), data.train.images.sum(0), atol=1e-4)


def test_augmentation_moves_image_and_mask_together():
    made = phantoms(n=(16, 4, 4), size=32, difficulty=0, augment=["flips", "rotations"])
    made.train.images[:, 0] = made.train.targets.float()
    changed = 0
    for images, targets in Batches(made, 8, seed=0):
        agree = ((images[:, 0] > 0.5) == (targets > 0)).float()  # the image is interpolated, the mask is not
        assert agree.mean() > 0.98
        assert targets.dtype == torch.int64
        changed += sum(not (made.train.targets == target).flatten(1).all(1).any() for target in targets)
    assert changed > 4


def test_a_classifier_learns():
    data = phantoms(task="classification", n=(64, 32, 16), size=16)
    for split in data.splits.values():
        split.images[:] += split.targets[:, None, None, None]  # the second class is brighter
    torch.manual_seed(0)
    model = CNN(1, 2, filters=(4,), kernel_size=3, padding="same", hidden=(8,), input_size=(16, 16))
    assert train(model, data, epochs=10).val_score > 0.9


@pytest.mark.parametrize("size", [1, 2, 4, 8, 16])
def test_the_loss_of_an_epoch_is_the_mean_over_all_samples(size):
    data = phantoms(n=(9, 2, 2), size=16)
    torch.manual_seed(0)
    model, recorded = UNet(1, 1, widths=(4, 8)), []
    optimizer = torch.optim.SGD(model.parameters(), lr=0.0)
    loss = loss_function("bce", data)
    fit(model, data, epochs=1, batch_size=size, optimizer=optimizer, schedule=None, loss=loss, amp=False, seed=0,
        on_epoch=lambda _, metrics: recorded.append(metrics))  # fmt: skip
    with torch.no_grad():
        expected = loss(model(data.train.images), data.train.targets).item()
    assert recorded[1]["train/loss"] == pytest.approx(expected, rel=1e-6)
    sizes = [len(images) for images, _ in Batches(data, size, 0)]
    assert sum(sizes) == 9
    assert set(sizes[:-1]) <= {size}


def test_a_validation_score_that_is_undefined_stops_the_training():
    data = phantoms("classification", n=(8, 4, 4), size=16)
    flat = replace(data.val, targets=torch.ones(4, 2, dtype=torch.int64))
    several = replace(data, task="multilabel", val=flat)
    model = CNN(1, 2, filters=(4,), padding="same", hidden=(), input_size=(16, 16), multilabel=True)
    with pytest.raises(TrainingError, match="validation score: got nan in epoch 0"):
        train(model, several)


def test_the_first_epoch_is_kept_if_it_is_the_best(data):
    """After the first epoch the output is set to background everywhere; further epochs do not recover from this."""
    model, scores = network(), {}

    def on_epoch(epoch, metrics):
        scores[epoch] = metrics["val/score"]
        if epoch == 1:
            with torch.no_grad():
                list(model.parameters())[-1].fill_(-100.0)

    best = train(model, data, epochs=3, on_epoch=on_epoch)
    assert scores[1] > max(scores[2], scores[3])
    assert (best.epoch, best.val_score) == (1, scores[1])
