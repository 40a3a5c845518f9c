"""Probe: apply every estimator to each layer of a network. The estimates are rows of the LayerTable."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Literal, TypeVar

import torch

from bench.datasets.data import Data
from bench.datasets.progress import progress
from bench.errors import EstimationError, InputError
from bench.estimators import Estimator
from bench.information.reductions import Distances
from bench.information.tables import Moment
from bench.information.variables import Variable
from bench.known_truth import with_calibrated_bits, with_response
from bench.layers.capture import Captured, columns_in_budget
from bench.layers.hooks import Loss, Shapes, tap_shapes
from bench.layers.labels import VIEWS, label_view
from bench.layers.pixels import REACH, Locations
from bench.layers.selection import choose_samples, choose_taps, choose_views, named_rng, relative_depth, taps_of
from bench.layers.views import ImageView, LocationView, View
from models import Tap
from models.tracing import device_of

INPUT = Tap("input", "", "input", 1, -1)
SHOWN = 5  # layers in a message

Calibrate = Literal["curve"] | bool
Item = TypeVar("Item")
Result = TypeVar("Result")


class Probe:
    """Measures networks of one architecture on a fixed set of samples.

    Every measurement uses the same samples, locations, permutations and subsamples, so that rows can be compared.

    Args:
        model: A network of the architecture. Its taps are checked on an image.
        data: The dataset.
        estimators: Estimators by name. The first is the primary one.
        seed: Seed of every random choice.
        split: The split of the data to measure.
        n: Number of samples, drawn once from the split and kept in its order. None takes all.
        taps: Names or patterns such as `enc*`. None takes all but the skips, which repeat activations of the encoder.
        labels: Label views of whole images. The first is the primary one.
        views: `image` (a sample is an image), `pixel` or `patch` (a sample is a location). None takes `pixel` for masks
            and `image` for other labels.
        pixels: Number of locations, over all images.
        budget_gb: Activations that are held at once, at most, in 1e9 bytes. Results do not depend on it.
        batch_size: Number of images in a batch. Rounding depends on it.
        workers: Number of layers that are estimated at once, each in a thread of its own, if PyTorch uses one thread.
            With several threads of PyTorch, one layer follows the other. Results do not depend on it.
        loss: Training loss of the network, for diagnostics that read the errors of back-propagation.

    Raises:
        InputError: The data have too few samples, or there is no such tap, label view or view.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        data: Data,
        estimators: Mapping[str, Estimator],
        *,
        seed: int,
        split: str = "val",
        n: int | None = None,
        taps: Sequence[str] | None = None,
        labels: Sequence[str] | None = None,
        views: Sequence[str] | None = None,
        pixels: int = 1000,
        budget_gb: float = 1.0,
        batch_size: int = 32,
        workers: int = 2,
        loss: Loss | None = None,
    ):
        self.data = data
        self.seed = seed
        self.split_name = split
        self.samples = choose_samples(data, split, n, seed)
        self.taps = choose_taps(taps_of(model), taps)
        shapes = tap_shapes(model, self.taps, self.samples.images[:1].to(device_of(model)))  # checks taps
        self.estimators = estimators
        self.budget_gb = budget_gb
        self.batch_size = batch_size
        self.workers = workers
        self.loss = loss
        reads = (reduction for estimator in estimators.values() for reduction in estimator.reads)
        reductions = tuple(dict.fromkeys((Distances(), *reads)))  # truth is planted by distances
        columns_in_budget(budget_gb, len(self.samples))
        chosen = choose_views(views, data.task)
        made: dict[str, View] = {}
        if "image" in chosen:
            names = labels or list(VIEWS[data.task])[:1]
            variables = [(name, label_view(name, data, self.samples, seed)) for name in names]
            try:
                made["image"] = ImageView(
                    self.samples, variables, reductions, budget_gb=budget_gb, batch_size=batch_size
                )
            except EstimationError as error:
                raise InputError(f"dataset {data.name}: the images of probe.split={split}: {error}") from error
        if at_locations := [view for view in chosen if view in REACH]:
            _require_places(at_locations[0], shapes, len(data.image_size))
            locations = Locations.draw(data, self.samples, pixels, named_rng(seed, "probe locations"))
            for view in at_locations:
                made[view] = LocationView(view, self.samples, locations, budget_gb=budget_gb, batch_size=batch_size)
        self.views = {view: made[view] for view in chosen}

    @property
    def image_view(self) -> ImageView:
        """The view of whole images, which must be among the views."""
        view = self.views["image"]
        assert isinstance(view, ImageView)  # as __init__ makes it
        return view

    def measure(self, model: torch.nn.Module, moment: Moment, calibrate: Calibrate = False) -> Iterator[dict]:
        """Yield the LayerTable rows of a network.

        Args:
            model: The network.
            moment: The epoch and kind of its weights.
            calibrate: Also estimate known information that is planted on the same activations, and store the response
                of each estimator. `curve` plants doses of it about labels, and stores the calibrated bits.
        """
        for view in self.views:
            what = f"measure {moment}, {view} view"
            estimate = partial(self._estimate_all, view=view, calibrate=calibrate)
            layers = map_in_threads(estimate, self.captured(model, view), self.workers)
            for rows in progress(layers, what, "taps", len(self.taps) + 1):
                yield from (moment.row() | row for row in rows)

    def captured(self, model: torch.nn.Module, view: str) -> Iterator[Captured]:
        """Yield the Variable of the input and then of each tap, in a view."""
        yield Captured(INPUT, self.samples.images.shape[1], self.views[view].input)
        yield from self.views[view].capture(model, self.taps)

    def row(self, tap: Tap, channels: int, quantity: str, view: str, label: str | None, estimator: str) -> dict:
        """Return the columns of a LayerTable row that state its tap, quantity, view, split and estimator."""
        return {
            "tap": tap.name,
            "order": tap.order,
            "relative_depth": relative_depth(tap, self.taps),
            "role": tap.role,
            "level": tap.level,
            "channels": channels,
            "quantity": quantity,
            "view": view,
            "label_view": label,
            "split": self.split_name,
            "estimator": estimator,
        }

    def _estimate_all(self, captured: Captured, view: str, calibrate: Calibrate) -> list[dict]:
        tap, rows = captured.tap, []
        for name, estimator in self.estimators.items():
            for quantity, label, target in self.views[view].questions:
                row = self.row(tap, captured.channels, quantity, view, label, name)
                try:
                    question = (self.seed, tap.name, name, quantity, label, view)
                    rows.append(row | self._estimate(estimator, captured.present, target, question, calibrate))
                except EstimationError as error:
                    rows.append(row | {"reason": str(error)})
        return rows

    def _estimate(
        self, estimator: Estimator, t: Variable, target: Variable, question: tuple, calibrate: Calibrate
    ) -> dict:
        estimate = estimator.estimate(t, target, rng=named_rng(*question))
        if calibrate == "curve" and target.labels is not None:
            estimate = with_calibrated_bits(estimate, estimator, t, target, named_rng(*question, "doses"))
        elif calibrate:
            estimate = with_response(estimate, estimator, t, target, named_rng(*question, "planted"))
        return estimate.row()


def _require_places(view: str, shapes: Shapes, axes: int) -> None:
    """Raise InputError if no tap has spatial axes."""
    if not any(len(shape) == axes + 1 for shape in shapes.values()):
        found = ", ".join(f"{tap.name} {shape}" for tap, shape in list(shapes.items())[:SHOWN])
        raise InputError(
            f"probe.views: got {view}, and no layer has places for it ({found}), wanted a layer of shape (channels, "
            f"{', '.join('HWD'[:axes])}); choose other layers by probe.taps, or probe.views=[image]"
        )


def map_in_threads(function: Callable[[Item], Result], items: Iterable[Item], workers: int) -> Iterator[Result]:
    """Yield function(item) of each item in order, computed in threads. At most 2 × workers results are held.

    Without threads where PyTorch uses several of its own: linear algebra of several threads would not be reproducible.
    """
    if workers == 1 or torch.get_num_threads() > 1:
        yield from map(function, items)
        return
    pool, pending = ThreadPoolExecutor(workers), deque[Future[Result]]()
    try:
        for item in items:
            pending.append(pool.submit(function, item))
            if len(pending) == 2 * workers:
                yield pending.popleft().result()
        while pending:
            yield pending.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # after an error or Ctrl-C, without waiting for estimates
