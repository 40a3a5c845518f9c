"""Skips: which layers a layer reads directly, traced by gradients, and the skips of an encoder and decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from models.outputs import main_output
from models.tracing import in_evaluation, wrap_errors

Layers = list[dict[str, str]]


@dataclass(frozen=True)
class Links:
    """Which modules each module reads, with no other of these modules between them.

    Attributes:
        reads: The modules that each one reads, by path; those of the main output are below an empty path.
    """

    reads: dict[str, list[str]]

    @property
    def used(self) -> set[str]:
        """The modules on which the main output depends."""
        used, new = set[str](), [""]
        while new:
            new = [path for path in self.reads.get(new.pop(), ()) if path not in used] + new
            used.update(new)
        return used - {""}


def links(network: nn.Module, image: Tensor, modules: Sequence[str], output: str | int | None = None) -> Links:
    """Trace which of some modules each of them reads, and which the main output reads.

    The gradient of a module's output at the output of an earlier module shows whether the one depends on the other. The
    output of each module is cut from the graph, so that only direct ways count. The network does not change.

    Args:
        network: The network.
        image: (1, C, *spatial).
        modules: Paths of modules that run once, none inside another.
        output: Key or index of the main output.

    Examples:
        >>> class Net(nn.Module):
        ...     def __init__(self):
        ...         super().__init__()
        ...         self.a, self.b, self.c = (nn.Conv2d(1, 1, 1) for _ in range(3))
        ...     def forward(self, x):
        ...         a = self.a(x)
        ...         return self.c(a + self.b(a))
        >>> links(Net(), torch.zeros(1, 1, 2, 2), ["a", "b", "c"]).reads
        {'a': [], 'b': ['a'], 'c': ['a', 'b'], '': ['c']}
    """
    leaves: dict[str, Tensor] = {}
    ends: dict[str, Tensor] = {}
    before: dict[str, list[str]] = {}

    def cut(path: str):
        def hook(_module, _inputs, result: Tensor) -> Tensor:
            before[path], ends[path] = list(leaves), result
            leaves[path] = result.detach().requires_grad_()
            return leaves[path].clone()  # so that the network can change it in place

        return hook

    handles = [network.get_submodule(path).register_forward_hook(cut(path)) for path in modules]
    try:
        with in_evaluation(network), torch.enable_grad(), wrap_errors("the trace of the skips"):
            ends[""] = main_output(network(image.clone()), output)
            before[""] = list(leaves)
            return Links({path: _reached(ends[path], before[path], leaves) for path in ends})
    finally:
        for handle in handles:
            handle.remove()


def _reached(end: Tensor, paths: Sequence[str], leaves: dict[str, Tensor]) -> list[str]:
    """Return the paths of the leaves that a gradient reaches from an end."""
    if not end.requires_grad or not paths:
        return []
    gradients = torch.autograd.grad(end.sum(), [leaves[path] for path in paths], retain_graph=True, allow_unused=True)
    return [path for path, gradient in zip(paths, gradients, strict=True) if gradient is not None]


def skips_of(layers: Layers, read: Links, sizes: Sequence[tuple[int, ...]]) -> Layers:
    """Add the skips to the layers of an encoder and decoder, each before the layer in which it ends.

    A skip is the last block of the encoder of its size that a layer after the bottleneck reads directly.

    Args:
        layers: `module` and `role` of each layer in the order of the forward pass; the last is the output.
        read: Which layers each of them reads.
        sizes: Spatial size of each layer.

    Returns:
        The layers, with an entry of the role `skip` named `skip.MODULE` for each skip.
    """
    size_of = {layer["module"]: size for layer, size in zip(layers, sizes, strict=True)}
    encoder = [layer["module"] for layer in layers if layer["role"] == "encoder"]
    after = next((i for i, layer in reversed(list(enumerate(layers))) if layer["role"] == "bottleneck"), len(layers))
    whole: Layers = []
    known: set[str] = set()
    for number, layer in enumerate(layers):
        if number > after:
            reached = [path for path in read.reads.get(layer["module"], ()) if path in encoder]
            last_of_size = {size_of[path]: path for path in sorted(reached, key=encoder.index)}
            for path in last_of_size.values():
                if path not in known:
                    known.add(path)
                    whole.append({"module": path, "role": "skip", "name": f"skip.{path}"})
        whole.append(layer)
    return whole
