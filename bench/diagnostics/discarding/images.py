"""The images that are looked at: in the units of the noise, with what matters in them and how the network does."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from torch import Tensor, nn

from bench.datasets.data import Data, Split
from bench.diagnostics.discarding.concentration import central_box, concentration
from bench.diagnostics.discarding.sensitivity import Activation
from bench.layers.selection import named_rng
from bench.training.evaluate import correct, predict, segmentation_table
from models.tracing import device_of


@dataclass(frozen=True)
class Images:
    """samples: those looked at. low, span: what is 0 and the range that is 1 in units of the noise."""

    data: Data
    samples: Split
    low: float
    span: float

    @classmethod
    def chosen(cls, data: Data, samples: Split, count: int, seed: int) -> Images:
        """A seeded choice of the samples; images outside [0, 1] are in units of their whole range."""
        rows = named_rng(seed, "images to look at").permutation(len(samples))[:count]
        least, most = float(samples.images.min()), float(samples.images.max())
        low, span = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most - least)
        return cls(data, samples.take(rows), low, span)

    def first(self, count: int) -> Images:
        return Images(self.data, self.samples.take(np.arange(min(count, len(self.samples)))), self.low, self.span)

    def units(self, images: Tensor, network: nn.Module) -> Tensor:
        """Images in units of the noise, where the network is."""
        return ((images - self.low) / self.span).to(device_of(network))

    def from_units(self, activation: Activation) -> Activation:
        """The activation as a function of images in units of the noise."""
        return lambda x: activation(self.low + self.span * x)

    @cached_property
    def foregrounds(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Foreground and background, (n, *spatial): of all classes, then of each where a mask has several."""
        if self.data.task != "segmentation":
            box = central_box(self.data.image_size).expand(len(self.samples), *self.data.image_size)
            return {"concentration": (box, 1 - box)}
        masks = self.samples.targets
        found = {"concentration": ((masks > 0).float(), (masks == 0).float())}
        if len(self.data.classes) > 2:
            for number, name in enumerate(self.data.classes[1:], 1):
                found[f"concentration.{name}"] = ((masks == number).float(), (masks == 0).float())
        return found

    def concentrations(self, entropy: Tensor) -> dict[str, Tensor]:
        """Of maps (n, *grid), bits, by name, (n,)."""
        return {name: concentration(entropy, *sides) for name, sides in self.foregrounds.items()}

    def scores(self, network: nn.Module) -> np.ndarray:
        """How well the network does on each image, (n,): Dice, the probability of the class, or the share of labels."""
        logits, targets = predict(network, self.samples.images), self.samples.targets
        if self.data.task == "segmentation":
            return segmentation_table(logits, targets, self.data.classes)["dice"].to_numpy()
        if self.data.task == "multilabel":
            return correct(logits, targets, self.data)
        return logits.softmax(1).gather(1, targets[:, None])[:, 0].numpy()

    def pictures(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Each image and its mask or, without one, the central box, (H, W) both; of volumes the middle slice."""
        box = central_box(self.data.image_size)
        masks = self.samples.targets if self.data.task == "segmentation" else box.expand(len(self.samples), *box.shape)
        both = zip(self.samples.images.mean(1), masks, strict=True)
        return [
            tuple(each[len(each) // 2].numpy() if each.ndim == 3 else each.numpy() for each in pair) for pair in both
        ]
