"""Residual classifiers with named taps, based on timm's ResNet."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf
from numbers import Real
from typing import Any

from timm.models import resnet
from torch import Tensor, nn

from models import checks
from models.blocks import initialise
from models.taps import Point, Tap, order_taps, sigmoid, softmax

BLOCKS = {"basic": resnet.BasicBlock, "bottleneck": resnet.Bottleneck}
STEMS = {"imagenet": (7, 2, 3), "small": (3, 1, 1)}  # side of the kernel, stride and padding
OUTPUT_STRIDES = {"imagenet": (8, 16, 32), "small": (2, 4, 8, 16, 32)}
MOST_STAGES = 4  # timm builds at most four
STEM_REDUCTION = 4  # factor by which timm's stem reduces a side; the small stem keeps it


class ResNet(resnet.ResNet):
    """A residual classifier: images (N, in_channels, H, W) to logits (N, num_classes).

    Images may have any size that the strides can halve. The network is timm's, with its names of modules, so weights
    can be exchanged. The defaults are ResNet-18.

    Args:
        in_channels: Channels of the images.
        num_classes: Number of classes.
        filters: Channels of each stage, four stages at most. A bottleneck block has four times as many outputs.
        blocks_per_stage: One value, or a list with one per stage.
        block: basic (two 3x3 convolutions) | bottleneck (1x1, 3x3, 1x1).
        width: Factor of filters and stem_filters. The products are rounded, that of the stem to an even number.
        stem: imagenet (7x7 of stride 2, max pool) | small (3x3, neither stride nor pool, for images such as 28x28).
        stem_filters: Channels of the stem, an even number.
        output_stride: Largest factor by which a side shrinks, 8 | 16 | 32, with the small stem also 2 | 4. Later stages
            dilate.
        multilabel: As in `CNN`.
        spatial_dims: 2.
        init: "torch" is the normal weights of He et al. and gains of 1, "glorot" as in `UNet`.

    Raises:
        ValueError: No network can be built from an argument, or images have another shape or are too small.

    References:
        He et al., CVPR 2016, arXiv 1512.03385.

    Examples:
        >>> sum(parameter.numel() for parameter in ResNet().parameters())
        11689512
        >>> [tap.name for tap in ResNet(filters=(16, 32), blocks_per_stage=1, stem="small").taps()]
        ['act1', 'layer1', 'layer2', 'global_pool', 'fc']
    """

    feature_info: list[dict[str, Any]]  # timm's description of the stem and of each stage

    def __init__(
        self,
        in_channels: int = 3,
        num_classes: int = 1000,
        filters: Sequence[int] = (64, 128, 256, 512),
        blocks_per_stage: int | Sequence[int] = 2,
        block: str = "basic",
        width: float = 1.0,
        stem: str = "imagenet",
        stem_filters: int = 64,
        output_stride: int = 32,
        multilabel: bool = False,
        spatial_dims: int = 2,
        init: str = "torch",
    ):
        if spatial_dims != 2:
            raise ValueError(f"spatial_dims: got {spatial_dims!r}, wanted 2; for volumes choose another network")
        checks.choice("multilabel", multilabel, (True, False))
        checks.classes(num_classes, multilabel)
        checks.choice("stem", stem, STEMS)
        checks.choice("output_stride", output_stride, OUTPUT_STRIDES[stem])
        filters, stem_filters = _channels(filters, stem_filters, width)
        super().__init__(
            BLOCKS[checks.choice("block", block, BLOCKS)],  # type: ignore[arg-type]  # timm annotates an instance
            _blocks(blocks_per_stage, len(filters)),
            num_classes,
            checks.count("in_channels", in_channels),
            output_stride=output_stride if stem == "imagenet" else min(output_stride * STEM_REDUCTION, 32),
            stem_type="deep",  # replaced below: timm's plain stem always has 64 channels
            stem_width=stem_filters // 2,
            channels=filters,
            zero_init_last=False,  # otherwise untrained blocks equal their shortcuts
        )
        self.in_channels, self.filters, self.stem_filters = in_channels, filters, stem_filters
        self.multilabel = multilabel
        self.add_module("conv1", nn.Conv2d(in_channels, stem_filters, *STEMS[stem], bias=False))
        if stem == "small":
            self.add_module("maxpool", nn.Identity())
            for feature in self.feature_info:
                feature["reduction"] = max(1, feature["reduction"] // STEM_REDUCTION)
        for missing in range(len(filters) + 1, MOST_STAGES + 1):
            self.add_module(f"layer{missing}", nn.Sequential())  # timm's forward pass runs four
        self.init_weights(zero_init_last=False)
        initialise(self, init)

    def forward(self, x: Tensor) -> Tensor:
        checks.images(x, self.in_channels, 2)
        reduction = self.feature_info[-1]["reduction"]
        smallest = reduction // 2 + 1  # the last stride halves at least two pixels
        if min(x.shape[2:]) < smallest:
            got, wanted = tuple(x.shape[2:]), f"{smallest} or more a side, as strides of {reduction} in all need"
            raise ValueError(
                f"input: got size {got}, wanted {wanted}; enlarge the images or remove a stage from filters"
            )
        return super().forward(x)

    def taps(self) -> list[Tap]:
        """Return the taps in forward order: stem, stages, the global pool and the output."""
        points: list[Point] = [
            (info["module"], "feature", info["reduction"].bit_length()) for info in self.feature_info
        ]
        level = points[-1][2]
        points += [("global_pool", "classifier", level + 1), ("fc", "output", level + 2)]
        return order_taps(points, output=sigmoid if self.multilabel else softmax)


def _channels(filters: Any, stem_filters: Any, width: Any) -> tuple[tuple[int, ...], int]:
    """Return the channels of the stages and of the stem, times the width."""
    filters = checks.counts("filters", filters, fix="give one per stage, such as [64, 128]")
    if len(filters) > MOST_STAGES:
        fix = f"remove {len(filters) - MOST_STAGES}"
        raise ValueError(f"filters: got {filters}, wanted {MOST_STAGES} stages at most, as timm builds; {fix}")
    if checks.count("stem_filters", stem_filters) % 2:
        raise ValueError(
            f"stem_filters: got {stem_filters}, wanted an even number, as timm builds; give {stem_filters + 1}"
        )
    if not isinstance(width, Real) or isinstance(width, bool) or width <= 0 or not width < inf:
        raise ValueError(f"width: got {width!r}, wanted a positive number; give a factor such as 0.5")
    return tuple(max(1, round(channels * width)) for channels in filters), 2 * max(1, round(stem_filters / 2 * width))


def _blocks(got: Any, stages: int) -> tuple[int, ...]:
    """Return the number of blocks of each stage."""
    blocks = checks.one_per("blocks_per_stage", got, stages, "stage")
    blocks = checks.counts("blocks_per_stage", blocks, fix="give a list such as [2, 2]")
    if sum(blocks) == 1:
        raise ValueError(
            "blocks_per_stage: got 1 block in all, wanted 2 or more, as timm builds; add a block or a stage"
        )
    return blocks
