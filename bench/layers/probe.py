"""Probe: asks every estimator what each tap tells of the input and of the label, and answers with LayerTable rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import torch
from tqdm import tqdm

from bench.datasets.data import Data
from bench.errors import EstimationError, InputError
from bench.estimators import Estimator
from bench.information.reductions import Distances, Reduction
from bench.information.tables import I_TY, I_XT, Moment
from bench.information.variables import Variable
from bench.known_truth import with_response
from bench.layers.capture import Captured, capture, columns_in_budget
from bench.layers.hooks import Loss, tap_shapes
from bench.layers.labels import VIEWS, label_view
from bench.layers.pixels import REACH, Locations, PixelLabels, capture_at, image_at
from bench.layers.selection import choose_samples, choose_taps, choose_views, named_rng, place
from models import Tap
from models.tracing import device_of

INPUT = Tap("input", "", "input", 1, -1)


class Probe:
    """Measures a network on a fixed set of samples.

    n: how many samples, drawn once from the split and kept in its order; None takes all. taps: names or patterns
    (`enc*`), None for all but the skips, which repeat the encoder's last activation. labels: label views of whole
    images, the first is the primary one. views: `image`, one sample per image; `pixel` and `patch`, one per location
    and in all about `pixels` of them; None for image, and pixel where the labels are masks. loss: that the network
    learns by, for what asks of the errors of back-propagation. The same samples, locations, permutations and subsamples
    serve every epoch, so that rows compare.
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
        loss: Loss | None = None,
    ):
        self.data = data
        self.seed = seed
        self.split_name = split
        self.samples = choose_samples(data, split, n, seed)
        self.taps = choose_taps(model.taps(), taps)
        tap_shapes(model, self.taps, self.samples.images[:1].to(device_of(model)))  # refuses a tap that can't be read
        self.estimators = estimators
        self.budget_gb = budget_gb
        self.batch_size = batch_size
        self.loss = loss
        reads = (r for estimator in estimators.values() for r in estimator.reads)
        self.reductions = tuple(dict.fromkeys((Distances(), *reads)))  # truth is planted by distances
        columns_in_budget(budget_gb, len(self.samples))
        self.views = choose_views(views, data.task)
        self.inputs: dict[str, Variable] = {}
        self.questions: dict[str, list[tuple[str, str | None, Variable]]] = {}
        if "image" in self.views:
            self._ask_images(data, labels or list(VIEWS[data.task])[:1])
        if set(self.views) & set(REACH):
            self._ask_pixels(data, pixels)

    def _ask_images(self, data: Data, labels: Sequence[str]) -> None:
        about_labels = [(I_TY, name, label_view(name, data, self.samples, self.seed)) for name in labels]
        self.classes = about_labels[0][2].labels
        try:
            images = Variable.of(self.samples.images.flatten(1).numpy(), self.samples.groups)
            images = replace(images, deterministic=True, classes=self.classes)
            for reduction in self.reductions:
                images.read(reduction)
        except EstimationError as error:
            raise InputError(f"dataset {data.name}: the images of probe.split={self.split_name}: {error}") from error
        self.inputs["image"] = images
        self.questions["image"] = [(I_XT, None, images), *about_labels]

    def _ask_pixels(self, data: Data, pixels: int) -> None:
        self.locations = Locations.draw(data, self.samples, pixels, named_rng(self.seed, "probe locations"))
        classes = PixelLabels.at(self.samples, self.locations)
        for view in set(self.views) & set(REACH):
            self.inputs[view] = image_at(self.samples, self.locations, view)
            self.questions[view] = [(I_TY, "class", classes)]

    def measure(self, model: torch.nn.Module, moment: Moment, calibrate: bool = False) -> Iterator[dict]:
        """LayerTable rows of a network with these weights.

        calibrate: ask each estimator also about truth planted on the same activations, and keep its response.
        """
        for view in self.views:
            what = f"measure {moment.weights} {moment.epoch}, {view} view"
            stream = self.captured(model, view)
            for captured in tqdm(stream, what, len(self.taps) + 1, unit="tap", leave=False, disable=None):
                yield from (moment.row() | row for row in self._answers(captured, view, calibrate))

    def captured(self, model: torch.nn.Module, view: str) -> Iterator[Captured]:
        """What the view sees of the input, and then of each tap."""
        yield Captured(INPUT, self.samples.images.shape[1], self.inputs[view])
        if view == "image":
            yield from self.capture(model, self.taps, self.reductions)
        else:
            memory = {"budget_gb": self.budget_gb, "batch_size": self.batch_size}
            yield from capture_at(model, self.samples, self.taps, self.locations, view, **memory)

    def capture(
        self, model: torch.nn.Module, taps: Iterable[Tap], reads: Iterable[Reduction], loss: Loss | None = None
    ) -> Iterator[Captured]:
        """These reductions of whole images' activations at taps, or with a loss of the errors there."""
        memory = {"budget_gb": self.budget_gb, "batch_size": self.batch_size}
        for captured in capture(model, self.samples, list(taps), reads, **memory, loss=loss):
            aligned = captured.variable and replace(captured.variable, classes=self.classes)
            yield replace(captured, variable=aligned)

    def row(self, tap: Tap, channels: int, quantity: str, view: str, label: str | None, estimator: str) -> dict:
        """Where and of what a row of the LayerTable speaks."""
        return {
            "tap": tap.name,
            "order": tap.order,
            "place": place(tap, self.taps),
            "role": tap.role,
            "level": tap.level,
            "channels": channels,
            "quantity": quantity,
            "view": view,
            "label_view": label,
            "split": self.split_name,
            "estimator": estimator,
        }

    def _answers(self, captured: Captured, view: str, calibrate: bool) -> Iterator[dict]:
        tap = captured.tap
        for name, estimator in self.estimators.items():
            for quantity, label, target in self.questions[view]:
                row = self.row(tap, captured.channels, quantity, view, label, name)
                try:
                    question = (self.seed, tap.name, name, quantity, label, view)
                    yield row | self._answer(estimator, captured.present, target, question, calibrate)
                except EstimationError as error:
                    yield row | {"reason": str(error)}

    def _answer(self, estimator: Estimator, t: Variable, target: Variable, question: tuple, calibrate: bool) -> dict:
        estimate = estimator.estimate(t, target, rng=named_rng(*question))
        if calibrate:
            estimate = with_response(estimate, estimator, t, target, named_rng(*question, "planted"))
        return estimate.row()
