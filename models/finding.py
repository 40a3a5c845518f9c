"""Finding: the blocks of a network that publishes no taps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod

from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from models.tracing import Call, calls


def found_layers(network: nn.Module, image: Tensor) -> list[dict[str, str]]:
    """Find the blocks of a network: each layer with weights, with the normalisation and activation that follow it.

    A block is read after its last module that keeps the shape, so after normalisation and activation if these are
    modules. A module that runs more than once in a pass, such as one ReLU for all layers, can't be read.

    Args:
        network: Any network of images.
        image: (1, channels, *spatial), on the network's device.

    Returns:
        `module` and `role` of each block in the order of the forward pass, as `models.Custom` takes them. If the
            activations shrink and grow again, the smallest ones are the bottleneck. The last block is the output.

    Raises:
        ValueError: The network refuses the image, or none of its modules can be read.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1))
        >>> found_layers(network, torch.zeros(1, 1, 8, 8))
        [{'module': '1', 'role': 'feature'}, {'module': '3', 'role': 'output'}]
    """
    blocks = list(_blocks(network, calls(network, image)))
    if not blocks:
        raise ValueError("network: has no layer with weights that runs once in a forward pass; name its layers")
    sizes = [prod(block.shape[1:]) if block.shape and len(block.shape) > 1 else 0 for block in blocks]
    roles = _roles(sizes)
    roles[-1] = "output"
    for number, block in enumerate(blocks[:-1]):
        if isinstance(network.get_submodule(block.module), _ConvTransposeNd):
            roles[number] = "up"
    return [{"module": block.module, "role": role} for block, role in zip(blocks, roles, strict=True)]


def named_layers(network: nn.Module, image: Tensor, patterns: Sequence[str]) -> list[dict[str, str]]:
    """Find the modules whose paths match a pattern, and the output.

    Args:
        network: Any network of images.
        image: (1, channels, *spatial), on the network's device.
        patterns: Paths or patterns such as `encoder.*.relu`.

    Returns:
        `module` and `role` of each, as `found_layers`. The block of the output is always the last.

    Raises:
        ValueError: A pattern matches no module that runs.
    """
    seen, found = calls(network, image), found_layers(network, image)
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in seen):
            raise ValueError(f"layers: got {pattern!r}, wanted a module's path or a pattern of: {', '.join(seen)}")
    roles = {layer["module"]: layer["role"] for layer in found}
    named = [path for path in seen if any(fnmatchcase(path, pattern) for pattern in patterns)]
    output = found[-1]["module"]
    points = [{"module": path, "role": roles.get(path, "feature")} for path in named if path != output]
    return [*points, {"module": output, "role": "output"}]


def _blocks(network: nn.Module, seen: Mapping[str, Call]) -> Iterator[Call]:
    """Yield the last call of each block: a module with a weight matrix, with later modules that keep the shape."""
    block: Call | None = None
    for call in seen.values():
        module = network.get_submodule(call.module)
        if next(module.children(), None) is not None or call.times != 1 or call.shape is None or not call.shape:
            continue
        if any(parameter.dim() > 1 for parameter in module.parameters(recurse=False)):
            if block is not None:
                yield block
            block = call
        elif block is not None and call.shape == block.shape:
            block = call
        elif block is not None:  # pooling, flattening or upsampling ends a block
            yield block
            block = None
    if block is not None:
        yield block


def _roles(sizes: Sequence[int]) -> list[str]:
    """Return the role of each block by its number of positions, which is 0 without spatial axes."""
    spatial = [size for size in sizes if size]
    least = min(spatial, default=0)
    first = sizes.index(least) if spatial else 0
    last = len(sizes) - 1 - sizes[::-1].index(least) if spatial else 0
    grows_again = any(size > least for size in sizes[last + 1 :])
    if not (grows_again and first > 0):
        return ["feature" if size else "classifier" for size in sizes]
    return ["encoder"] * first + ["bottleneck"] * (last + 1 - first) + ["decoder"] * (len(sizes) - 1 - last)
