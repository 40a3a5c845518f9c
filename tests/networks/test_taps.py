"""The contract of the taps of every network: each tap is called once, and taps are in the order of the calls."""

from collections import Counter

import pytest
import torch

from models import CNN, Tap, UNet

UNETS = {
    "published": (UNet, {}, (3, 32, 32)),
    "mixed skips": (UNet, {"widths": (4, 8, 8, 16), "skips": ["cat", "add", "off"], "norm": "batch"}, (3, 24, 16)),
    "no skips": (UNet, {"widths": (4, 8), "skips": "none", "up": "interpolate", "norm": "group"}, (3, 6, 6)),
    "volumes": (UNet, {"widths": (4, 8, 8), "out_channels": 2, "spatial_dims": 3, "norm": "instance"}, (3, 8, 12, 8)),
}
VGG = {"filters": (4, 8), "kernel_size": 3, "padding": "same", "convs_per_stage": (1, 2), "global_pool": "avg"}
CNNS = {
    "LeNet-5": (CNN, {}, (1, 28, 28)),
    "VGG": (CNN, VGG | {"norm": "batch", "hidden": ()}, (1, 17, 12)),
    "multilabel volumes": (CNN, VGG | {"multilabel": True, "input_size": (8, 8, 8), "spatial_dims": 3}, (1, 4, 6, 5)),
}


def build(network, arguments, shape):
    return network(**arguments).eval(), torch.rand(2, *shape)


@pytest.fixture(params=UNETS)
def unet(request):
    return build(*UNETS[request.param])


@pytest.fixture(params=UNETS | CNNS)
def network(request):
    return build(*(UNETS | CNNS)[request.param])


def record(model, x):
    """Return the taps with their outputs in the order in which their modules are called, and the logits."""
    calls = []
    handles = [
        model.get_submodule(tap.module).register_forward_hook(
            lambda module, inputs, output, tap=tap: calls.append((tap, output.detach().clone()))
        )
        for tap in model.taps()
    ]
    logits = model(x)
    for handle in handles:
        handle.remove()
    return calls, logits


def test_every_tap_is_called_once_and_in_order(network):
    calls, _ = record(*network)
    assert [tap for tap, _ in calls] == network[0].taps()
    assert [tap.order for tap, _ in calls] == list(range(len(calls)))
    assert max(Counter(tap.name for tap, _ in calls).values()) == 1


def test_names_are_module_paths(network):
    assert all(tap.name == tap.module for tap in network[0].taps())


def test_spatial_size_of_a_unet_tap_halves_with_each_level(unet):
    model, x = unet
    for tap, output in record(model, x)[0]:
        assert output.shape[2:] == tuple(side // 2 ** (tap.level - 1) for side in x.shape[2:]), tap.name


def test_taps_are_after_the_activation(network):
    for tap, output in record(*network)[0]:
        if tap.role in ("encoder", "bottleneck", "decoder", "feature", "classifier"):
            assert output.min() == 0 < output.max(), tap.name


def test_up_is_linear(unet):
    model, _ = unet
    below = model.widths[-1]
    up = model.get_submodule(f"up{model.depth}")
    a, b = torch.randn(2, 1, below, *[4] * model.spatial_dims)
    assert torch.allclose(up(a + b) - up(a), up(b) - up(0 * b), atol=1e-5)


def test_the_output_tap_is_the_output_of_the_network_and_converts_logits_to_probabilities(network):
    calls, logits = record(*network)
    tap, output = calls[-1]
    assert tap.role == "output"
    assert torch.equal(output, logits)
    probabilities = tap.transform(output)
    if tap.transform is torch.sigmoid:
        assert torch.allclose(probabilities, 1 / (1 + torch.exp(-logits)))
    else:
        assert torch.allclose(probabilities.sum(1), torch.ones(()))
        assert torch.equal(probabilities.argmax(1), logits.argmax(1))
    assert all(tap.transform is None for tap, _ in calls[:-1])


def test_published_unet_has_the_23_measured_convolutions():
    # 2 x 4 encoder, 2 bottleneck, 4 up, 2 x 4 decoder and the output: 8 + 2 + 4 + 8 + 1 = 23
    taps = [tap for tap in UNet().taps() if tap.role != "skip"]
    names = [f"enc{level}.conv{i}" for level in (1, 2, 3, 4) for i in (1, 2)] + ["bottleneck.conv1", "bottleneck.conv2"]
    for level in (4, 3, 2, 1):
        names += [f"up{level}", f"dec{level}.conv1", f"dec{level}.conv2"]
    assert [tap.name for tap in taps] == [*names, "out"]
    assert len(taps) == 23


def test_a_skip_that_is_off_has_no_tap():
    names = {tap.name for tap in UNet(skips=["off", "cat", "add", "off"]).taps()}
    assert names & {"skip1", "skip2", "skip3", "skip4"} == {"skip2", "skip3"}


def test_levels_of_lenet_continue_in_its_classifier():
    assert [(tap.name, tap.role, tap.level) for tap in CNN().taps()] == [
        ("conv1", "feature", 1),
        ("conv2", "feature", 2),
        ("fc1", "classifier", 3),
        ("fc2", "classifier", 4),
        ("out", "output", 5),
    ]


def test_an_unknown_role_is_refused():
    with pytest.raises(ValueError, match=r"role: got 'middle', wanted one of input, encoder, .*; correct the spelling"):
        Tap("enc1", "enc1", "middle", 1, 0)
