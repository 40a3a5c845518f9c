"""Finding: the blocks of a network that publishes no taps."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from math import prod

import torch
from torch import Tensor, nn
from torch.nn.modules.conv import _ConvTransposeNd

from models.layouts import readers
from models.outputs import output_for
from models.skips import Links, links, skips_of
from models.tracing import Call, calls

Layers = list[dict[str, str]]


def found_layers(network: nn.Module, image: Tensor, output: str | int | None = None) -> Layers:
    """Find the blocks of a network: each layer with weights, with the normalisation and activation that follow it.

    A block is read after its last module that keeps the shape and reads the one before it, so after normalisation and
    activation if these are modules. A module with a layer normalisation of its own, such as a block of a transformer,
    is one block. A module that runs more than once in a pass, such as one ReLU for all layers, can't be read; nor one
    whose first axis is not the batch, which images of two batch sizes show.

    Args:
        network: Any network of images.
        image: (1, channels, *spatial), on the network's device.
        output: Key or index of the main output, as `main_output` takes it.

    Returns:
        `module` and `role` of each block in the order of the forward pass, as `models.Custom` takes them. If the
            activations shrink and grow again, the smallest ones are the bottleneck, and the blocks of the encoder that
            the decoder reads are skips too. The last is the output. If the output is not that of a block, its path is
            empty.

    Raises:
        ValueError: The network refuses the image, none of its modules can be read, or there is no such output.

    Examples:
        >>> import torch
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 2, 1))
        >>> found_layers(network, torch.zeros(1, 1, 8, 8))
        [{'module': '1', 'role': 'feature'}, {'module': '3', 'role': 'output'}]
    """
    main = output_for(network, image, output)
    parts = _parts(network, _calls_by_batch(network, image))
    blocks = list(_blocks(parts, links(network, image, [call.module for call, _ in parts], output)))
    if not blocks:
        raise ValueError("network: has no layer with weights that runs once in a forward pass; name its layers")
    read = links(network, image, [block.module for block in blocks], output)
    blocks = [block for block in blocks if block.module in read.used] or blocks  # without auxiliary heads
    last = blocks[-1].output
    is_output = last is not None and last.shape == main.shape and torch.equal(last, main)
    ends = blocks.pop().module if is_output else ""
    shapes = [*_shapes(network, image, blocks), tuple(main.shape[1:])]
    roles = _roles([prod(shape[1:]) if len(shape) > 1 else 0 for shape in shapes], image.dim() - 2)[:-1]
    for number, block in enumerate(blocks):
        if isinstance(network.get_submodule(block.module), _ConvTransposeNd):
            roles[number] = "up"
    layers = [{"module": block.module, "role": role} for block, role in zip(blocks, roles, strict=True)]
    layers.append({"module": ends, "role": "output"} | ({} if ends else {"name": "out"}))
    return skips_of(layers, read, [shape[1:] for shape in shapes])


def named_layers(network: nn.Module, image: Tensor, patterns: Sequence[str], output: str | int | None = None) -> Layers:
    """Find the modules whose paths match a pattern, and the output.

    Args:
        network: Any network of images.
        image: (1, channels, *spatial), on the network's device.
        patterns: Paths or patterns such as `encoder.*.relu`.
        output: Key or index of the main output, as `main_output` takes it.

    Returns:
        `module` and `role` of each, as `found_layers`. The output is always the last.

    Raises:
        ValueError: A pattern matches no module that runs.
    """
    seen, found = calls(network, image), found_layers(network, image, output)
    for pattern in patterns:
        if not any(fnmatchcase(path, pattern) for path in seen):
            raise ValueError(f"layers: got {pattern!r}, wanted a module's path or a pattern of: {', '.join(seen)}")
    roles = {layer["module"]: layer["role"] for layer in found if layer["role"] != "skip"}
    named = [path for path in seen if any(fnmatchcase(path, pattern) for pattern in patterns)]
    points = [{"module": path, "role": roles.get(path, "feature")} for path in named if path != found[-1]["module"]]
    return [*points, found[-1]]


def _calls_by_batch(network: nn.Module, image: Tensor) -> dict[str, Call]:
    """Return the calls for one image, without those whose first axis is not the batch, as two images show."""
    once, twice = calls(network, image), calls(network, torch.cat([image, image]))
    return {
        path: call
        for path, call in once.items()
        if call.output is not None
        and (other := twice.get(path)) is not None
        and other.output is not None
        and (len(call.output), len(other.output)) == (1, 2)
    }


def _shapes(network: nn.Module, image: Tensor, blocks: Sequence[Call]) -> list[tuple[int, ...]]:
    """Return the shape of one sample of each block, (channels, *spatial)."""
    read = readers(network, image, [block.module for block in blocks])
    outputs = [(block.output, read[block.module]) for block in blocks if block.output is not None]
    return [tuple((output if reader is None else reader(output)).shape[1:]) for output, reader in outputs]


def _parts(network: nn.Module, seen: Mapping[str, Call]) -> list[tuple[Call, bool]]:
    """Return the modules that run once and have no parts of their own, and whether each begins a block."""
    whole = _with_own_norm(network, seen)
    parts = []
    for call in seen.values():
        module = network.get_submodule(call.module)
        if call.times != 1 or not call.shape or any(call.module.startswith(f"{path}.") for path in whole):
            continue
        has_weights = any(parameter.dim() > 1 for parameter in module.parameters(recurse=False))
        is_leaf = not any(True for child in module.children() for _ in (child.parameters() if has_weights else [child]))
        if call.module in whole or is_leaf:
            parts.append((call, has_weights or call.module in whole))
    inside = [call.module for call, begins in parts if begins]
    return [part for part in parts if not any(part[0].module.startswith(f"{path}.") for path in inside)]


def _blocks(parts: Sequence[tuple[Call, bool]], read: Links) -> Iterator[Call]:
    """Yield the last call of each block: a module with a weight matrix, with later modules that keep the shape."""
    block: Call | None = None
    for call, begins in parts:
        follows = block is not None and block.module in read.reads[call.module]
        if begins:
            if block is not None:
                yield block
            block = call
        elif block is not None and follows and call.shape == block.shape:
            block = call
        elif block is not None and follows:  # pooling, flattening or upsampling ends a block
            yield block
            block = None
    if block is not None:
        yield block


def _with_own_norm(network: nn.Module, seen: Mapping[str, Call]) -> list[str]:
    """Return the modules with layer normalisations of their own, such as blocks of a transformer.

    These are the innermost modules with two or more, and the innermost ones with one that are not inside the former.
    """
    counts = {
        path: count
        for path, call in seen.items()
        if call.times == 1 and call.shape and (count := _count_norms(network.get_submodule(path)))
    }
    pairs = _innermost([path for path, count in counts.items() if count > 1])
    singles = [path for path in counts if not any(path.startswith(f"{pair}.") for pair in pairs)]
    return [path for path in _innermost(singles + pairs) if path in pairs or counts[path] == 1]


def _count_norms(module: nn.Module) -> int:
    """Count the layer normalisations among the children of a module, also of children that are sequences."""
    if isinstance(module, nn.Sequential | nn.LayerNorm):
        return 0
    return sum(
        isinstance(part, nn.LayerNorm)
        for child in module.children()
        for part in (child.children() if isinstance(child, nn.Sequential) else [child])
    )


def _innermost(paths: Sequence[str]) -> list[str]:
    """Return the paths inside which no other one lies."""
    return [path for path in dict.fromkeys(paths) if not any(other.startswith(f"{path}.") for other in paths)]


def _roles(sizes: Sequence[int], axes: int) -> list[str]:
    """Return the role of each block and of the output by its number of positions, which is 0 without spatial axes.

    Blocks of one position in several places, or after many positions, are no bottleneck. They are gates of channels.
    """
    ones = [number for number, size in enumerate(sizes) if size == 1 and max(sizes[number:]) > 1]
    runs = [number for number in ones if number - 1 not in ones]
    before = next((size for size in reversed(sizes[: runs[0]]) if size > 1), 0) if runs else 0
    gates = set(ones) if len(runs) > 1 or before > 2**axes else set()
    least = min((size for number, size in enumerate(sizes) if size and number not in gates), default=0)
    at = [number for number, size in enumerate(sizes) if size == least and number not in gates]
    if not (sizes[-1] > least > 0 and at[0] > 0):  # the activations do not shrink and grow again
        return ["feature" if size else "classifier" for size in sizes]
    roles = ["encoder" if number < at[-1] else "decoder" for number in range(len(sizes))]
    for number in at:
        roles[number] = "bottleneck"
    return ["feature" if number in gates else role for number, role in enumerate(roles)]
