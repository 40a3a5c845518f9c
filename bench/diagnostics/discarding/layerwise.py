"""Layer-wise measurement: the selected images, and what each layer of a network discards of each of them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn

from bench.datasets.data import Data
from bench.datasets.progress import progress
from bench.datasets.splits import Loaded
from bench.diagnostics.discarding.distortion import Activation, Distortion
from bench.diagnostics.discarding.grids import central_box, concentration
from bench.diagnostics.discarding.measures import (
    UNDEFINED,
    Decoders,
    Discarding,
    reconstruction_uncertainty,
    squared_errors,
    strict_information_discarding,
)
from bench.diagnostics.discarding.optimization import unevenness
from bench.errors import EstimationError
from bench.layers.hooks import function_up_to
from bench.layers.selection import named_rng
from bench.training.evaluate import correct, segmentation_table
from bench.training.predictions import predict
from models import Tap
from models.tracing import device_of


@dataclass(frozen=True)
class Images:
    """Images to measure, the unit of their noise, their foreground, and the score of a network on each of them.

    Args:
        data: The dataset of the images.
        samples: The images and their targets.
        low: Pixel value that is 0 in units of the noise.
        span: Range of pixel values that is 1 in units of the noise.
    """

    data: Data
    samples: Loaded
    low: float
    span: float

    @classmethod
    def select(cls, data: Data, samples: Loaded, count: int, seed: int) -> Images:
        """Select images at random. The unit of noise is 1 for images in [0, 1], and their whole range otherwise."""
        rows = named_rng(seed, "images to look at").permutation(len(samples))[:count]
        least, most = float(samples.images.min()), float(samples.images.max())
        low, span = (0.0, 1.0) if least >= 0 and most <= 1 else (least, most - least)
        return cls(data, samples.take(rows), low, span)

    def first(self, count: int) -> Images:
        return Images(self.data, self.samples.take(np.arange(min(count, len(self.samples)))), self.low, self.span)

    def to_units(self, images: Tensor, network: nn.Module) -> Tensor:
        """Convert images to units of the noise, on the device of the network."""
        return ((images - self.low) / self.span).to(device_of(network))

    def from_units(self, activation: Activation) -> Activation:
        """Return the activation as a function of images in units of the noise."""
        return lambda x: activation(self.low + self.span * x)

    @cached_property
    def regions(self) -> dict[str, tuple[Tensor, Tensor]]:
        """Foreground and background, (n, *spatial): of all classes, and of each class if a mask has several."""
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
        """Return the concentration of maps, (n, *grid), on each of the regions: bits, (n,), by name."""
        return {name: concentration(entropy, *sides) for name, sides in self.regions.items()}

    def scores(self, network: nn.Module) -> np.ndarray:
        """Score the network on each image, (n,): Dice, probability of the true class, or share of correct labels."""
        logits, targets = predict(network, self.samples.images), self.samples.targets
        if self.data.task == "segmentation":
            return segmentation_table(logits, targets, self.data.classes, self.data.regions)["dice"].to_numpy()
        if self.data.task == "multilabel":
            return correct(logits, targets, self.data)
        return logits.softmax(1).gather(1, targets[:, None])[:, 0].numpy()

    def pictures(self) -> list[tuple[np.ndarray, np.ndarray]]:
        """Return each image and its mask or central box, (H, W) both; of a volume the middle slice."""
        box = central_box(self.data.image_size)
        masks = self.samples.targets if self.data.task == "segmentation" else box.expand(len(self.samples), *box.shape)
        both = zip(self.samples.images.mean(1), masks, strict=True)
        return [
            tuple(each[len(each) // 2].numpy() if each.ndim == 3 else each.numpy() for each in pair) for pair in both
        ]


@dataclass(frozen=True)
class Settings:
    """Arguments of `strict_information_discarding` that all layers share."""

    grid: tuple[int, ...]
    beta: float
    tau: float
    sigma_max: float
    solver: Callable


@dataclass(frozen=True)
class LayerwiseDiscarding:
    """Measures the layers of a network, with the same noise for every set of weights."""

    network: nn.Module
    images: Images
    settings: Settings
    seed: int

    @property
    def x(self) -> Tensor:
        """The images in units of the noise, (n, C, *spatial)."""
        return self.images.to_units(self.images.samples.images, self.network)

    def measure(self, f: Activation, x: Tensor, tap: Tap, normaliser: float | None = None) -> Discarding:
        settings = {"rng": self._rng(tap.name), "normaliser": normaliser, **vars(self.settings)}
        return strict_information_discarding(self.images.from_units(f), x, **settings)

    def measure_layers(
        self, taps: list[Tap], absolute: bool, decoders: Decoders | None
    ) -> Iterator[tuple[dict, Tensor | None]]:
        """Measure each layer on each image.

        Args:
            taps: The layers.
            absolute: Also measure SID under the same absolute bound for all layers.
            decoders: Settings to train a decoder of each layer; None for no reconstruction.

        Yields:
            A row and its map of entropies, (*grid), bits. A row with a `reason` has no map.
        """
        running_max = np.full(len(self.images.samples), -np.inf)
        scores = self.images.scores(self.network)
        for tap in progress(taps, "measure discarding", "layers", len(taps)):
            f, started = function_up_to(self.network, tap), time.perf_counter()
            try:
                found = self.measure(f, self.x, tap)
            except EstimationError as error:
                for index, score in enumerate(scores):
                    yield self._keys(tap, index) | {"score": score, "reason": str(error)}, None
                continue
            sid = found.sid_bits.cpu().numpy()
            running_max = np.fmax(running_max, sid)
            columns = {
                "sid": sid,
                "sid_running_max": running_max,
                "distortion": found.distortion,
                "distortion_error": found.distortion_error,
                "capped": found.capped,
                "unevenness": self._unevenness(f, found, tap),
                **self.images.concentrations(found.entropy_bits.cpu()),
                "score": scores,
            }
            if absolute:
                energy = self.settings.tau**2 * self.x[0].numel()
                columns["sid_absolute"] = self.measure(f, self.x, tap, normaliser=energy).sid_bits
            if decoders:
                columns |= self._reconstruction(f, found, tap, decoders)
            seconds = (time.perf_counter() - started) / len(sid)
            columns = {name: part.cpu().numpy() if isinstance(part, Tensor) else part for name, part in columns.items()}
            for index, entropy in enumerate(found.entropy_bits.cpu()):
                row = self._keys(tap, index) | {name: part[index] for name, part in columns.items()}
                undefined = {"reason": UNDEFINED} if np.isnan(row["sid"]) else {}
                yield row | {"seconds": seconds} | undefined, None if undefined else entropy

    def _unevenness(self, f: Activation, found: Discarding, tap: Tap) -> Tensor:
        distortion = Distortion(self.images.from_units(f), self.x, self.settings.grid, self.settings.tau)
        rng = self._rng(tap.name, "unevenness")
        return unevenness(distortion, found.sigma.flatten(1), self.settings.sigma_max, rng)

    def _reconstruction(self, f: Activation, found: Discarding, tap: Tap, decoders: Decoders) -> dict[str, Tensor]:
        """Return RU, the squared error of the decoder without noise, and the concentration of RU, (n,) each."""
        train = self.images.to_units(self.images.data.train.loaded().images, self.network)
        f = self.images.from_units(f)
        decoder = decoders.train(f, train, self.seed)
        sigma = found.sigma.flatten(1)

        def errors(sigma: Tensor, draws: int) -> Tensor:
            rng = self._rng(tap.name, "reconstruction")
            return squared_errors(lambda x: decoder(f(x)), self.x, sigma, self.settings.grid, draws=draws, rng=rng)

        uncertainty = reconstruction_uncertainty(errors(sigma, decoders.draws)).cpu()
        return {
            "ru": uncertainty.flatten(1).mean(1),
            "reconstruction_error": errors(torch.zeros_like(sigma), 1).flatten(1).mean(1),
            "ru_concentration": self.images.concentrations(uncertainty)["concentration"],
        }

    def _rng(self, *names: str) -> torch.Generator:
        return torch.Generator().manual_seed(int(named_rng(self.seed, "discarding", *names).integers(2**62)))

    def _keys(self, tap: Tap, index: int) -> dict:
        keys = {"tap": tap.name, "order": tap.order, "role": tap.role, "level": tap.level}
        return keys | {"image": self.images.samples.names[index], "group": self.images.samples.groups[index]}
