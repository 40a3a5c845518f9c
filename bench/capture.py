"""Capture: the activations of a network at its taps, streamed into Variables under a memory budget."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch

from bench.errors import EstimationError, InputError
from bench.reductions import COLUMNS_PER_FOLD, Reduction
from bench.types import Split
from bench.variables import Variable, require_finite
from models import Tap


@dataclass(frozen=True)
class Captured:
    """One tap's Variable and number of channels, or the reason why it has none."""

    tap: Tap
    channels: int
    variable: Variable | None
    reason: str | None = None


@contextmanager
def hooked(model: torch.nn.Module, taps: Iterable[Tap], receive: Callable[[Tap, torch.Tensor], None]):
    """Within: `receive(tap, activation)` in each forward pass; later operations may overwrite what it does not copy."""
    handles = []
    for tap in taps:

        def hook(_module, _inputs, output, tap=tap):
            if not isinstance(output, torch.Tensor):
                raise InputError(f"tap {tap.name}: {tap.module} gives a {type(output).__name__}, wanted a tensor")
            activation = output.detach()
            receive(tap, activation if tap.transform is None else tap.transform(activation))

        handles.append(model.get_submodule(tap.module).register_forward_hook(hook))
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
        for handle in handles:
            handle.remove()


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


def capture(
    model: torch.nn.Module,
    split: Split,
    taps: list[Tap],
    reductions: Iterable[Reduction],
    *,
    budget_gb: float = 1.0,
    batch_size: int = 32,
) -> Iterator[Captured]:
    """Each tap's Variable over the samples of a split, in the order of the taps.

    At most budget_gb (1e9 bytes) of activations are held at once; the network runs again for each part of the columns
    that fits. The result is the same to the last bit for any budget.
    """
    if not taps:
        return
    device = next(model.parameters()).device
    reductions = tuple(reductions)
    shapes = tap_shapes(model, taps, split.images[:1].to(device))
    dims = {tap: int(np.prod(shape)) for tap, shape in shapes.items()}
    folded: dict[Tap, dict[Reduction, np.ndarray]] = {}
    reasons: dict[Tap, str] = {}
    for part in _parts(dims, columns_in_budget(budget_gb, len(split))):
        columns = _columns(model, split, part, batch_size, device)
        for tap, (_, stop) in part.items():
            slices, totals = columns.pop(tap), folded.setdefault(tap, {})
            try:
                for slice_ in slices:
                    require_finite(slice_)
                    totals.update({r: r.fold(totals.get(r), slice_) for r in reductions})
            except EstimationError as error:
                reasons[tap] = str(error)
            if stop == dims[tap]:
                yield _captured(tap, shapes[tap], split, folded.pop(tap), reasons.get(tap))


def _captured(tap: Tap, shape: tuple[int, ...], split: Split, folded: dict, reason: str | None) -> Captured:
    if reason:
        return Captured(tap, shape[0], None, reason)
    finished = {reduction: reduction.finish(total) for reduction, total in folded.items()}
    variable = Variable(len(split), int(np.prod(shape)), split.groups, finished, deterministic=True)
    return Captured(tap, shape[0], variable)


def columns_in_budget(budget_gb: float, n: int) -> int:
    """How many columns of n float32 samples fit; raises InputError where not one slice does."""
    columns = int(budget_gb * 1e9 / (4 * n)) // COLUMNS_PER_FOLD * COLUMNS_PER_FOLD
    if columns == 0:
        needed = 4 * n * COLUMNS_PER_FOLD / 1e9
        raise InputError(
            f"probe.budget_gb: got {budget_gb}, wanted at least {needed:.2g} for n={n}; raise it or lower probe.n"
        )
    return columns


def _parts(dims: dict[Tap, int], capacity: int) -> Iterator[dict[Tap, tuple[int, int]]]:
    """Column ranges of taps, in order, in parts of at most `capacity` columns."""
    part: dict[Tap, tuple[int, int]] = {}
    free = capacity
    for tap, dim in dims.items():
        start = 0
        while start < dim:
            stop = dim if dim - start <= free else start + free // COLUMNS_PER_FOLD * COLUMNS_PER_FOLD
            if stop > start:
                part[tap] = (start, stop)
                free -= stop - start
            if stop < dim:
                yield part
                part, free = {}, capacity
            start = stop
    yield part


def _columns(
    model, split: Split, part: dict[Tap, tuple[int, int]], batch_size: int, device
) -> dict[Tap, list[np.ndarray]]:
    """For each tap of the part its columns, in slices (n, COLUMNS_PER_FOLD or less) float32."""
    bounds = {
        tap: [(left, min(left + COLUMNS_PER_FOLD, stop)) for left in range(start, stop, COLUMNS_PER_FOLD)]
        for tap, (start, stop) in part.items()
    }
    columns = {
        tap: [np.empty((len(split), right - left), np.float32) for left, right in slices]
        for tap, slices in bounds.items()
    }
    first, missing = 0, set(part)

    def receive(tap: Tap, activation: torch.Tensor) -> None:
        flat = activation.flatten(1).float().cpu().numpy()
        for (left, right), slice_ in zip(bounds[tap], columns[tap], strict=True):
            slice_[first : first + len(flat)] = flat[:, left:right]
        missing.discard(tap)
        if not missing:
            raise _AllCaptured

    with torch.no_grad(), hooked(model, part, receive):
        for first in range(0, len(split), batch_size):
            missing.update(part)
            with suppress(_AllCaptured):
                model(split.images[first : first + batch_size].to(device))
    return columns


class _AllCaptured(Exception):
    """What the rest of the forward pass computes is not needed."""
