"""Views: what one sample is. A view has the Variables of image and label, and captures those of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from bench.datasets.splits import Loaded
from bench.information.reductions import Reduction
from bench.information.tables import I_TY, I_XT
from bench.information.variables import Variable
from bench.layers.capture import Captured, capture
from bench.layers.hooks import Loss
from bench.layers.pixels import Locations, PixelLabels, capture_at, image_at
from models import Tap

Question = tuple[str, str | None, Variable]  # quantity, label view, and the target


class View(Protocol):
    """What one sample is.

    Attributes:
        input: The Variable of the image in this view.
        questions: The quantities to estimate for each layer, with their targets.
    """

    input: Variable
    questions: list[Question]

    def capture(self, model: torch.nn.Module, taps: Sequence[Tap]) -> Iterator[Captured]:
        """Yield the Variable of each tap, in the order of the taps."""


class ImageView:
    """A sample is an image. The Variable of a layer holds reductions of its flattened activation.

    Args:
        samples: The images.
        labels: (label view, Variable) of each label. The first is the primary one.
        reductions: The reductions that estimators read.
        budget_gb: Activations that are held at once, at most, in 1e9 bytes.
        batch_size: Number of images in a batch.

    Raises:
        EstimationError: The images can't be reduced, for example because there are too many for a distance matrix.
    """

    def __init__(
        self,
        samples: Loaded,
        labels: Sequence[tuple[str, Variable]],
        reductions: Sequence[Reduction],
        *,
        budget_gb: float = 1.0,
        batch_size: int = 32,
    ):
        self.samples = samples
        self.reductions = tuple(reductions)
        self.budget_gb = budget_gb
        self.batch_size = batch_size
        self.classes = labels[0][1].labels  # a kernel may be aligned to them
        images = Variable.of(samples.images.flatten(1).numpy(), samples.groups)
        self.input = replace(images, deterministic=True, classes=self.classes)
        for reduction in self.reductions:
            self.input.read(reduction)
        self.questions: list[Question] = [(I_XT, None, self.input)]
        self.questions += [(I_TY, name, label) for name, label in labels]

    def capture(
        self,
        model: torch.nn.Module,
        taps: Sequence[Tap],
        reductions: Iterable[Reduction] | None = None,
        loss: Loss | None = None,
    ) -> Iterator[Captured]:
        """Yield the Variable of each tap, in the order of the taps.

        Args:
            model: The network.
            taps: The taps to read.
            reductions: The reductions of the activations to compute. None takes those of the view.
            loss: If given, the Variables hold the errors of back-propagation instead of activations.
        """
        chosen = self.reductions if reductions is None else reductions
        stream = capture(
            model, self.samples, list(taps), chosen, budget_gb=self.budget_gb, batch_size=self.batch_size, loss=loss
        )
        for captured in stream:
            aligned = captured.variable and replace(captured.variable, classes=self.classes)
            yield replace(captured, variable=aligned)


class LocationView:
    """A sample is a location of an image. The Variable of a layer has the channels of the cell around the location.

    Args:
        name: `pixel`, or `patch` for the 3×3 (3-D: 3×3×3) neighbourhood of the cell.
        samples: The images and their label maps.
        locations: The locations in every image.
        budget_gb: Activations that are held at once, at most, in 1e9 bytes.
        batch_size: Number of images in a batch.
    """

    def __init__(
        self, name: str, samples: Loaded, locations: Locations, *, budget_gb: float = 1.0, batch_size: int = 32
    ):
        self.name = name
        self.samples = samples
        self.locations = locations
        self.budget_gb = budget_gb
        self.batch_size = batch_size
        self.input = image_at(samples, locations, name)
        self.questions: list[Question] = [(I_TY, "class", PixelLabels.at(samples, locations))]

    def capture(self, model: torch.nn.Module, taps: Sequence[Tap]) -> Iterator[Captured]:
        """Yield the Variable of each tap, or a reason for a tap without spatial axes."""
        return capture_at(
            model, self.samples, taps, self.locations, self.name, budget_gb=self.budget_gb, batch_size=self.batch_size
        )
