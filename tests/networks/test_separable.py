"""U-Nets with depthwise-separable convolutions: the formula, which blocks have them, parameters, initial weights."""

import pytest
import torch
import torch.nn.functional as F

from models import UNet
from models.blocks import ConvBlock, SeparableConv


def noise(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("spatial_dims", [2, 3])
def test_a_separable_convolution_is_a_full_one_of_products_of_weights(spatial_dims):
    """The filter of an output and an input channel is the filter of the input channel times a factor."""
    conv = SeparableConv(3, 5, 3, padding="same", bias=True, spatial_dims=spatial_dims)
    x = noise(2, 3, *(6,) * spatial_dims)
    products = conv.pointwise.weight * conv.depthwise.weight.transpose(0, 1)  # (5, 3, 3, 3[, 3])
    full = {2: F.conv2d, 3: F.conv3d}[spatial_dims](x, products, conv.pointwise.bias, padding="same")
    assert torch.allclose(conv(x), full, atol=1e-6)


def test_all_convolutions_but_the_first_are_separable():
    separable = UNet(1, 1, (4, 8, 8), separable=True)
    blocks = {name: module[0] for name, module in separable.named_modules() if isinstance(module, ConvBlock)}
    assert [name for name, conv in blocks.items() if not isinstance(conv, SeparableConv)] == ["enc1.conv1"]
    full = UNet(1, 1, (4, 8, 8))
    assert [tap.name for tap in separable.taps()] == [tap.name for tap in full.taps()]
    assert separable(noise(1, 1, 9, 7)).shape == (1, 1, 9, 7)


def test_parameters_of_separable_convolutions():
    """Beside the first block, up-convolutions and the output: 9 weights for each input channel, and input x output."""
    pairs = [(4, 4), (4, 8), (8, 8), (8, 4), (4, 4)]  # enc1.conv2, bottleneck, and dec1 after a skip of 4 channels
    blocks = sum(9 * before + before * after + after for before, after in pairs)
    first, up, out = 9 * 4 + 4, 4 * 8 * 4 + 4, 4 + 1
    assert (
        sum(weight.numel() for weight in UNet(1, 1, (4, 8), separable=True).parameters()) == first + blocks + up + out
    )


def test_the_initial_weights_of_full_convolutions_do_not_depend_on_the_option():
    torch.manual_seed(0)
    weights = UNet(1, 1, (4, 8), separable=False).state_dict()
    torch.manual_seed(0)
    assert all(torch.equal(weight, weights[name]) for name, weight in UNet(1, 1, (4, 8)).state_dict().items())
