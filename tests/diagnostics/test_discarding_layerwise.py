"""Layer-wise measurement of networks: properties that hold for every network, and rows without a result."""

import copy
import math

import pytest
import torch
from discarding_cases import layerwise, measure_images, seeded
from torch import nn

from bench.diagnostics.discarding import WaterFilling
from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.layerwise import Images
from bench.diagnostics.discarding.optimization import relative_spread
from bench.errors import InputError
from bench.layers.hooks import function_up_to
from models import Tap, UNet


@pytest.mark.processes
@pytest.mark.parametrize("refine", [0, 8])
def test_the_realised_distortion_is_beta_at_every_layer_of_a_trained_network(trained, data, refine):
    x = data.val.images[:3]
    for tap in trained.taps():
        f = function_up_to(trained, tap)
        found = measure_images(f, x, solver=WaterFilling(refine=refine))
        missed = (found.distortion - 1.5).abs()
        assert (missed <= (3 * found.distortion_error).clamp(min=0.03)).all(), (tap.name, found.distortion)
        again, error = Distortion(f, x, (8, 8), 0.01)(found.sigma.flatten(1), torch.arange(3), seed=99, draws=1000)
        both = (found.distortion_error.square() + error.square()).sqrt()
        assert ((again - found.distortion).abs() <= (4 * both).clamp(min=0.03)).all(), (
            tap.name,
            again,
            found.distortion,
        )


def test_refinement_does_not_reduce_the_entropy(trained, data):
    x, gains = data.val.images[:2], []
    for tap in trained.taps()[1::3]:
        plain, refined = (
            measure_images(function_up_to(trained, tap), x, solver=WaterFilling(refine=n)).sid_bits for n in (0, 24)
        )
        gains += (refined - plain).tolist()
    assert min(gains) > -0.03  # bits; distortions equal β within 2 % or three standard errors


@pytest.mark.processes
def test_refinement_ends_even_and_at_the_same_entropy_for_other_draws(trained, data):
    x = data.val.images[:2]
    for tap in trained.taps():
        f = function_up_to(trained, tap)
        one, other = (measure_images(f, x, solver=WaterFilling(refine=100), rng=seeded(seed)) for seed in (0, 1))
        # corrected to a distortion of exactly β
        alike = [each.sid_bits - (each.distortion / 1.5).log2() / 2 for each in (one, other)]
        assert (alike[0] - alike[1]).abs().max() < 0.03, tap.name
        sigma, added = one.sigma.flatten(1), Distortion(f, x, (8, 8), 0.01).by_cell
        left = relative_spread(*(added(sigma, seed, draws=512)[1] for seed in (0, 1)), sigma < 1)
        assert left.nan_to_num().max() < 0.3, tap.name


@pytest.mark.parametrize("seed", [3, 7, 17, 26])
def test_cells_whose_units_only_strong_noise_activates_do_not_get_maximal_noise(data, seed):
    # with these seeds every unit is inactive where the image is black, unless the noise is as strong as σ_max
    torch.manual_seed(seed)
    network = UNet(1, 1, widths=(4, 8)).eval()
    found = measure_images(function_up_to(network, network.taps()[0]), data.val.images[:2])
    assert ((found.distortion - 1.5).abs() <= (3 * found.distortion_error).clamp(min=0.03)).all()
    assert found.capped.tolist() == [0, 0]
    assert (found.sid_bits > -6).all()


def test_networks_that_compute_the_same_function_have_the_same_map():
    torch.manual_seed(0)
    one = nn.Sequential(nn.Conv2d(1, 8, 3), nn.ReLU(), nn.Conv2d(8, 6, 3), nn.ReLU(), nn.Flatten(), nn.Linear(864, 3))
    other, order = copy.deepcopy(one), torch.randperm(8)
    gains = 2.0 ** torch.randint(-3, 4, (8,))
    other[0].weight.data = (one[0].weight * gains[:, None, None, None])[order]
    other[0].bias.data = (one[0].bias * gains)[order]
    other[2].weight.data = (one[2].weight / gains[None, :, None, None])[:, order]
    x = torch.rand(2, 1, 16, 16, generator=seeded())
    torch.testing.assert_close(one(x), other(x))
    for solver in (WaterFilling(), WaterFilling(refine=6)):
        a, b = (measure_images(network, x, solver=solver).entropy_bits for network in (one, other))
        torch.testing.assert_close(a, b, atol=0.02, rtol=0)
    hidden = [measure_images(network[:2], x).entropy_bits for network in (one, other)]
    assert (hidden[0] - hidden[1]).abs().max() > 0.02  # the hidden layers of the networks differ


# Layers


def test_rows_of_layers_and_of_a_constant_layer(data):
    class ConstantOutput(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)
            nn.init.zeros_(self.b.weight)

        def forward(self, x):
            return self.b(self.a(x))

        def taps(self):
            return [Tap("a", "a", "encoder", 1, 0), Tap("b", "b", "output", 1, 1)]

    network = ConstantOutput().eval()
    rows = list(layerwise(network, data).measure_layers(network.taps(), absolute=True, decoders=None))
    varying, constant = rows[:2], rows[2:]
    for row, entropy in varying:
        assert row["sid"] == pytest.approx(float(entropy.mean()))
        assert row["sid_running_max"] == row["sid"]
        assert all(math.isfinite(row[name]) for name in ("sid_absolute", "concentration", "score", "distortion_error"))
    for row, entropy in constant:
        assert entropy is None
        assert row["tap"] == "b"
        assert "undefined" in row["reason"]


def test_layers_without_gradient_or_with_infinite_values_give_rows_with_their_reason(data):
    class Unmeasurable(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole, self.stepped, self.endless = nn.Conv2d(1, 2, 3, padding=1), nn.Identity(), nn.Identity()

        def forward(self, x):
            x = self.whole(x)
            return self.endless(self.stepped((x.detach() > 0).float()) / 0)[:, :1]

        def taps(self):
            return [Tap(name, name, "feature", 1, order) for order, name in enumerate(("whole", "stepped", "endless"))]

    network = Unmeasurable().eval()
    rows = [row for row, _ in layerwise(network, data).measure_layers(network.taps(), absolute=False, decoders=None)]
    reasons = {row["tap"]: row.get("reason") for row in rows}
    assert reasons["whole"] is None
    assert "without gradient" in reasons["stepped"]
    assert "not finite" in reasons["endless"]


def test_images_outside_0_and_1_are_measured_in_units_of_their_range(data):
    torch.manual_seed(0)
    network = UNet(1, 1, (4, 8)).eval()
    f = function_up_to(network, network.taps()[0])
    x = data.val.images[:2]
    units = measure_images(f, x)
    shifted = Images(data, data.val, low=-2.0, span=4.0)
    wide = measure_images(shifted.from_units(lambda images: f((images + 2) / 4)), shifted.to_units(4 * x - 2, network))
    torch.testing.assert_close(units.entropy_bits, wide.entropy_bits, atol=1e-3, rtol=0)


def test_a_tap_of_a_module_that_gives_no_tensor_is_named():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    network = nn.Sequential(Pair())
    with pytest.raises(InputError, match="tap pair: 0 gives a tuple, wanted a tensor"):
        function_up_to(network, Tap("pair", "0", "feature", 1, 0))(torch.zeros(1, 1, 4, 4))


def test_a_tap_that_does_not_run_is_named():
    network = UNet(1, 1, (4, 8), skips="none")
    with pytest.raises(InputError, match="tap lost: its module skip1 runs 0 times in a forward pass"):
        function_up_to(network, Tap("lost", "skip1", "skip", 1, 0))(torch.zeros(1, 1, 16, 16))
