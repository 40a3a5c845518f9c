"""Hooks: what passes through the taps of a network, forward or backward."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import contextmanager

import torch

from bench.errors import InputError
from models import Tap
from models.tracing import in_evaluation

Receive = Callable[[Tap, torch.Tensor], None]
Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]  # of logits and targets, a mean over samples
Shapes = dict[Tap, tuple[int, ...]]


@contextmanager
def hooked(
    model: torch.nn.Module,
    taps: Iterable[Tap],
    receive: Receive,
    signal: str = "activation",
    shapes: Mapping[Tap, tuple[int, ...]] | None = None,
):
    """Within: `receive(tap, activation)` in each forward pass; later operations may overwrite what it does not copy.

    signal: `error` has it receive the gradient at each tap in each backward pass instead, of logits where the output's
    activation is of probabilities. shapes: of one sample's activation at each tap; by default those of the first pass.
    Raises InputError for a tap that does not report exactly once in each pass, whose first axis is not the batch, or
    whose other axes change.
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
    """What the taps have reported in this pass, and what they must report in each."""

    def __init__(self, taps: tuple[Tap, ...], signal: str, shapes: Shapes):
        self.taps, self.signal, self.shapes = taps, signal, shapes
        self.batch: int | None = None  # no pass has begun
        self.ran: Counter[Tap] = Counter()
        self.errors: Counter[Tap] = Counter()

    def begin(self, batch: int) -> None:
        """A pass begins, and so the one before it has ended."""
        self.end()
        self.batch = batch
        self.ran.clear()
        self.errors.clear()

    def end(self) -> None:
        if self.batch is None:
            return
        for tap in self.taps:
            if self.ran[tap] != 1:
                raise _runs(tap, self.ran[tap])
            if self.signal == "error" and self.errors[tap] != 1:
                raise InputError(
                    f"tap {tap.name}: back-propagation brings {self.errors[tap]} errors to its module {tap.module} "
                    "in a pass, wanted one; tap a module that the output depends on through a gradient"
                )

    def register(self, model: torch.nn.Module, tap: Tap, receive: Receive):
        def hook(_module, _inputs, output):
            raw = _tensor(tap, output)
            activation = _activation(tap, raw.detach())
            self.check(tap, activation)
            if self.signal != "error":
                receive(tap, activation)
            elif raw.requires_grad:
                raw.register_hook(arrived)

        def arrived(error: torch.Tensor) -> None:
            self.errors[tap] += 1
            receive(tap, error.detach())

        return model.get_submodule(tap.module).register_forward_hook(hook)

    def check(self, tap: Tap, activation: torch.Tensor) -> None:
        self.ran[tap] += 1
        if self.batch is None or self.ran[tap] > 1:
            raise _runs(tap, self.ran[tap])
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


def _runs(tap: Tap, times: int) -> InputError:
    return InputError(
        f"tap {tap.name}: its module {tap.module} runs {times} times in a forward pass, wanted once in each; tap a "
        "module that is neither shared nor compiled and that no pass leaves out"
    )


def upto(model: torch.nn.Module, tap: Tap) -> Callable[[torch.Tensor], torch.Tensor]:
    """The network as far as a tap, as a function of images, in evaluation mode; gradients pass, the rest is not run.

    The first call runs the whole network once, to check the tap as `tap_shapes` does.

    >>> from models import UNet
    >>> network = UNet(widths=(4, 8))
    >>> upto(network, network.taps()[0])(torch.zeros(2, 3, 16, 16)).shape
    torch.Size([2, 4, 16, 16])
    """
    shapes: Shapes = {}

    def activation(images: torch.Tensor) -> torch.Tensor:
        def leave(_module, _inputs, output):
            raise _Reached(_activation(tap, _tensor(tap, output)))

        if not shapes:
            shapes.update(tap_shapes(model, [tap], images[:1].detach()))
        watch = _Watch((tap,), "activation", shapes)
        handle = model.get_submodule(tap.module).register_forward_hook(leave)
        try:
            with in_evaluation(model):
                model(images)
        except _Reached as reached:
            watch.batch = len(images)
            watch.check(tap, reached.activation)
            return reached.activation
        finally:
            handle.remove()
        raise _runs(tap, 0)

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


@torch.no_grad()
def tap_shapes(model: torch.nn.Module, taps: Iterable[Tap], images: torch.Tensor) -> Shapes:
    """Shape of one sample's activation at each tap, (channels, *spatial); images: (1, channels, *spatial).

    Raises InputError for a tap that `hooked` refuses in a pass of one image and then of two, so that an axis that has
    the length of the batch by chance is not taken for it.
    """
    taps, shapes = tuple(taps), {}

    def keep(tap: Tap, activation: torch.Tensor) -> None:
        shapes[tap] = tuple(activation.shape[1:])

    with hooked(model, taps, keep):
        model(images)
        model(torch.cat([images, images]))
    return shapes
