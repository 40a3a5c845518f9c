"""Layouts: how an activation becomes maps. Images of other sizes, and maps in the network, show which axis is which."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from math import prod

from torch import Tensor, nn
from torch.nn.modules import batchnorm, conv, instancenorm, pooling

from models.tracing import calls

LAYOUTS = ("first", "last")
CHANNELS_LAST = (nn.LayerNorm, nn.Linear, nn.TransformerEncoderLayer, nn.TransformerEncoder)
CHANNELS_FIRST = (
    conv._ConvNd, batchnorm._NormBase, instancenorm._InstanceNorm, nn.GroupNorm, nn.Upsample,
    pooling._MaxPoolNd, pooling._AvgPoolNd, pooling._AdaptiveMaxPoolNd, pooling._AdaptiveAvgPoolNd,
)  # fmt: skip

Shape = tuple[int, ...]
Shapes = Mapping[str, Shape | None]
Reader = Callable[[Tensor], Tensor]


def channels_to_front(activation: Tensor) -> Tensor:
    """Move the channels from the last axis to the second: (N, *spatial, channels) to (N, channels, *spatial)."""
    return activation.movedim(-1, 1)


def tokens_to_maps(sequence: Tensor, grid: Sequence[int]) -> Tensor:
    """Arrange a sequence of tokens in rows: (N, channels, tokens) to (N, channels, *grid).

    Tokens before those of the grid, such as the class token, are left out.

    Examples:
        >>> import torch
        >>> tokens_to_maps(torch.arange(5.0)[None, None], (2, 2))
        tensor([[[[1., 2.],
                  [3., 4.]]]])
    """
    return sequence[:, :, -prod(grid) :].unflatten(2, tuple(grid))


def tokens_last_to_maps(sequence: Tensor, grid: Sequence[int]) -> Tensor:
    """Arrange a sequence of tokens in rows: (N, tokens, channels) to (N, channels, *grid)."""
    return tokens_to_maps(sequence.transpose(1, 2), grid)


def readers(
    network: nn.Module,
    image: Tensor,
    modules: Sequence[str],
    channels: Mapping[str, str] | None = None,
    grids: Mapping[str, Sequence[int]] | None = None,
) -> dict[str, Reader | None]:
    """Find how the output of each module becomes maps (N, channels, *spatial).

    `layouts` finds the axis of the channels. A sequence of tokens becomes maps if its length is that of maps that the
    network has, or that of a grid of square patches; tokens that the network adds in front are left out. A sequence
    whose length does not change with the size of the image stays as it is.

    Args:
        network: The network.
        image: (1, C, *spatial).
        modules: Paths of modules.
        channels: `first` or `last` for modules whose axis is known.
        grids: Places per axis, for modules whose tokens are known.

    Returns:
        The function for each module, or None if its output needs no change.

    Raises:
        ValueError: The layout of a module can't be found.
    """
    channels, grids = channels or {}, grids or {}
    shapes, size = _shapes(network, image), tuple(image.shape[2:])
    others = list(_other_sizes(network, image)) if modules else []
    unknown = [path for path in modules if path not in channels]
    axes = _axes(network, shapes, others, size, unknown) | dict(channels)
    known, extra = _known_grids(network, shapes, size), _added_tokens(network)
    found: dict[str, Reader | None] = {}
    for path in modules:
        shape, axis = shapes.get(path), axes.get(path, "first")
        grid = tuple(grids.get(path, ()))
        if not grid and shape and len(shape) == 2 and not any(other.get(path) == shape for other in others):
            grid = _grid_of(path, shape[0 if axis == "last" else 1], size, known, extra)
        if grid:
            found[path] = partial(tokens_last_to_maps if axis == "last" else tokens_to_maps, grid=grid)
        else:
            found[path] = channels_to_front if axis == "last" else None
    return found


def layouts(network: nn.Module, image: Tensor, modules: Sequence[str]) -> dict[str, str]:
    """Find the axis of the channels in the output of each module.

    The axes that change with the size of the image are not the channels. If the network takes no other size, the class
    of the module decides, or else the sides of the image or the number of tokens, if they fit only one layout. Modules
    whose output has no axis besides the batch and the channels are left out.

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
    others = list(_other_sizes(network, image)) if modules else []
    return _axes(network, _shapes(network, image), others, tuple(image.shape[2:]), modules)


