"""Strict information discarding of networks: what must hold for any, and what its controls must show."""

import copy
import math

import pytest
import torch
from torch import nn

from bench.datasets import phantoms
from bench.diagnostics.discarding import WaterFilling, strict_information_discarding
from bench.diagnostics.discarding.damage import damaged
from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.images import Images
from bench.diagnostics.discarding.look import Look, Settings
from bench.diagnostics.discarding.skips import carried_by_skips, closed, merged_at
from bench.errors import InputError
from bench.hooks import upto
from bench.train import fit, loss_function
from models import Tap, UNet


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def found(f, x, **settings):
    return strict_information_discarding(f, x, **{"grid": 8, "rng": seeded()} | settings)


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(32, 16, 8), size=16, difficulty=0.0)


@pytest.fixture(scope="module")
def trained(data):
    torch.manual_seed(0)
    network = UNet(1, 1, (4, 8, 8), convs_per_level=1, norm="batch")
    optimizer = torch.optim.Adam(network.parameters(), lr=0.02)
    best = fit(
        network, data, epochs=6, batch_size=4, optimizer=optimizer, schedule=None, loss=loss_function("dice_ce", data),
        amp=False, seed=0, on_epoch=lambda *_: None,
    )  # fmt: skip
    assert best.val_score > 0.8
    return network.eval()


@pytest.fixture(scope="module")
def untrained():
    torch.manual_seed(1)
    return UNet(1, 1, (4, 8, 8), convs_per_level=1, norm="batch").eval()


@pytest.mark.parametrize("refine", [0, 8])
def test_the_realised_distortion_is_beta_at_every_layer_of_a_trained_network(trained, data, refine):
    x = data.val.images[:3]
    for tap in trained.taps():
        f = upto(trained, tap)
        got = found(f, x, solver=WaterFilling(refine=refine))
        missed = (got.distortion - 1.5).abs()
        assert (missed <= (3 * got.distortion_error).clamp(min=0.03)).all(), (tap.name, got.distortion)
        again, error = Distortion(f, x, (8, 8), 0.01)(got.sigma.flatten(1), torch.arange(3), seed=99, draws=1000)
        both = (got.distortion_error.square() + error.square()).sqrt()
        assert ((again - got.distortion).abs() <= (4 * both).clamp(min=0.03)).all(), (tap.name, again, got.distortion)


def test_refinement_finds_noise_of_no_less_entropy(trained, data):
    x, gains = data.val.images[:2], []
    for tap in trained.taps()[1::3]:
        plain, refined = (found(upto(trained, tap), x, solver=WaterFilling(refine=n)).sid_bits for n in (0, 24))
        gains += (refined - plain).tolist()
    assert min(gains) > -0.03  # bits; distortions are β within 2 % or three standard errors


@pytest.mark.parametrize("seed", [3, 7, 17, 26])
def test_cells_that_only_strong_noise_wakes_are_not_given_the_most(data, seed):
    torch.manual_seed(seed)  # where the image is black, every unit of these is dead, until noise of σ_max comes in
    network = UNet(1, 1, widths=(4, 8)).eval()
    got = found(upto(network, network.taps()[0]), data.val.images[:2])
    assert ((got.distortion - 1.5).abs() <= (3 * got.distortion_error).clamp(min=0.03)).all()
    assert got.capped.tolist() == [0, 0]
    assert (got.sid_bits > -6).all()


def test_networks_that_compute_the_same_have_the_same_map_whatever_their_weights():
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
        a, b = (found(network, x, solver=solver).entropy_bits for network in (one, other))
        torch.testing.assert_close(a, b, atol=0.02, rtol=0)
    hidden = [found(network[:2], x).entropy_bits for network in (one, other)]
    assert (hidden[0] - hidden[1]).abs().max() > 0.02  # there the networks are not the same


def test_damage_is_seen_from_the_damaged_layer_on_and_not_before(trained, data):
    broken, at = damaged(trained, "enc2.conv1", seed=0)
    x = data.val.images[:3]
    for tap in trained.taps():
        whole, hurt = (found(upto(network, tap), x).entropy_bits for network in (trained, broken))
        if tap.order < at.order or tap.name == "skip1":
            assert torch.equal(whole, hurt), tap.name
        elif tap.name in ("enc2.conv1", "bottleneck.conv1"):
            assert (whole - hurt).abs().mean() > 0.05, tap.name


def test_damage_shuffles_the_weights_of_one_layer_and_nothing_else(trained):
    broken, at = damaged(trained, None, seed=0)
    changed = [
        name for name, weight in trained.named_parameters() if not torch.equal(weight, broken.get_parameter(name))
    ]
    assert changed == [f"{at.module}.0.weight"]
    whole, hurt = (network.get_parameter(changed[0]).detach() for network in (trained, broken))
    assert torch.equal(whole.flatten().sort().values, hurt.flatten().sort().values)
    again, _ = damaged(trained, None, seed=0)
    assert torch.equal(again.get_parameter(changed[0]), broken.get_parameter(changed[0]))
    with pytest.raises(InputError, match=r"damage: got 'enc9', wanted a tap with weights, one of enc1\.conv1,"):
        damaged(trained, "enc9", seed=0)


# Skips


def look_at(network, data, images=2):
    images = Images.chosen(data, data.val, images, seed=0)
    return Look(network, images, Settings((8, 8), 1.5, 0.01, 1.0, WaterFilling()), seed=0)


