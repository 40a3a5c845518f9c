"""Plain convolutional classifiers with named taps. The numbers of filters can be chosen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from math import prod
from typing import Any

from torch import Tensor, nn

from models import checks
from models.blocks import SPATIAL_DIMS, ConvBlock, initialise, layer, nonlinearity
from models.taps import Point, Tap, order_taps, sigmoid, softmax

PADDINGS = ("same", "valid")
POOLS = {"max": "MaxPool", "avg": "AvgPool"}
GLOBAL_POOLS = {"max": "AdaptiveMaxPool", "avg": "AdaptiveAvgPool"}


@dataclass(frozen=True)
class _Stage:
    """Convolution blocks and the pool after them."""

    number: int
    filters: int
    kernel_size: int
    padding: str
    convs: int

    def __post_init__(self):
        checks.count("kernel_size", self.kernel_size)
        checks.choice("padding", self.padding, PADDINGS)
        checks.count("convs_per_stage", self.convs)

    @property
    def names(self) -> list[str]:
        """Names of the convolution blocks."""
        name = f"conv{self.number}"
        return [name] if self.convs == 1 else [f"{name}_{i + 1}" for i in range(self.convs)]

    @property
    def trimmed(self) -> int:
        """Number of pixels by which the convolutions shorten a side."""
        return self.convs * (self.kernel_size - 1) if self.padding == "valid" else 0


class CNN(nn.Module):
    """A convolutional classifier: images (N, in_channels, *input_size) to logits (N, num_classes).

    The network has stages of convolution blocks, each followed by a pool that halves the size, and then fully connected
    layers. The defaults are LeNet-5 as Yu et al. measured it: 6@5x5, pool, 16@5x5, pool, 120, 84, 10.

    Args:
        in_channels: Channels of the images.
        num_classes: Number of classes.
        filters: Channels of each stage.
        kernel_size: One value, or a list with one per stage.
        padding: same | valid; one value, or a list with one per stage.
        convs_per_stage: One value, or a list with one per stage.
        pool: max | avg, 2x2 after each stage.
        global_pool: none | max | avg over the output of the last stage. With max or avg the network takes all images
            that are large enough.
        norm: As in `UNet`.
        activation: As in `UNet`.
        hidden: Widths of the fully connected layers before the output; may be empty.
        input_size: Size of the images.
        multilabel: Whether the classes do not exclude each other; probabilities are then sigmoids, not a softmax.
        spatial_dims: 2 or 3.
        init: As in `UNet`.

    Raises:
        ValueError: No network can be built from an argument, the images are too small for the pools, or they have
            another shape.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537.

    Examples:
        >>> sum(parameter.numel() for parameter in CNN().parameters())
        61706
        >>> [tap.name for tap in CNN(filters=(8, 16), convs_per_stage=(1, 2), hidden=()).taps()]
        ['conv1', 'conv2_1', 'conv2_2', 'out']
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        filters: Sequence[int] = (6, 16),
        kernel_size: int | Sequence[int] = 5,
        padding: str | Sequence[str] = ("same", "valid"),
        convs_per_stage: int | Sequence[int] = 1,
        pool: str = "max",
        global_pool: str = "none",
        norm: str = "none",
        activation: str = "relu",
        hidden: Sequence[int] = (120, 84),
        input_size: Sequence[int] = (28, 28),
        multilabel: bool = False,
        spatial_dims: int = 2,
        init: str = "torch",
    ):
        super().__init__()
        self.in_channels = checks.count("in_channels", in_channels)
        self.num_classes = checks.classes(num_classes, multilabel)
        self.filters = checks.counts("filters", filters)
        self.hidden = checks.counts("hidden", hidden, least=0, fix="give a list such as [120, 84]")
        self.spatial_dims = checks.choice("spatial_dims", spatial_dims, SPATIAL_DIMS)
        self.input_size = checks.counts("input_size", input_size, fix="give the image's size, such as [28, 28]")
        self.any_size = checks.choice("global_pool", global_pool, ("none", *GLOBAL_POOLS)) != "none"
        self.multilabel = checks.choice("multilabel", multilabel, (True, False))
        self._stages = _stages(self.filters, kernel_size, padding, convs_per_stage)
        self._check_size(self.input_size)

        pool_type = layer(POOLS[checks.choice("pool", pool, POOLS)], spatial_dims)
        block = partial(ConvBlock, norm=norm, activation=activation, spatial_dims=spatial_dims)
        channels, size = self.in_channels, self.input_size
        for stage in self._stages:
            for name in stage.names:
                conv = block(channels, stage.filters, kernel_size=stage.kernel_size, padding=stage.padding)
                self.add_module(name, conv)
                channels = stage.filters
            self.add_module(f"pool{stage.number}", pool_type(2))
            size = tuple((side - stage.trimmed) // 2 for side in size)
        if self.any_size:
            self.pool = layer(GLOBAL_POOLS[global_pool], spatial_dims)(1)
            size = (1,)
        self.flatten = nn.Flatten()  # (N, channels, *size) to (N, channels * prod(size))
        widths = (channels * prod(size), *self.hidden)
        for i, (inputs, outputs) in enumerate(pairwise(widths), 1):
            self.add_module(f"fc{i}", nn.Sequential(nn.Linear(inputs, outputs), nonlinearity(activation)))
        self.out = nn.Linear(widths[-1], self.num_classes)
        initialise(self, init)

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, self.spatial_dims)
        self._check_size(tuple(x.shape[2:]))
        for module in self.children():
            x = module(x)
        return x

    def taps(self) -> list[Tap]:
        """Return the taps in forward order: convolution blocks, fully connected layers and the output."""
        stages, layers = len(self.filters), len(self.hidden)
        points: list[Point] = [(name, "feature", stage.number) for stage in self._stages for name in stage.names]
        points += [(f"fc{i}", "classifier", stages + i) for i in range(1, layers + 1)]
        points.append(("out", "output", stages + layers + 1))
        return order_taps(points, output=sigmoid if self.multilabel else softmax)

    def _check_size(self, size: tuple[int, ...]) -> None:
        """Check that images of this size fit the network."""
        if len(size) != self.spatial_dims:
            raise ValueError(f"input_size: got {size}, wanted {self.spatial_dims} sides; set spatial_dims to match it")
        smallest = 1
        for stage in reversed(self._stages):
            smallest = 2 * smallest + stage.trimmed
        if min(size) < smallest:
            wanted = f"{smallest} or more a side, as {len(self._stages)} pools need"
            raise ValueError(
                f"input_size: got {size}, wanted {wanted}; enlarge the images or remove a stage from filters"
            )
        if not self.any_size and size != self.input_size:
            raise ValueError(
                f"input: got size {size}, wanted {self.input_size}; resize the images or set global_pool=avg"
            )


def _stages(filters: tuple[int, ...], *settings: Any) -> list[_Stage]:
    """Build the stages from the settings per stage."""
    names = ("kernel_size", "padding", "convs_per_stage")
    columns = [checks.one_per(name, got, len(filters), "stage") for name, got in zip(names, settings, strict=True)]
    return [_Stage(number, *row) for number, row in enumerate(zip(filters, *columns, strict=True), 1)]
