"""Activations, estimates, maps of discarded information and proposals on a device agree with those of the CPU."""

import copy

import numpy as np
import pytest
import torch

import bench
from bench.datasets import phantoms
from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.estimators import Renyi, VInformation
from bench.estimators.entropies import eigenvalues
from bench.information.reductions import Columns, Distances
from bench.layers.capture import capture
from bench.layers.pixels import Locations, capture_at
from bench.pruning.designs import design_of
from bench.pruning.search.asker import Asker
from bench.training.losses import monai_loss
from models import UNet

CLOSE = 1e-4  # of the largest activation: float32 in other orders
BITS = 0.01  # of estimates, whose nearest neighbours and permuted nulls may change with the last digits
DATA = phantoms(n=(48, 24, 8), size=16)


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(0)
    return UNet(1, 1, widths=(4, 8), norm="none").eval()


def on(device, network):
    return copy.deepcopy(network).to(device)


def assert_close(found, wanted):
    np.testing.assert_allclose(found, wanted, atol=CLOSE * np.abs(wanted).max())


@pytest.mark.parametrize("loss", [None, monai_loss("dice_ce", binary=True)])
def test_activations_and_errors(device, network, loss):
    def with_axis(logits, targets):
        return loss(logits, targets[:, None].float())

    def read(model):
        captured = capture(model, DATA.val, model.taps(), (Distances(), Columns()), loss=loss and with_axis)
        return [each.present for each in captured]

    for found, wanted in zip(read(on(device, network)), read(network), strict=True):
        assert_close(found.read(Columns()), wanted.read(Columns()))
        assert_close(found.read(Distances()), wanted.read(Distances()))


@pytest.mark.parametrize("view", ["pixel", "patch"])
def test_activations_at_locations(device, network, view):
    locations = Locations.draw(DATA, DATA.val, 200, np.random.default_rng(0))

    def read(model):
        return [each.present.samples for each in capture_at(model, DATA.val, model.taps(), locations, view)]

    for found, wanted in zip(read(on(device, network)), read(network), strict=True):
        assert found.dtype == np.float64
        assert_close(found, wanted)


@pytest.mark.parametrize("view", ["image", "pixel"])
def test_information_in_layers(device, network, view):
    def bits(model):
        table = bench.measure(
            model, DATA.val.images, DATA.val.targets, estimators=["kde"], view=view, untrained=0, locations=96
        )
        return table.frame["bits"].to_numpy()

    np.testing.assert_allclose(bits(on(device, network)), bits(network), atol=BITS)


def test_eigenvalues(device, monkeypatch):
    matrices = np.random.default_rng(0).normal(size=(3, 20, 20))
    matrices = matrices @ matrices.swapaxes(1, 2)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: device.type == "cuda")
    np.testing.assert_allclose(eigenvalues(matrices), np.linalg.eigvalsh(matrices), atol=1e-11)


def test_discarding_of_a_linear_layer_is_its_closed_form(device):
    layer = torch.nn.Linear(3, 3, bias=False).double().to(device)
    with torch.no_grad():
        layer.weight.copy_(torch.diag(torch.tensor([1.0, 2.0, 4.0])))
    x = torch.zeros(1, 1, 3, dtype=torch.float64, device=device)
    found = strict_information_discarding(
        lambda x: layer(x.flatten(1)), x, grid=(1, 3), rng=torch.Generator().manual_seed(0)
    )
    assert found.sigma.cpu()[0] == pytest.approx(np.array([0.0324, 0.0162, 0.0081]), rel=0.01)


def test_maps_of_discarded_information(device, network):
    """The draws of noise differ between devices. Their distortion is within 2 % of the bound, which is 0.015 bits."""
    images = DATA.test.images[:2]
    wanted = bench.discarding(network, images, grid=4, refine=0)
    found = bench.discarding(on(device, network), images, grid=4, refine=0)
    for tap, each in wanted.items():
        assert found[tap].entropy_bits.device.type == "cpu"
        torch.testing.assert_close(found[tap].sid_bits, each.sid_bits, rtol=0, atol=0.1)
        assert found[tap].distortion.numpy() == pytest.approx(1.5, rel=0.05)


def test_refinement(device, network):
    model = on(device, network)
    x = DATA.test.images[:2].to(device)
    found = strict_information_discarding(
        model, x, grid=4, rng=torch.Generator().manual_seed(0), solver=WaterFilling(refine=4)
    )
    assert found.distortion.cpu().numpy() == pytest.approx(1.5, rel=0.05)


def test_questions_of_propose(device, network):
    def asked(model):
        estimators = {"probe": VInformation(permutations=3), "renyi_2": Renyi(alpha=2, permutations=3)}
        asker = Asker(model, DATA, design_of(network), estimators, seed=0, views=["pixel"], samples=256)
        return [asker.slot(slot, name, "pixel").bits for slot in asker.tap_of for name in estimators]

    np.testing.assert_allclose(asked(on(device, network)), asked(network), atol=BITS)
