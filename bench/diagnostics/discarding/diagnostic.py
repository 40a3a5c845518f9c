"""Information discarding as a diagnostic of a run: trained, untrained and damaged, layer by layer and skip by skip."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
from torch import Tensor
from torch.nn import Module

from bench.diagnostics.base import Diagnostic, Findings
from bench.diagnostics.discarding.damage import damaged
from bench.diagnostics.discarding.grids import checked_grid, default_grid
from bench.diagnostics.discarding.images import Images
from bench.diagnostics.discarding.look import Look, Settings
from bench.diagnostics.discarding.reading import Reading
from bench.diagnostics.discarding.reconstruction import Decoders
from bench.diagnostics.discarding.skips import carried_by_skips
from bench.diagnostics.discarding.water_filling import WaterFilling
from bench.errors import InputError
from bench.estimators.base import above_zero, at_least
from bench.information.tables import LayerTable, Moment
from bench.layers.probe import Probe
from bench.layers.selection import place


class InformationDiscarding(Diagnostic):
    """What every layer throws away of single images, cell by cell: see `strict_information_discarding`.

    Asked in training, of the best checkpoint, of untrained networks, and of the best one with the weights of a layer
    shuffled: a measure that does not see this damage would measure nothing. Rows by tap and image: sid, bits, and its
    running maximum over the layers so far, as published; concentration on the mask or, without one, the central box;
    the realised distortion with its error; the image's Dice or probability of its class.

    name: of all that is found. images: of the probe's samples, in a seeded choice. epoch_images: of these, in training.
    grid: cells a side, one number or one per axis; None for the largest divisors up to 16. beta, tau,
    sigma_max: of the noise, in units of images in [0, 1] or else of their range. solver: `WaterFilling` or
    `PublishedDescent`. absolute: SID also under one budget for all layers, β times the energy of noise τ on the image;
    along layers that stretch no distance, it can't fall. skips: what only each skip of a U-Net carries. damage: tap
    whose weights are shuffled; None for one at a quarter of the data's way. reconstruction: `Decoders`, to train one
    for each layer and report what it can't say.

    Source: Ma et al. 2022, ICML, arXiv 1906.04109; controls, skips and the solver are ours.
    """

    def __init__(
        self,
        name: str = "discarding",
        images: int = 4,
        epoch_images: int = 2,
        grid: int | Sequence[int] | None = None,
        beta: float = 1.5,
        tau: float = 0.01,
        sigma_max: float = 1.0,
        solver: Callable | None = None,
        absolute: bool = False,
        skips: bool = True,
        damage: str | None = None,
        reconstruction: Decoders | None = None,
    ):
        if not re.fullmatch(r"[\w.-]{1,100}", name):
            raise ValueError(f"name: got {name!r}, wanted letters, digits, _, . and -, 100 at most: it names metrics")
        for part, got, kind in (("solver", solver, Callable), ("reconstruction", reconstruction, Decoders)):
            if got is not None and not isinstance(got, kind):
                raise ValueError(f"{part}: got {got!r}, wanted a component with _target_, or null")
        self.name = name
        self.logged = (f"{name}/*",)
        self.count = at_least("images", images, 1)
        self.epoch_images = at_least("epoch_images", epoch_images, 1)
        self.grid = grid
        self.noise = {"beta": beta, "tau": tau, "sigma_max": sigma_max}
        for name, value in self.noise.items():
            above_zero(name, value)
        self.solver = solver or WaterFilling(refine=100)
        self.absolute, self.skips, self.damage, self.reconstruction = absolute, skips, damage, reconstruction
        self.images: Images | None = None

    def check(self, probe: Probe) -> None:
        size = probe.data.image_size
        checked_grid(default_grid(size) if self.grid is None else self.grid, size)
        if self.count > len(probe.samples):
            raise InputError(
                f"diagnostic {self.name}.images: got {self.count}, wanted at most the {len(probe.samples)} samples of "
                "the probe; lower it or raise probe.n"
            )
        names = [tap.name for tap in probe.taps]
        if self.damage not in (None, *names):
            raise InputError(f"diagnostic discarding.damage: got {self.damage!r}, wanted one of {', '.join(names)}")

    def measure(self, network: Module, probe: Probe, moment: Moment) -> dict[str, list[dict]]:
        if self.images is None:
            self.images = Images.chosen(probe.data, probe.samples, self.count, probe.seed)
        measured = list(self._of(network, probe, moment))
        if moment.weights == "best":
            broken, tap = damaged(network, self.damage, probe.seed)
            rows = self._of(broken, probe, replace(moment, weights="damaged"))
            measured += [(row | {"damaged": tap.name}, entropy) for row, entropy in rows]
        maps = [_flat(row, entropy) for row, entropy in measured if entropy is not None and moment.weights != "epoch"]
        return {self.name: [row for row, _ in measured], f"{self.name}_maps": maps}

    def _of(self, network: Module, probe: Probe, moment: Moment) -> Iterator[tuple[dict, Tensor | None]]:
        in_training = moment.weights == "epoch"
        images = self.images.first(self.epoch_images) if in_training else self.images
        size = probe.data.image_size
        grid = checked_grid(default_grid(size) if self.grid is None else self.grid, size)
        look = Look(network, images, Settings(grid, solver=self.solver, **self.noise), probe.seed)
        places = {tap.name: place(tap, probe.taps) for tap in probe.taps}
        for row, entropy in look.layers(probe.taps, self.absolute, None if in_training else self.reconstruction):
            yield moment.row() | {"place": places[row["tap"]]} | row, entropy
        if self.skips and not in_training:
            for row, entropy in carried_by_skips(look, network.taps()):
                yield moment.row() | row, entropy

    def __call__(self, table: LayerTable) -> Findings:
        rows = table.detail(self.name)
        if rows.empty or "sid" not in rows:
            return Findings()
        return Reading(self.name, rows, table.detail(f"{self.name}_maps"), self.images, self.noise["beta"]).findings(
            table
        )


def _flat(row: dict, entropy: Tensor) -> dict:
    """A map as columns, each named by its cell, such as 3.15 for row 3, column 15."""
    keys = ("weights", "seed", "tap", "image", "closed")
    cells = {".".join(map(str, index)): round(value, 4) for index, value in np.ndenumerate(entropy.numpy())}
    return {key: row.get(key) for key in keys} | cells
