"""Layouts: which axis of an activation holds the channels. Images of another size show this."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, instancenorm, pooling

from models.tracing import calls

LAYOUTS = ("first", "last")
CHANNELS_LAST = (nn.LayerNorm, nn.Linear, nn.TransformerEncoderLayer, nn.TransformerEncoder)
CHANNELS_FIRST = (
    conv._ConvNd, batchnorm._NormBase, instancenorm._InstanceNorm, nn.GroupNorm, nn.Upsample,
    pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd,
)  # fmt: skip


def channels_to_front(activation: Tensor) -> Tensor:
    """Move the channels from the last axis to the second: (N, *spatial, channels) to (N, channels, *spatial)."""
    return activation.movedim(-1, 1)


def layouts(network: nn.Module, image: Tensor, modules: Sequence[str]) -> dict[str, str]:
    """Find the axis of the channels in the output of each module.

    The axes that change with the size of the image are not the channels. If the network takes no other size, the class
    of the module decides, or else the sides of the image, if they fit only one layout. Modules whose output has no axis
    besides the batch and the channels are left out.

    Args:
        network: The network.
        image: (1, C, *spatial).
        modules: Paths of modules.

    Returns:
        `first` or `last` for each module.

    Raises:
        ValueError: The layout of a module can't be found.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.Flatten(2), nn.Identity())
        >>> layouts(network, torch.zeros(1, 1, 8, 8), ["0", "1"])
        {'0': 'first', '1': 'first'}
    """
    shapes = _shapes(network, image)
    asked = {path: shape for path in modules if (shape := shapes.get(path)) and len(shape) > 1}
    others = _other_sizes(network, image) if asked else iter(())
    found: dict[str, str] = {}
    for other in others:
        found = {path: layout for path, shape in asked.items() if (layout := _by_change(shape, other.get(path)))}
        if found:
            break
    for path, shape in asked.items():
        layout = found.get(path) or _by_class(network.get_submodule(path)) or _by_sides(shape, image.shape[2:])
        if layout is None:
            raise ValueError(
                f"taps: got {path!r} with output {shape} for an image of {tuple(image.shape[2:])}, in which the "
                "axis of the channels can't be found; add channels: first or channels: last to the tap"
            )
        found[path] = layout
    return found


def _shapes(network: nn.Module, image: Tensor) -> Mapping[str, tuple[int, ...] | None]:
    """Return the shape of one sample's output; None if there is no tensor or its first axis is not the batch."""
    seen = calls(network, image)
    return {
        path: call.shape if call.shape and call.output is not None and len(call.output) == 1 else None
        for path, call in seen.items()
    }


def _other_sizes(network: nn.Module, image: Tensor) -> Iterator[Mapping[str, tuple[int, ...] | None]]:
    """Yield the shapes for images of other sizes: one side doubled, all sides doubled, and all sides halved.

    Sizes that the network refuses are left out.
    """
    first, *rest = image.shape[2:]
    for size in ((2 * first, *rest), [2 * side for side in (first, *rest)], [side // 2 for side in (first, *rest)]):
        try:
            yield _shapes(network, image.new_zeros(*image.shape[:2], *size))
        except ValueError:  # the network refuses this size
            continue


def _by_change(shape: tuple[int, ...], other: tuple[int, ...] | None) -> str | None:
    """Find the layout by the axes that change with the size of the image."""
    if other is None or len(other) != len(shape) or other == shape:
        return None
    first, *_, last = (one != two for one, two in zip(shape, other, strict=True))
    if first and last:
        return None
    return "last" if first else "first"


def _by_class(module: nn.Module) -> str | None:
    """Find the layout by the module's class; for a sequence, by the last module of a known class."""
    if isinstance(module, nn.Sequential):
        return next((layout for child in reversed(module) if (layout := _by_class(child))), None)
    if isinstance(module, CHANNELS_LAST):
        return "last"
    return "first" if isinstance(module, CHANNELS_FIRST) else None


def _by_sides(shape: tuple[int, ...], image_size: Sequence[int]) -> str | None:
    """Return the layout in which all sides are the same fraction of the image's sides, if there is only one."""
    if len(shape) != len(image_size) + 1:
        return None
    fits = {
        layout: len({side / got for side, got in zip(image_size, sides, strict=True)}) == 1
        for layout, sides in (("first", shape[1:]), ("last", shape[:-1]))
    }
    possible = [layout for layout, fit in fits.items() if fit]
    return possible[0] if len(possible) == 1 else None