def _axes(
    network: nn.Module, shapes: Shapes, others: Sequence[Shapes], size: Shape, modules: Iterable[str]
) -> dict[str, str]:
    """Return `first` or `last` for each module, from the shapes for the image and for images of other sizes."""
    grids, extra = _known_grids(network, shapes, size), _added_tokens(network)
    found: dict[str, str] = {}
    for path in modules:
        if not (shape := shapes.get(path)) or len(shape) < 2:
            continue
        changes = (_by_change(shape, other.get(path)) for other in others)
        axis = next((axis for axis in changes if axis), None) or _by_class(network.get_submodule(path))
        axis = axis or (_by_tokens(shape, grids, extra) if len(shape) == 2 else _by_sides(shape, size))
        if axis is None:
            raise ValueError(
                f"taps: got {path!r} with output {shape} for an image of {size}, in which the axis of the channels "
                "can't be found; add channels: first or channels: last to the tap"
            )
        found[path] = axis
    return found


def _shapes(network: nn.Module, image: Tensor) -> Shapes:
    """Return the shape of one sample's output; None if there is no tensor or its first axis is not the batch."""
    seen = calls(network, image)
    return {
        path: call.shape if call.shape and call.output is not None and len(call.output) == len(image) else None
        for path, call in seen.items()
    }


def _other_sizes(network: nn.Module, image: Tensor) -> Iterator[Shapes]:
    """Yield the shapes for images of other sizes: one side doubled, all sides doubled, and all sides halved.

    Sizes that the network refuses are left out.
    """
    first, *rest = image.shape[2:]
    for size in ((2 * first, *rest), [2 * side for side in (first, *rest)], [side // 2 for side in (first, *rest)]):
        try:
            yield _shapes(network, image.new_zeros(*image.shape[:2], *size))
        except ValueError:  # the network refuses this size
            continue
        return


def _by_change(shape: Shape, other: Shape | None) -> str | None:
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


def _by_sides(shape: Shape, image_size: Sequence[int]) -> str | None:
    """Return the layout in which all sides are the same fraction of the image's sides, if there is only one."""
    if len(shape) != len(image_size) + 1:
        return None
    fits = {
        layout: len({side / got for side, got in zip(image_size, sides, strict=True)}) == 1
        for layout, sides in (("first", shape[1:]), ("last", shape[:-1]))
    }
    possible = [layout for layout, fit in fits.items() if fit]
    return possible[0] if len(possible) == 1 else None


def _by_tokens(shape: Shape, grids: Iterable[Shape], extra: int) -> str | None:
    """Return the layout in which the number of tokens is that of a grid, if there is only one."""
    lengths = {prod(grid) + added for grid in grids for added in (0, extra)}
    possible = [layout for layout, count in (("first", shape[1]), ("last", shape[0])) if count in lengths]
    return possible[0] if len(possible) == 1 else None


def _known_grids(network: nn.Module, shapes: Shapes, size: Shape) -> set[Shape]:
    """Return the spatial sizes of the maps that a network has, where they are certain."""
    grids = set()
    for path, shape in shapes.items():
        if shape and len(shape) == len(size) + 1:
            axis = _by_class(network.get_submodule(path)) or _by_sides(shape, size)
            if axis:
                grids.add(shape[1:] if axis == "first" else shape[:-1])
    return grids


def _added_tokens(network: nn.Module) -> int:
    """Count the tokens that a network adds in front of those of the image, such as the class token."""
    named = ((name.rpartition(".")[2], parameter) for name, parameter in network.named_parameters())
    added = (p for name, p in named if "token" in name and "mask" not in name and p.dim() == 3 and len(p) == 1)
    return sum(parameter.shape[1] for parameter in added)


def _grid_of(path: str, tokens: int, size: Shape, known: set[Shape], extra: int) -> Shape:
    """Return the grid of a sequence of tokens; empty if there is none, so that the sequence has no places.

    Raises:
        ValueError: Several grids fit.
    """
    fitting = {grid for grid in known if tokens - prod(grid) in (0, extra)}
    for side in range(1, max(size) + 1):  # of a patch
        grid = tuple(length // side for length in size)
        if not any(length % side for length in size) and tokens - prod(grid) in (0, extra):
            fitting.add(grid)
    if len(fitting) > 1:
        raise ValueError(
            f"taps: got {path!r} with {tokens} tokens for an image of {size}, which can be the places of "
            f"{' or '.join(map(str, sorted(fitting)))}; add grid to the tap, such as grid: {list(min(fitting))}"
        )
    return next(iter(fitting), ())
