"""Found layers: blocks, their roles and the skips of networks whose wiring is known, and main outputs."""

from typing import NamedTuple

import pytest
import torch
from monai.networks import nets
from torch import Tensor, nn
from torch.nn.functional import interpolate

from models import Custom, UNet
from models.finding import found_layers
from models.outputs import Binary, main_output, output_for
from models.skips import links

IMAGE = torch.rand(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def skips(network, image=IMAGE):
    """Return each skip with the layer in which it ends."""
    layers = found_layers(network, image)
    return {
        one["module"]: next(after["module"] for after in layers[number:] if after["role"] != "skip")
        for number, one in enumerate(layers)
        if one["role"] == "skip"
    }


@pytest.mark.parametrize(
    ("kinds", "wanted"),
    [
        ("all", {"enc1.conv2.2": "dec1.conv1.2", "enc2.conv2.2": "dec2.conv1.2"}),
        ("add", {"enc1.conv2.2": "dec1.conv1.2", "enc2.conv2.2": "dec2.conv1.2"}),
        (["off", "cat"], {"enc2.conv2.2": "dec2.conv1.2"}),
        ("none", {}),
    ],
)
def test_the_skips_of_a_unet_are_found(kinds, wanted):
    network = UNet(1, 1, widths=(4, 6, 8), skips=kinds).eval()
    assert skips(network) == wanted


def test_the_skips_of_a_network_of_a_library_are_found():
    assert skips(nets.BasicUNet(2, 1, 1, features=(4, 4, 4, 4, 4, 4)), torch.rand(1, 1, 32, 32)) == {
        f"{start}.convs.conv_1.adn.A" if i else "conv_0.conv_1.adn.A": f"upcat_{i + 1}.convs.conv_0.adn.A"
        for i, start in enumerate(["conv_0", "down_1", "down_2", "down_3"])
    }


def test_tracing_changes_nothing():
    network = UNet(1, 1, widths=(4, 8))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    links(network, IMAGE, ["enc1.conv1", "bottleneck.conv1"])
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


class InPlace(nn.Module):
    """Changes activations in place, with frozen weights, and adds a skip."""

    def __init__(self):
        super().__init__()
        self.a, self.b, self.c = nn.Conv2d(1, 2, 1), nn.Conv2d(2, 2, 2, 2), nn.Conv2d(2, 1, 1)
        self.requires_grad_(False)

    def forward(self, x):
        a = self.a(x).relu_()
        return self.c(interpolate(self.b(a).relu_(), scale_factor=2).add_(a))


def test_activations_that_change_in_place_and_frozen_weights_can_be_traced():
    assert links(InPlace(), IMAGE, ["a", "b", "c"]).reads == {"a": [], "b": ["a"], "c": ["a", "b"], "": ["c"]}
    assert skips(InPlace()) == {"a": "c"}


class Gated(nn.Module):
    """An encoder whose layers have gates of channels, and a decoder."""

    def __init__(self, channels=4):
        super().__init__()
        self.down = nn.ModuleList(nn.Conv2d(1 if i == 0 else channels, channels, 2, 2) for i in range(3))
        self.gates = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(3))
        self.up = nn.ModuleList(nn.ConvTranspose2d(channels, channels, 2, 2) for _ in range(3))
        self.head = nn.Conv2d(channels, 1, 1)

    def forward(self, x):
        for down, gate in zip(self.down, self.gates, strict=True):
            x = down(x)
            x = x * gate(x.mean(dim=(2, 3), keepdim=True)).sigmoid()
        for up in self.up:
            x = up(x)
        return self.head(x)


def test_gates_of_channels_are_no_bottleneck():
    roles = {layer["module"]: layer["role"] for layer in found_layers(Gated(), IMAGE)}
    assert [roles[f"down.{i}"] for i in range(3)] == ["encoder", "encoder", "bottleneck"]
    assert {roles[f"gates.{i}"] for i in range(3)} == {"feature"}
    assert {roles[f"up.{i}"] for i in range(3)} == {"up"}


