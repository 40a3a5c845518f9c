"""Views: what one sample is. Each view gives the label's Variable and captures the Variables of layers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

import torch

from bench.datasets.data import Split
from bench.information.reductions import Reduction
from bench.information.tables import I_TY, I_XT
from bench.information.variables import Variable
from bench.layers.capture import Captured, capture
from bench.layers.hooks import Loss
from bench.layers.pixels import Locations, PixelLabels, capture_at, image_at
from models import Tap

Question = tuple[str, str | None, Variable]  # quantity, label view, and the variable that a layer is asked about


class View(Protocol):
    """What one sample is.

    Attributes:
        input: The image as this view sees it.
        questions: What each layer is asked about.
    """

    input: Variable
    questions: list[Question]

    def capture(self, model: torch.nn.Module, taps: Sequence[Tap]) -> Iterator[Captured]:
        """Each tap's Variable, in the order of the taps."""


class ImageView:
    """A sample is an image; a layer's Variable is its flattened activation, folded into reductions.

    Args:
        samples: The images.
        labels: (label view, Variable) of each label; the first is the primary one.
        reductions: What estimators read of a layer.
        budget_gb: 1e9 bytes of activations that are held at once.
        batch_size: Images at once.

    Raises:
        EstimationError: The images can't be reduced, for example because there are too many for a distance matrix.
    """

    def __init__(
        self,
        samples: Split,
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
        """Each tap's Variable with these reductions, by default those of the view.

        Args:
            model: The network.
            taps: Where activations are read.
            reductions: What is folded from the activations.
            loss: With it, the errors that back-propagation brings to the taps take the place of activations.
        """
        asked = self.reductions if reductions is None else reductions
        memory = {"budget_gb": self.budget_gb, "batch_size": self.batch_size}
        for captured in capture(model, self.samples, list(taps), asked, **memory, loss=loss):
            aligned = captured.variable and replace(captured.variable, classes=self.classes)
            yield replace(captured, variable=aligned)


class LocationView:
    """A sample is a location of an image; a layer's Variable has the channels of the cell that the location lies in.

    Args:
        name: `pixel`, or `patch` for the 3×3 (3-D: 3×3×3) neighbourhood of the cell.
        samples: The images and their label maps.
        locations: Where every image is looked at.
        budget_gb: 1e9 bytes of activations that are held at once.
        batch_size: Images at once.
    """

    def __init__(
        self, name: str, samples: Split, locations: Locations, *, budget_gb: float = 1.0, batch_size: int = 32
    ):
        self.name = name
        self.samples = samples
        self.locations = locations
        self.memory = {"budget_gb": budget_gb, "batch_size": batch_size}
        self.input = image_at(samples, locations, name)
        self.questions: list[Question] = [(I_TY, "class", PixelLabels.at(samples, locations))]

    def capture(self, model: torch.nn.Module, taps: Sequence[Tap]) -> Iterator[Captured]:
        """Each tap's Variable; a layer without spatial axes has a reason in its place."""
        return capture_at(model, self.samples, taps, self.locations, self.name, **self.memory)
