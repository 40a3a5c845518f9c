"""Parts of the networks: layers by number of spatial dimensions, the convolution block, initialisation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn

from models import checks

SPATIAL_DIMS = (2, 3)
NORMS = ("none", "batch", "instance", "group")
INITS = ("torch", "glorot")
ACTIVATIONS: dict[str, Callable[[], nn.Module]] = {
    "relu": partial(nn.ReLU, inplace=True),
    "leaky_relu": partial(nn.LeakyReLU, inplace=True),
    "elu": partial(nn.ELU, inplace=True),
    "silu": partial(nn.SiLU, inplace=True),
    "gelu": nn.GELU,
    "tanh": nn.Tanh,
    "sigmoid": nn.Sigmoid,
}


def layer(kind: str, spatial_dims: int) -> type[nn.Module]:
    """Return PyTorch's class of this kind: `layer("Conv", 3)` is `nn.Conv3d`."""
    return getattr(nn, f"{kind}{checks.choice('spatial_dims', spatial_dims, SPATIAL_DIMS)}d")


def normalisation(norm: str, channels: int, spatial_dims: int) -> nn.Module:
    """Make a normalisation with learnt scale and shift.

    The number of groups of "group" is the largest one up to 8 that divides the channels.
    """
    match checks.choice("norm", norm, NORMS):
        case "none":
            return nn.Identity()
        case "batch":
            return layer("BatchNorm", spatial_dims)(channels)
        case "instance":
            return layer("InstanceNorm", spatial_dims)(channels, affine=True)
        case _:  # group
            groups = max(divisor for divisor in range(1, 9) if channels % divisor == 0)
            return nn.GroupNorm(groups, channels)


def nonlinearity(activation: str) -> nn.Module:
    """Make the activation with this name."""
    return ACTIVATIONS[checks.choice("activation", activation, ACTIVATIONS)]()


class SeparableConv(nn.Sequential):
    """A depthwise-separable convolution: one filter for each input channel, then a 1x1 convolution over the channels.

    References:
        Chollet, CVPR 2017, arXiv 1610.02357, without an activation between the two.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel_size: int, *, padding: str, bias: bool, spatial_dims: int
    ):
        conv = layer("Conv", spatial_dims)
        depthwise = conv(in_channels, in_channels, kernel_size, padding=padding, groups=in_channels, bias=False)
        pointwise = conv(in_channels, out_channels, 1, bias=bias)
        super().__init__(OrderedDict(depthwise=depthwise, pointwise=pointwise))

    def forward(self, x: Tensor) -> Tensor:
        # Weights of such a shape have no definite layout, so that the input decides. A CPU needs half of the time for a
        # forward pass in this layout.
        layout = torch.channels_last if x.dim() == 4 else torch.channels_last_3d
        return super().forward(x.contiguous(memory_format=layout))


class ConvBlock(nn.Sequential):
    """Convolution, normalisation and activation: (N, in_channels, *spatial) to (N, out_channels, *spatial').

    They are one module, so a tap on it lies after normalisation and activation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        kernel_size: int = 3,
        padding: str = "same",
        norm: str,
        activation: str,
        spatial_dims: int,
        separable: bool = False,
    ):
        bias = norm not in ("batch", "instance")  # these normalisations subtract the bias
        conv = partial(SeparableConv, spatial_dims=spatial_dims) if separable else layer("Conv", spatial_dims)
        super().__init__(
            conv(in_channels, out_channels, kernel_size, padding=padding, bias=bias),
            normalisation(norm, out_channels, spatial_dims),
            nonlinearity(activation),
        )


def initialise(network: nn.Module, init: str) -> None:
    """Initialise a network in place.

    Args:
        network: The network.
        init: "torch" keeps PyTorch's values. "glorot" draws uniform weights of standard deviation sqrt(2 / (fan_in +
            fan_out)); biases are 0.

    References:
        Glorot & Bengio 2010, eq. 16.
    """
    if checks.choice("init", init, INITS) == "torch":
        return
    for module in network.modules():
        if isinstance(module, nn.modules.conv._ConvNd | nn.Linear):
            nn.init.xavier_uniform_(module.weight)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
