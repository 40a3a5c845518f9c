"""References of information discarding: damaged weights, closed skips, and untrained networks."""

import copy

import pytest
import torch
from discarding_cases import layerwise, measure_images, seeded
from torch import nn

from bench.diagnostics.discarding.diagnostic import close_skip, damage_layer, find_merge, measure_skips
from bench.errors import InputError
from bench.layers.hooks import function_up_to
from models import Tap, UNet


@pytest.mark.processes
def test_damage_changes_the_map_of_the_damaged_layer_but_of_no_earlier_layer(trained, data):
    broken, at = damage_layer(trained, "enc2.conv1", seed=0)
    x = data.val.images[:3]
    for tap in trained.taps():
        whole, damaged = (measure_images(function_up_to(network, tap), x).entropy_bits for network in (trained, broken))
        if tap.order < at.order or tap.name == "skip1":
            assert torch.equal(whole, damaged), tap.name
        elif tap.name in ("enc2.conv1", "bottleneck.conv1"):
            assert (whole - damaged).abs().mean() > 0.05, tap.name


def test_damage_shuffles_the_weights_of_one_layer_only(trained):
    broken, at = damage_layer(trained, None, seed=0)
    changed = [
        name for name, weight in trained.named_parameters() if not torch.equal(weight, broken.get_parameter(name))
    ]
    assert changed == [f"{at.module}.0.weight"]
    whole, damaged = (network.get_parameter(changed[0]).detach() for network in (trained, broken))
    assert torch.equal(whole.flatten().sort().values, damaged.flatten().sort().values)
    again, _ = damage_layer(trained, None, seed=0)
    assert torch.equal(again.get_parameter(changed[0]), broken.get_parameter(changed[0]))
    with pytest.raises(InputError, match=r"damage: got 'enc9', wanted a tap with weights, one of enc1\.conv1,"):
        damage_layer(trained, "enc9", seed=0)


# Skips


def test_a_closed_skip_transmits_no_noise(trained, data):
    x = data.val.images[:1]
    taps = {tap.name: tap for tap in trained.taps()}
    f = close_skip(trained, taps["skip1"], taps["dec1.conv1"], x)
    torch.testing.assert_close(
        f(x), function_up_to(trained, taps["dec1.conv1"])(x)
    )  # on the clean image, closing the skip changes nothing
    noisy = x + 0.1 * torch.randn(4, *x.shape[1:], generator=seeded())
    assert not torch.equal(f(noisy), function_up_to(trained, taps["dec1.conv1"])(noisy))
    with torch.no_grad():  # without information from the deeper levels, the output is constant
        blind = copy.deepcopy(trained)
        nn.init.zeros_(blind.up1.weight)
        moved = close_skip(blind, taps["skip1"], taps["dec1.conv1"], x)(noisy)
        torch.testing.assert_close(moved, moved[:1].expand_as(moved))
    assert find_merge(trained.taps(), taps["skip2"]).name == "dec2.conv1"


def test_without_deeper_levels_a_closed_skip_leaves_no_information(untrained, data):
    blind = copy.deepcopy(untrained)
    for name in ("up1", "up2"):
        nn.init.zeros_(blind.get_submodule(name).weight)
    rows = list(measure_skips(layerwise(blind, data), blind.taps()))
    assert [row["closed"] for row, _ in rows] == ["skip2", "skip2", "skip1", "skip1"]
    for row, carried in rows:  # with the skip closed, the layer does not depend on the image
        assert carried is None
        assert "undefined" in row["reason"]
    whole = list(measure_skips(layerwise(untrained, data), untrained.taps()))
    assert all(row["carried"] > 0 and carried.shape == (8, 8) for row, carried in whole)
    assert all(row["carried"] == pytest.approx(row["sid"] - row["sid_open"], abs=1e-6) for row, _ in whole)


def test_a_network_without_skips_has_no_rows_of_skips(data):
    network = UNet(1, 1, (4, 8), skips="none").eval()
    assert list(measure_skips(layerwise(network, data), network.taps())) == []


def test_a_skip_without_a_layer_that_merges_it_is_refused():
    with pytest.raises(InputError, match="tap skip1: got no tap of the decoder or the output at level 1 or finer"):
        find_merge([Tap("skip1", "skip1", "skip", 1, 0)], Tap("skip1", "skip1", "skip", 1, 0))
