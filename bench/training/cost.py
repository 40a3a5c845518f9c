"""Cost of a network: parameters, FLOPs, latency and activation memory."""

from __future__ import annotations

import statistics
import time

import torch
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from models.tracing import device_of

LATENCY_RUNS = 10


def cost(model: torch.nn.Module, images: torch.Tensor) -> dict[str, float]:
    """Measure the cost of a forward pass over a batch.

    Args:
        model: The network. It is set to evaluation mode.
        images: (n, channels, *spatial).

    Returns:
        `params`: number of parameters that the output depends on. `flops`: operations per image, 2 per multiply-add.
        `latency_ms`: median of 10 passes over the batch, milliseconds. `latency_batch`: number of images in the batch.
        `peak_activation_bytes`: largest memory of activations that are alive at once for the batch, bytes.
    """
    model.eval()
    images = images.to(device_of(model))
    return {
        "params": float(used_parameters(model, images[:1])),
        "flops": float(flops(model, images[:1])),
        "latency_ms": latency_ms(model, images),
        "latency_batch": float(len(images)),
        "peak_activation_bytes": float(peak_activation_bytes(model, images)),
    }


def used_parameters(model: torch.nn.Module, image: torch.Tensor) -> int:
    """Count the parameters that a gradient from the output reaches.

    Examples:
        >>> model = torch.nn.Linear(3, 2)
        >>> model.unused = torch.nn.Linear(5, 5)
        >>> used_parameters(model, torch.zeros(1, 3))
        8
    """
    parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
    gradients = torch.autograd.grad(model(image).sum(), parameters, allow_unused=True)
    return sum(gradient.numel() for gradient in gradients if gradient is not None)


@torch.no_grad()
def flops(model: torch.nn.Module, image: torch.Tensor) -> int:
    """Count the floating-point operations of a forward pass, 2 per multiply-add (matrix products and convolutions).

    Examples:
        >>> flops(torch.nn.Linear(3, 2), torch.zeros(1, 3))
        12
    """
    with FlopCounterMode(display=False) as counter:
        model(image)
    return counter.get_total_flops()


@torch.no_grad()
def latency_ms(model: torch.nn.Module, images: torch.Tensor) -> float:
    """Measure the median wall-clock time of a forward pass over the batch in milliseconds, after two warm-up passes."""
    times = []
    for _ in range(LATENCY_RUNS + 2):
        started = time.perf_counter()
        model(images)
        if images.is_cuda:
            torch.cuda.synchronize()
        times.append(time.perf_counter() - started)
    return 1000 * statistics.median(times[2:])


@torch.no_grad()
def peak_activation_bytes(model: torch.nn.Module, images: torch.Tensor) -> int:
    """Measure the largest memory of activations that are alive at once in a forward pass, in bytes.

    The input and the parameters do not count.

    Examples:
        >>> peak_activation_bytes(torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.Linear(2, 1)), torch.zeros(4, 3))
        48
    """
    given = {tensor.untyped_storage()._cdata for tensor in [images, *model.parameters(), *model.buffers()]}
    with _LiveBytes(given) as live:
        model(images)
    return live.peak


class _LiveBytes(TorchDispatchMode):
    """Adds up, after each operation, the storages that operations created and that are still alive."""

    def __init__(self, given: set[int]):
        super().__init__()
        self.given = given
        self.storages: dict[int, tuple[StorageWeakRef, int]] = {}
        self.peak = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(result):
            if isinstance(tensor, torch.Tensor) and tensor.untyped_storage()._cdata not in self.given:
                storage = tensor.untyped_storage()
                self.storages[storage._cdata] = (StorageWeakRef(storage), storage.nbytes())
        self.storages = {key: (ref, size) for key, (ref, size) in self.storages.items() if not ref.expired()}
        self.peak = max(self.peak, sum(size for _, size in self.storages.values()))
        return result