def test_a_closed_skip_lets_nothing_through(trained, data):
    x = data.val.images[:1]
    taps = {tap.name: tap for tap in trained.taps()}
    f = closed(trained, taps["skip1"], taps["dec1.conv1"], x)
    torch.testing.assert_close(f(x), upto(trained, taps["dec1.conv1"])(x))  # on the clean image it changes nothing
    noisy = x + 0.1 * torch.randn(4, *x.shape[1:], generator=seeded())
    assert not torch.equal(f(noisy), upto(trained, taps["dec1.conv1"])(noisy))
    with torch.no_grad():  # nothing comes from below either: nothing moves
        blind = copy.deepcopy(trained)
        nn.init.zeros_(blind.up1.weight)
        moved = closed(blind, taps["skip1"], taps["dec1.conv1"], x)(noisy)
        torch.testing.assert_close(moved, moved[:1].expand_as(moved))
    assert merged_at(trained.taps(), taps["skip2"]).name == "dec2.conv1"


def test_what_goes_by_the_skip_alone_is_what_a_blind_bottleneck_leaves_to_it(untrained, data):
    blind = copy.deepcopy(untrained)
    for name in ("up1", "up2"):
        nn.init.zeros_(blind.get_submodule(name).weight)
    rows = list(carried_by_skips(look_at(blind, data), blind.taps()))
    assert [row["closed"] for row, _ in rows] == ["skip2", "skip2", "skip1", "skip1"]
    for row, carried in rows:  # with the skip closed nothing of the image is left
        assert carried is None
        assert "undefined" in row["reason"]
    whole = list(carried_by_skips(look_at(untrained, data), untrained.taps()))
    assert all(row["carried"] > 0 and carried.shape == (8, 8) for row, carried in whole)
    assert all(row["carried"] == pytest.approx(row["sid"] - row["sid_open"], abs=1e-6) for row, _ in whole)


def test_a_network_without_skips_carries_nothing_by_them(data):
    network = UNet(1, 1, (4, 8), skips="none").eval()
    assert list(carried_by_skips(look_at(network, data), network.taps())) == []


def test_a_skip_that_ends_nowhere_is_an_error():
    with pytest.raises(InputError, match="tap skip1: the model has no tap of the decoder at level 1"):
        merged_at([Tap("skip1", "skip1", "skip", 1, 0)], Tap("skip1", "skip1", "skip", 1, 0))


# Layers


def test_rows_of_layers_and_what_is_undefined(data):
    class Dead(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(1, 2, 3, padding=1), nn.Conv2d(2, 1, 3, padding=1)
            nn.init.zeros_(self.b.weight)

        def forward(self, x):
            return self.b(self.a(x))

        def taps(self):
            return [Tap("a", "a", "encoder", 1, 0), Tap("b", "b", "output", 1, 1)]

    network = Dead().eval()
    rows = list(look_at(network, data).layers(network.taps(), absolute=True, decoders=None))
    alive, dead = rows[:2], rows[2:]
    for row, entropy in alive:
        assert row["sid"] == pytest.approx(float(entropy.mean()))
        assert row["sid_running_max"] == row["sid"]
        assert all(math.isfinite(row[name]) for name in ("sid_absolute", "concentration", "score", "distortion_error"))
    for row, entropy in dead:
        assert entropy is None
        assert row["tap"] == "b"
        assert "undefined" in row["reason"]


def test_a_layer_without_gradient_and_one_that_is_not_finite_are_rows_with_their_reason(data):
    class Odd(nn.Module):
        def __init__(self):
            super().__init__()
            self.whole, self.stepped, self.endless = nn.Conv2d(1, 2, 3, padding=1), nn.Identity(), nn.Identity()

        def forward(self, x):
            x = self.whole(x)
            return self.endless(self.stepped((x.detach() > 0).float()) / 0)[:, :1]

        def taps(self):
            return [Tap(name, name, "feature", 1, order) for order, name in enumerate(("whole", "stepped", "endless"))]

    network = Odd().eval()
    rows = [row for row, _ in look_at(network, data).layers(network.taps(), absolute=False, decoders=None)]
    reasons = {row["tap"]: row.get("reason") for row in rows}
    assert reasons["whole"] is None
    assert "without gradient" in reasons["stepped"]
    assert "not finite" in reasons["endless"]


def test_images_outside_0_and_1_are_measured_in_units_of_their_range(data):
    torch.manual_seed(0)
    network = UNet(1, 1, (4, 8)).eval()
    f = upto(network, network.taps()[0])
    x = data.val.images[:2]
    units = found(f, x)
    shifted = Images(data, data.val, low=-2.0, span=4.0)
    wide = found(shifted.from_units(lambda images: f((images + 2) / 4)), shifted.units(4 * x - 2, network))
    torch.testing.assert_close(units.entropy_bits, wide.entropy_bits, atol=1e-3, rtol=0)


def test_a_tap_of_a_module_that_gives_no_tensor_is_named():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    network = nn.Sequential(Pair())
    with pytest.raises(InputError, match="tap pair: 0 gives a tuple, wanted a tensor"):
        upto(network, Tap("pair", "0", "feature", 1, 0))(torch.zeros(1, 1, 4, 4))


def test_a_tap_that_does_not_run_is_named():
    network = UNet(1, 1, (4, 8), skips="none")
    with pytest.raises(InputError, match="tap lost: its module skip1 doesn't run in a forward pass"):
        upto(network, Tap("lost", "skip1", "skip", 1, 0))(torch.zeros(1, 1, 16, 16))
