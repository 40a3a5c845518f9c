"""Tracing: which modules of a network run on an image, in which order, and the output of each."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from difflib import get_close_matches
from itertools import chain
from math import floor, log2

import torch
from torch import Tensor, nn

from models.taps import Role, Tap, sigmoid, softmax

NEAREST = 3  # number of similar names in an error
ALMOST = 0.15  # tolerance of the number of halvings, for rounded sizes


def device_of(network: nn.Module) -> torch.device:
    """Return the device of a network's parameters or buffers; the CPU if it has neither.

    Examples:
        >>> device_of(nn.ReLU())
        device(type='cpu')
    """
    tensors = chain(network.parameters(), network.buffers())
    return next((tensor.device for tensor in tensors), torch.device("cpu"))


@contextmanager
def in_evaluation(network: nn.Module) -> Iterator[None]:
    """Put a network into evaluation mode for a `with` block. Afterwards each module has its previous mode.

    Examples:
        >>> network = nn.Sequential(nn.Dropout(), nn.BatchNorm2d(1).eval())
        >>> with in_evaluation(network):
        ...     [module.training for module in network]
        [False, False]
        >>> [module.training for module in network]
        [True, False]
    """
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode


@contextmanager
def wrap_errors(library: str) -> Iterator[None]:
    """Turn the errors that a library raises in a `with` block into a ValueError of one line."""
    try:
        yield
    except (ArithmeticError, AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split()) or repr(error)
        raise ValueError(f"{library} refuses: {reason}; change its arguments or the size of the images") from error


@dataclass(frozen=True)
class Call:
    """A module that ran on one image.

    Attributes:
        module: Dotted path.
        kind: Name of the class.
        times: How often it ran.
        output: Output of its last run; None if the output is no tensor.
    """

    module: str
    kind: str
    times: int
    output: Tensor | None

    @property
    def shape(self) -> tuple[int, ...] | None:
        """Shape of the output without the axis of the batch."""
        return None if self.output is None else tuple(self.output.shape[1:])


@torch.no_grad()
def calls(network: nn.Module, image: Tensor) -> dict[str, Call]:
    """Record every module that runs on an image, except the network itself, in the order in which they finish.

    Args:
        network: The network.
        image: (1, C, *spatial).

    Raises:
        ValueError: The network refuses the image, or it is compiled, so that hooks do not run in each pass.

    Examples:
        >>> list(calls(nn.Sequential(nn.Linear(2, 3), nn.ReLU()), torch.zeros(1, 2)))
        ['0', '1']
    """
    require_uncompiled(network)
    seen: dict[str, Call] = {}
    handles = []
    for path, module in network.named_modules():

        def ended(module, _inputs, output, path=path):
            before = seen.pop(path, None)
            tensor = output if isinstance(output, Tensor) else None
            seen[path] = Call(path, type(module).__name__, 1 + (before.times if before else 0), tensor)

        if path:
            handles.append(module.register_forward_hook(ended))
    try:
        with in_evaluation(network), wrap_errors(f"the network, given an image of {tuple(image.shape[1:])},"):
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    return seen


def require_uncompiled(network: nn.Module) -> None:
    """Check that a network has no compiled module, because hooks inside such a module do not run in each pass.

    Raises:
        ValueError: A module is compiled.
    """
    for path, module in network.named_modules():
        if type(module).__name__ == "OptimizedModule" or getattr(module, "_compiled_call_impl", None) is not None:
            raise ValueError(
                f"network: got {path or 'a network'} compiled by torch.compile, whose activations can't be read; give "
                "the network that is not compiled"
            )


def level(shape: Sequence[int], image_size: Sequence[int], otherwise: int) -> int:
    """Return the level of an activation.

    Level 1 is full resolution. Each halving of the side that shrank least adds 1.

    Args:
        shape: Shape of the activation, (channels, *sides).
        image_size: Sides of the image.
        otherwise: Level of an activation without sides.

    Examples:
        >>> level((8, 16, 16), (64, 64), otherwise=1), level((10,), (64, 64), otherwise=4)
        (3, 4)
    """
    if len(shape) != len(image_size) + 1:
        return otherwise
    least = min(side / got for side, got in zip(image_size, shape[1:], strict=True))
    return 1 + max(0, floor(log2(least) + ALMOST))


def make_tap(name: str, module: str, role: Role, transform: Callable[[Tensor], Tensor] | None = None) -> Tap:
    """Make a tap whose level and order are set later by `traced_taps`."""
    return Tap(name, module, role, 1, 0, transform)


def traced_taps(network: nn.Module, image: Tensor, points: Sequence[Tap], multilabel: bool = False) -> list[Tap]:
    """Set the level and the order of taps.

    Args:
        network: The network.
        image: Zeros, (1, C, *spatial).
        points: The taps in the order of the forward pass.
        multilabel: Whether the output's tap turns logits into independent probabilities, by sigmoids.

    Raises:
        ValueError: A path is no module, and the message lists the nearest names; or the module does not run exactly
            once.
    """
    known, seen = dict(network.named_modules()), calls(network, image)
    taps: list[Tap] = []
    for order, tap in enumerate(points):
        if fault := _fault(tap.module, known, seen):
            raise ValueError(f"taps: got {tap.module!r}, {fault}; `python -m bench taps` lists the modules")
        output, transform = seen[tap.module].output, tap.transform
        assert output is not None  # otherwise `_fault` returns a reason
        shape = (output if transform is None else transform(output)).shape[1:]
        if tap.role == "output":
            transform = sigmoid if multilabel or shape[0] == 1 else softmax
        at = level(shape, image.shape[2:], otherwise=taps[-1].level + 1 if taps else 1)
        taps.append(replace(tap, level=at, order=order, transform=transform))
    return taps


def _fault(path: str, known: dict[str, nn.Module], seen: dict[str, Call]) -> str | None:
    """Return why a module can't be tapped, or None."""
    if path not in known:
        near = get_close_matches(path, list(seen), NEAREST, cutoff=0)
        return f"which is no module of the network; the nearest are {', '.join(near)}"
    times = seen[path].times if path in seen else 0
    if times != 1:
        return f"which runs {times} times in a forward pass, wanted once"
    return "whose output is no tensor, wanted a module with one" if seen[path].output is None else None
