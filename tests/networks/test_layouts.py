"""Custom finds the axis of the channels of a layer; if it cannot, it asks for the setting `channels`."""

import pytest
import torch
from torch import nn

from models import Custom


class Rearranged(nn.Module):
    """Network whose `layer` has the features of a convolution in another layout; `fixed` accepts only images of 8×8."""

    def __init__(self, layer, to, back, fixed=False, channels=6):
        super().__init__()
        self.conv, self.layer, self.out = nn.Conv2d(1, channels, 3, padding=1), layer, nn.Conv2d(channels, 1, 1)
        self.to, self.back, self.fixed = to, back, fixed

    def forward(self, x):
        if self.fixed and x.shape[2:] != (8, 8):
            raise ValueError("images of 8×8 alone")
        y = self.conv(x)
        return self.out(self.back(self.layer(self.to(y)), y))


def channels_last(y):
    return y.permute(0, 2, 3, 1)


def from_last(z, _):
    return z.permute(0, 3, 1, 2)


def tokens(y):
    return y.flatten(2).mT


def from_tokens(z, y):
    return z.mT.unflatten(2, y.shape[2:])


def custom(network, **tap):
    taps = [{"module": "conv", "role": "feature"}, {"module": "layer", "role": "feature"} | tap]
    return Custom(network, [*taps, {"module": "out", "role": "output"}], in_channels=1, input_size=(8, 8))


def read(network):
    tap = network.taps()[1]
    outputs = []
    handle = network.get_submodule(tap.module).register_forward_hook(lambda _m, _i, output: outputs.append(output))
    network(torch.rand(2, 1, 8, 8))
    handle.remove()
    return (tap.transform or (lambda output: output))(outputs[0]), tap.level


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize(
    ("to", "back", "shape"),
    [
        (channels_last, from_last, (2, 6, 8, 8)),
        (lambda y: y, lambda z, _: z, (2, 6, 8, 8)),
        (tokens, from_tokens, (2, 6, 8, 8)),
    ],
)
def test_the_axis_of_channels_is_the_one_whose_length_does_not_depend_on_the_image(to, back, shape, fixed):
    layer = nn.LayerNorm(6) if fixed and to is tokens else nn.Identity()
    activation, level = read(custom(Rearranged(layer, to, back, fixed)))
    assert activation.shape == shape
    assert level == 1


def test_another_image_size_identifies_channels_that_are_as_many_as_pixels_of_a_side():
    network = Rearranged(nn.Identity(), channels_last, from_last, channels=8)
    tap = custom(network).taps()[1]
    x = torch.rand(2, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    assert torch.equal(tap.transform(network.layer(channels_last(network.conv(x)))), network.conv(x))


@pytest.mark.parametrize(("to", "channels"), [((channels_last, from_last), 8), ((tokens, from_tokens), 64)])
def test_an_ambiguous_axis_of_channels_is_refused_and_can_be_set(to, channels):
    network = Rearranged(nn.Identity(), *to, fixed=True, channels=channels)
    with pytest.raises(ValueError, match=r"'layer' .* add channels: first or channels: last"):
        custom(network)
    activation, _ = read(custom(network, channels="last"))
    assert activation.shape[1] == channels
    with pytest.raises(ValueError, match="channels: got 'middle'"):
        custom(network, channels="middle")
