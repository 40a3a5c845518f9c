"""The trial step: networks that would fail or mislead during training are refused with one line before it."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench.config.build import check_output
from bench.datasets import phantoms
from bench.errors import InputError
from bench.training.train import loss_function
from bench.training.trial import check_training
from models import UNet


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(9, 4, 4), size=16)


class Net(nn.Module):
    """Network whose output is `make` of the output of a convolution."""

    def __init__(self, make=lambda y, training: y):
        super().__init__()
        torch.manual_seed(0)
        self.conv, self.make = nn.Conv2d(1, 1, 3, padding=1), make

    def forward(self, x):
        return self.make(self.conv(x), self.training)


class InPlace(Net):
    def forward(self, x):
        return self.conv(x.sub_(0.5))


class RandomOutput(Net):
    def forward(self, x):
        return self.conv(x) + torch.rand(1)


def train_step(model, data, batch_size=4, teacher=None):
    check_output(model, data)
    check_training(model, data, loss_function("auto", data), 1, batch_size, teacher)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (Net(lambda y, _: {"out": y, "aux": y}), "gives a dict with the keys out, aux in evaluation mode"),
        (Net(lambda y, _: [y, y]), "gives a list of 2 in evaluation mode"),
        (Net(lambda y, training: (y, y) if training else y), "gives a tuple of 2 in training mode"),
        (Net(lambda y, training: {"out": y} if training else y), "dict with the keys out in training mode"),
        (Net(lambda y, training: torch.stack([y, y]) if training else y), "in training mode, wanted"),
        (Net(lambda y, _: (y > 0).long()), "a tensor of int64"),
        (Net(lambda y, _: None), "an object of NoneType"),
        (Net(lambda y, _: y / 0), "NaN or infinite"),
        (Net(lambda y, training: y * (torch.inf if training else 1)), "train.loss: got"),
        (Net(lambda y, _: y - y.mean(dim=0)), "for an image alone .* and in a batch"),
        (Net(lambda y, _: y.squeeze()), "wanted one tensor of logits|output of shape|for an image alone"),
        (Net(lambda y, _: y[:1]), r"output of shape \(1, 1, 16, 16\) for 2 images"),
        (Net(lambda y, _: y.detach()), "in a step of training on 4 images"),
        (RandomOutput(), "different outputs for the same images"),
        (InPlace(), "in place"),
        (Net().requires_grad_(False), "no parameter that requires a gradient"),
        (nn.Identity(), "has no parameter, wanted one"),
        (Net().half(), "conv.weight is float16, wanted float32"),
        (Net().double(), "conv.weight is float64, wanted float32"),
        (nn.Conv2d(1, 1, 1, device="meta"), "weight is on the meta device"),
        (nn.LazyConv2d(1, 1), "weight has no shape yet"),
        (nn.Conv2d(3, 1, 1), r"refuses images of shape \(1, 16, 16\) in evaluation mode"),
    ],
)
def test_networks_that_cannot_be_trained_are_refused_with_one_line(data, network, message):
    with pytest.raises(InputError, match=message) as refused:
        train_step(network, data)
    assert "\n" not in str(refused.value)


def test_compiled_networks_are_refused(data):
    with pytest.raises(InputError, match="compiled by torch"):
        check_output(torch.compile(Net(), backend="eager"), data)


def test_a_trial_changes_neither_the_network_nor_the_random_state(data):
    model = nn.Sequential(UNet(1, 1, widths=(4, 8), norm="batch"), nn.Dropout(0.5)).train()
    before, state = copy.deepcopy(model.state_dict()), torch.get_rng_state()
    train_step(model[0], data)
    check_training(model, data, loss_function("auto", data), 1, 4)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert model.training
    assert model[1].training


def test_a_last_batch_of_one_is_refused_only_if_batch_normalisation_fails():
    data = phantoms("classification", n=(9, 4, 4), size=16)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.BatchNorm2d(1), nn.Flatten(), nn.Linear(1, 2))
    for size, works in ((4, 3), (8, 7), (1, 2)):
        if 9 % works == 1:
            works = 3
        with pytest.raises(
            InputError, match=f"got {size}, which makes a batch of one out of 9 .* train.batch_size={works}"
        ):
            train_step(head, data, size)
    train_step(head, data, 3)
    train_step(
        UNet(1, 1, widths=(4, 8), norm="batch"), phantoms(n=(9, 4, 4), size=16), 4
    )  # here batch normalisation is over pixels


def test_labels_without_a_defined_auroc_are_refused():
    data = phantoms("classification", n=(8, 4, 4), size=16)
    constant = replace(data.val, targets=torch.ones(4, 2, dtype=torch.int64))
    several = replace(data, task="multilabel", val=constant)
    with pytest.raises(InputError, match="no label that some validation samples have"):
        check_training(nn.Identity(), several, loss_function("bce", several), 1, 4)


def test_the_trial_also_runs_with_a_teacher(data):
    with pytest.raises(InputError, match="gives a dict"):
        check_output(Net(lambda y, _: {"out": y}), data)
    train_step(Net(), data, teacher=Net().eval())
