"""Hooks: what passes through the taps of a network, forward or backward."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import contextmanager

import torch

from bench.errors import InputError
from models import Tap

Receive = Callable[[Tap, torch.Tensor], None]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and targets, a mean over samples


@contextmanager
def hooked(model: torch.nn.Module, taps: Iterable[Tap], receive: Receive, signal: str = "activation"):
    """Within: `receive(tap, activation)` in each forward pass; later operations may overwrite what it does not copy.

    signal: `error` has it receive the gradient at each tap in each backward pass instead, of logits where the output's
    activation is of probabilities.
    """
    handles = []
    for tap in taps:

        def hook(_module, _inputs, output, tap=tap):
            if signal == "error":
                _tensor(tap, output).register_hook(lambda error: receive(tap, error.detach()))
            else:
                receive(tap, _activation(tap, _tensor(tap, output).detach()))

        handles.append(model.get_submodule(tap.module).register_forward_hook(hook))
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


def upto(model: torch.nn.Module, tap: Tap) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as far as a tap, as a function of images, in evaluation mode; gradients pass, the rest is not run.

    >>> from models import UNet
    >>> network = UNet(widths=(4, 8))
    >>> upto(network, network.taps()[0])(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 4, 16, 16])
    """

    def activation(images: torch.Tensor) -> torch.Tensor:
        def leave(_module, _inputs, output):
            raise _Reached(_activation(tap, _tensor(tap, output)))

        handle = model.get_submodule(tap.module).register_forward_hook(leave)
        was_training = model.training
        model.eval()
        try:
            model(images)
        except _Reached as reached:
            return reached.activation
        finally:
            model.train(was_training)
            handle.remove()
        raise InputError(f"tap {tap.name}: its module {tap.module} doesn't run in a forward pass; tap one that does")

    return activation


def _tensor(tap: Tap, output) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        raise InputError(f"tap {tap.name}: {tap.module} gives a {type(output).__name__}, wanted a tensor")
    return output


def _activation(tap: Tap, output: torch.Tensor) -> torch.Tensor:
    return output if tap.transform is None else tap.transform(output)


class _Reached(Exception):
    """What the rest of the forward pass computes is not needed."""

    def __init__(self, activation: torch.Tensor):
        super().__init__()
        self.activation = activation


def tap_shapes(model: torch.nn.Module, taps: list[Tap], images: torch.Tensor) -> dict[Tap, tuple[int, ...]]:
    """Shape of one sample's activation at each tap, (channels, *spatial); images: (1, channels, *spatial).

    Raises InputError for a tap whose module runs not at all or more than once in a forward pass.
    """
    seen: dict[Tap, list[tuple[int, ...]]] = {tap: [] for tap in taps}
    with torch.no_grad(), hooked(model, taps, lambda tap, activation: seen[tap].append(tuple(activation.shape[1:]))):
        model(images)
    for tap, shapes in seen.items():
        if len(shapes) != 1:
            raise InputError(
                f"tap {tap.name}: its module {tap.module} runs {len(shapes)} times in a forward pass, wanted once; "
                "tap a module that is not shared"
            )
    return {tap: shapes[0] for tap, shapes in seen.items()}
