"""Hooks: activations at the taps of a network, and errors of back-propagation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager

import torch

from bench.errors import InputError
from models import Tap
from models.tracing import in_evaluation

Receive = Callable[[Tap, torch.Tensor], None]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # from logits and targets to a mean over samples
Shapes = dict[Tap, tuple[int, ...]]


@contextmanager
def tap_hooks(
    model: torch.nn.Module,
    taps: Iterable[Tap],
    receive: Receive,
    signal: str = "activation",
    shapes: Mapping[Tap, tuple[int, ...]] | None = None,
):
    """Call `receive(tap, activation)` for each tap in each forward pass within the context, in evaluation mode.

    Args:
        model: The network.
        taps: The taps to read.
        receive: Must copy what it keeps: later operations may overwrite the activation.
        signal: `activation`; or `error`, to receive the gradient at each tap in each backward pass. At an output tap
            whose activation is probabilities, the error is the gradient at the logits.
        shapes: Shape of one sample's activation at each tap. None takes the shapes of the first pass.

    Raises:
        InputError: A tap does not report exactly once in each pass, its first axis is not the batch, or its other axes
            change.
    """
    watch = _Watch(tuple(taps), signal, dict(shapes or {}))
    handles = [
        model.register_forward_pre_hook(lambda _module, inputs: watch.begin(len(inputs[0]))),
        *(watch.register(model, tap, receive) for tap in watch.taps),
    ]
    try:
        with in_evaluation(model):
            yield
            watch.end()
    finally:
        for handle in handles:
            handle.remove()


class _Watch:
    """Checks that each tap reports once in each pass, with the same shape.

    Args:
        taps: The taps to check.
        signal: `activation` or `error`.
        shapes: Shape of one sample's activation at each tap; shapes of the first pass are added.
    """

    def __init__(self, taps: tuple[Tap, ...], signal: str, shapes: Shapes):
        self.taps, self.signal, self.shapes = taps, signal, shapes
        self.batch: int | None = None  # None before the first pass
        self.ran: Counter[Tap] = Counter()
        self.errors: Counter[Tap] = Counter()

    def begin(self, batch: int) -> None:
        """Begin a pass with a batch of this size, and end the pass before it."""
        self.end()
        self.batch = batch
        self.ran.clear()
        self.errors.clear()

    def end(self) -> None:
        """Raise InputError if a tap did not report exactly once in this pass."""
        if self.batch is None:
            return
        for tap in self.taps:
            if self.ran[tap] != 1:
                raise _run_count_error(tap, self.ran[tap])
            if self.signal == "error" and self.errors[tap] != 1:
                raise InputError(
                    f"tap {tap.name}: back-propagation brings {self.errors[tap]} errors to its module {tap.module} "
                    "in a pass, wanted one; tap a module that the output depends on through a gradient"
                )

    def register(self, model: torch.nn.Module, tap: Tap, receive: Receive):
        """Add the hook of a tap to its module and return the handle."""

        def hook(_module, _inputs, output):
            raw = _tensor(tap, output)
            activation = _activation(tap, raw.detach())
            self.check(tap, activation)
            if self.signal != "error":
                receive(tap, activation)
            elif raw.requires_grad:
                raw.register_hook(receive_error)

        def receive_error(error: torch.Tensor) -> None:
            self.errors[tap] += 1
            receive(tap, error.detach())

        return model.get_submodule(tap.module).register_forward_hook(hook)

    def check(self, tap: Tap, activation: torch.Tensor) -> None:
        """Count a report of a tap; raise InputError if it is the second one or its shape is wrong."""
        self.ran[tap] += 1
        if self.batch is None or self.ran[tap] > 1:
            raise _run_count_error(tap, self.ran[tap])
        if activation.dim() < 2 or len(activation) != self.batch:
            raise InputError(
                f"tap {tap.name}: its module {tap.module} gives the shape {tuple(activation.shape)} for a batch of "
                f"{self.batch}, wanted {self.batch} on the first axis and channels on the second; tap a module "
                "whose output has the batch first"
            )
        wanted = self.shapes.setdefault(tap, tuple(activation.shape[1:]))
        if tuple(activation.shape[1:]) != wanted:
            raise InputError(
                f"tap {tap.name}: its module {tap.module} gives the shape {tuple(activation.shape[1:])} in one pass "
                f"and {wanted} in another, wanted one shape for all samples; tap another module"
            )


def _run_count_error(tap: Tap, times: int) -> InputError:
    return InputError(
        f"tap {tap.name}: its module {tap.module} runs {times} times in a forward pass, wanted once in each; tap a "
        "module that is neither shared nor compiled and that runs in every pass"
    )


def function_up_to(model: torch.nn.Module, tap: Tap) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return the function from images to the activation of a tap, in evaluation mode.

    Gradients pass through the function. The part of the network after the tap does not run, except in the first call,
    which runs the whole network once to check the tap as `tap_shapes` does.

    Examples:
        >>> from models import UNet
        >>> network = UNet(widths=(4, 8))
        >>> function_up_to(network, network.taps()[0])(torch.zeros(2, 3, 16, 16)).shape
        torch.Size([2, 4, 16, 16])
    """
    shapes: Shapes = {}

    def activation(images: torch.Tensor) -> torch.Tensor:
        def stop(_module, _inputs, output):
            raise _Reached(_activation(tap, _tensor(tap, output)))

        if not shapes:
            shapes.update(tap_shapes(model, [tap], images[:1].detach()))
        watch = _Watch((tap,), "activation", shapes)
        handle = model.get_submodule(tap.module).register_forward_hook(stop)
        try:
            with in_evaluation(model):
                model(images)
        except _Reached as reached:
            watch.batch = len(images)
            watch.check(tap, reached.activation)
            return reached.activation
        finally:
            handle.remove()
        raise _run_count_error(tap, 0)

    return activation


def _tensor(tap: Tap, output) -> torch.Tensor:
    if not isinstance(output, torch.Tensor):
        raise InputError(f"tap {tap.name}: {tap.module} gives a {type(output).__name__}, wanted a tensor")
    return output


def _activation(tap: Tap, output: torch.Tensor) -> torch.Tensor:
    return output if tap.transform is None else tap.transform(output)


class _Reached(Exception):
    """Ends a forward pass at the tap, with its activation."""

    def __init__(self, activation: torch.Tensor):
        super().__init__()
        self.activation = activation


@torch.no_grad()
def tap_shapes(model: torch.nn.Module, taps: Iterable[Tap], images: torch.Tensor) -> Shapes:
    """Return the shape of one sample's activation at each tap, (channels, *spatial).

    The network runs on one image and then on two. An axis that has the length of one batch by chance is therefore not
    mistaken for the batch.

    Args:
        model: The network.
        taps: The taps to read.
        images: One image, (1, channels, *spatial).

    Raises:
        InputError: `tap_hooks` refuses a tap.
    """
    taps, shapes = tuple(taps), {}

    def keep(tap: Tap, activation: torch.Tensor) -> None:
        shapes[tap] = tuple(activation.shape[1:])

    with tap_hooks(model, taps, keep):
        model(images)
        model(torch.cat([images, images]))
    return shapes