def test_a_convolution_with_a_padding_of_its_own_is_a_block():
    class Padded(nn.Conv2d):
        def __init__(self):
            super().__init__(1, 3, 3)
            self.padding_of_image = nn.ZeroPad2d(1)

        def forward(self, x):
            return super().forward(self.padding_of_image(x))

    found = found_layers(nn.Sequential(Padded(), nn.ReLU(), nn.Conv2d(3, 1, 1)), IMAGE)
    assert [layer["module"] for layer in found] == ["1", "2"]


# Main outputs


class Pair(NamedTuple):
    logits: Tensor
    features: Tensor


class Several(nn.Module):
    """Has a main head, whose logits are resized, and an auxiliary head that runs last."""

    def __init__(self, wrap):
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(1, 4, 2, 2), nn.ReLU())
        self.main, self.aux, self.wrap = nn.Conv2d(4, 2, 1), nn.Conv2d(4, 3, 1), wrap

    def forward(self, x):
        body = self.body(x)
        return self.wrap(interpolate(self.main(body), scale_factor=2), self.aux(body))


WRAPS = {
    "out": lambda main, aux: {"out": main, "aux": aux},
    "0": lambda main, aux: [main, aux],
    "1.0": lambda main, aux: (aux, [main]),
    "logits": lambda main, aux: Pair(main, aux),
    "heads.main": lambda main, aux: {"heads": {"main": main}, "aux": aux},
}


@pytest.mark.parametrize("key", WRAPS)
def test_the_main_output_is_read_and_auxiliary_heads_are_no_layers(key):
    network = Several(WRAPS[key])
    custom = Custom(network, None, in_channels=1, input_size=(16, 16), output=key)
    x = torch.rand(3, 1, 16, 16)
    assert torch.equal(custom(x), interpolate(network.main(network.body(x)), scale_factor=2))
    found = [(tap.name, tap.module, tap.role, tap.level) for tap in custom.taps()]
    assert found == [
        ("body.1", "network.body.1", "feature", 2),
        ("main", "network.main", "feature", 2),
        ("out", "out", "output", 1),
    ] or [tap[0] for tap in found] == ["body.1", "main", "out"]
    kept = []
    custom.get_submodule("out").register_forward_hook(lambda _m, _i, output: kept.append(output))
    assert torch.equal(custom.taps()[-1].transform(custom(x)), kept[-1].softmax(dim=1))


@pytest.mark.parametrize(
    ("key", "message"),
    [
        ("mask", r"output: got 'mask', wanted one of out, aux; set model.output"),
        (None, r"output: got a dict with the keys out, aux, wanted one tensor; choose it, such as model.output=out"),
        ("out.0", r"output: got 'out.0', and the network gives a tensor of float32"),
    ],
)
def test_an_output_that_does_not_exist_is_refused(key, message):
    with pytest.raises(ValueError, match=message):
        Custom(Several(WRAPS["out"]), None, in_channels=1, input_size=(16, 16), output=key)


def test_an_index_may_be_a_number():
    assert main_output([1, 2], 1) == 2
    assert output_for(Several(WRAPS["0"]), IMAGE, 1).shape == (1, 3, 8, 8)


def test_patterns_select_layers_and_the_output():
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    taps = Custom(network, ["0", "[12]"], in_channels=1, input_size=(8, 8)).taps()
    assert [(tap.name, tap.role) for tap in taps] == [
        ("0", "feature"), ("1", "feature"), ("2", "feature"), ("4", "output")
    ]  # fmt: skip


def test_two_logits_of_a_binary_mask_become_their_difference():
    network = UNet(1, 2, widths=(4, 8)).eval()
    one = Binary(network)
    probability = one.taps()[-1].transform(one(IMAGE))
    assert torch.allclose(probability[:, 0], network(IMAGE).softmax(dim=1)[:, 1])
    assert [tap.name for tap in one.taps()] == [tap.name for tap in network.taps()]
    assert all(tap.module in dict(one.named_modules()) for tap in one.taps())
