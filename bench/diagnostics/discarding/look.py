"""A look at a network: what each of its layers discards of each image, and how far that can be believed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.diagnostics.discarding.convergence import unevenness
from bench.diagnostics.discarding.distortion import Distortion
from bench.diagnostics.discarding.images import Images
from bench.diagnostics.discarding.reconstruction import Decoders, reconstruction_uncertainty, squared_errors
from bench.diagnostics.discarding.sensitivity import Activation
from bench.diagnostics.discarding.strict import UNDEFINED, Discarding, strict_information_discarding
from bench.errors import EstimationError
from bench.layers.hooks import upto
from bench.layers.selection import named_rng
from models import Tap


@dataclass(frozen=True)
class Settings:
    """What `strict_information_discarding` is asked with."""

    grid: tuple[int, ...]
    beta: float
    tau: float
    sigma_max: float
    solver: Callable


@dataclass(frozen=True)
class Look:
    """At a network's layers, with the same noise whatever its weights."""

    network: nn.Module
    images: Images
    settings: Settings
    seed: int

    @property
    def x(self) -> Tensor:
        return self.images.units(self.images.samples.images, self.network)

    def discarding(self, f: Activation, x: Tensor, tap: Tap, normaliser: float | None = None) -> Discarding:
        asked = {"rng": self.rng(tap.name), "normaliser": normaliser, **vars(self.settings)}
        return strict_information_discarding(self.images.from_units(f), x, **asked)

    def unevenness(self, f: Activation, found: Discarding, tap: Tap) -> Tensor:
        """How far the noise found is from an optimum, (images,)."""
        distortion = Distortion(self.images.from_units(f), self.x, self.settings.grid, self.settings.tau)
        rng = self.rng(tap.name, "unevenness")
        return unevenness(distortion, found.sigma.flatten(1), self.settings.sigma_max, rng)

    def rng(self, *names: str) -> torch.Generator:
        return torch.Generator().manual_seed(int(named_rng(self.seed, "discarding", *names).integers(2**62)))

    def layers(
        self, taps: list[Tap], absolute: bool, decoders: Decoders | None
    ) -> Iterator[tuple[dict, Tensor | None]]:
        """A row for each tap and image, with its map, (*grid), bits; without one where the row says the reason."""
        most = np.full(len(self.images.samples), -np.inf)
        scores = self.images.scores(self.network)
        for tap in taps:
            f, started = upto(self.network, tap), time.perf_counter()
            try:
                found = self.discarding(f, self.x, tap)
            except EstimationError as error:
                yield from self._refused(tap, str(error), scores)
                continue
            sid = found.sid_bits.cpu().numpy()
            most = np.fmax(most, sid)
            columns = {
                "sid": sid,
                "sid_running_max": most,
                "distortion": found.distortion,
                "distortion_error": found.distortion_error,
                "capped": found.capped,
                "unevenness": self.unevenness(f, found, tap),
                **self.images.concentrations(found.entropy_bits.cpu()),
                "score": scores,
            }
            if absolute:
                energy = self.settings.tau**2 * self.x[0].numel()
                columns["sid_absolute"] = self.discarding(f, self.x, tap, normaliser=energy).sid_bits
            if decoders:
                columns |= self._reconstructed(f, found, tap, decoders)
            seconds = (time.perf_counter() - started) / len(sid)
            for row, entropy in zip(self._rows(tap, columns), found.entropy_bits.cpu(), strict=True):
                undefined = {"reason": UNDEFINED} if np.isnan(row["sid"]) else {}
                yield row | {"seconds": seconds} | undefined, None if undefined else entropy

    def _reconstructed(self, f: Activation, found: Discarding, tap: Tap, decoders: Decoders) -> dict:
        """Uncertainty of a decoder of this layer, its error without noise, and how the uncertainty is spread."""
        train = self.images.units(self.images.data.train.images, self.network)
        f = self.images.from_units(f)
        decoder = decoders.trained(f, train, self.seed)
        sigma = found.sigma.flatten(1)

        def errors(sigma: Tensor, draws: int) -> Tensor:
            made = {"grid": self.settings.grid, "draws": draws, "rng": self.rng(tap.name, "reconstruction")}
            return squared_errors(lambda x: decoder(f(x)), self.x, sigma, **made)

        uncertainty = reconstruction_uncertainty(errors(sigma, decoders.draws)).cpu()
        spread = self.images.concentrations(uncertainty)
        return {
            "ru": uncertainty.flatten(1).mean(1),
            "reconstruction_error": errors(torch.zeros_like(sigma), 1).flatten(1).mean(1),
            "ru_concentration": spread["concentration"],
        }

    def _rows(self, tap: Tap, columns: dict) -> Iterator[dict]:
        values = {
            name: column.cpu().numpy() if isinstance(column, Tensor) else column for name, column in columns.items()
        }
        for index in range(len(self.images.samples)):
            yield self._where(tap, index) | {key: column[index] for key, column in values.items()}

    def _refused(self, tap: Tap, reason: str, scores: np.ndarray) -> Iterator[tuple[dict, None]]:
        for index, score in enumerate(scores):
            yield self._where(tap, index) | {"score": score, "reason": reason}, None

    def _where(self, tap: Tap, index: int) -> dict:
        samples = self.images.samples
        place_ = {"tap": tap.name, "order": tap.order, "role": tap.role, "level": tap.level}
        return place_ | {"image": samples.names[index], "group": samples.groups[index]}
