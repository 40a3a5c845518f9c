"""Information discarding as a diagnostic of a run, with its references: damaged weights and closed skips."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from bench.datasets.progress import progress
from bench.diagnostics.base import Diagnostic, Findings
from bench.diagnostics.discarding.analysis import Analysis
from bench.diagnostics.discarding.distortion import Activation
from bench.diagnostics.discarding.grids import resolve_grid
from bench.diagnostics.discarding.layerwise import Images, LayerwiseDiscarding, Settings
from bench.diagnostics.discarding.measures import Decoders
from bench.diagnostics.discarding.water_filling import WaterFilling
from bench.errors import EstimationError, InputError
from bench.estimators.base import above_zero, at_least
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.hooks import function_up_to
from bench.layers.probe import Probe
from bench.layers.selection import relative_depth, taps_of
from models import Tap

DAMAGED_DEPTH = 25  # relative depth of the layer that is damaged by default


class InformationDiscarding(Diagnostic):
    """Measure what every layer discards of single images, cell by cell, by `strict_information_discarding`.

    The diagnostic measures networks during training, the best checkpoint, untrained networks, and the best checkpoint
    with the shuffled weights of one layer. A valid measure must respond to this damage. Each row holds, for one layer
    and image: SID in bits and its running maximum over the layers so far, as published; the concentration on the mask
    or the central box; the realised distortion with its error; and the score of the network on the image.

    Args:
        name: Name of tables, figures and metrics.
        images: Number of samples of the probe to measure, selected at random.
        epoch_images: Number of these images to measure during training.
        grid: Number of cells along each axis: one number, or one per axis; None for the largest divisors up to 16.
        beta: Bound β on the distortion.
        tau: Noise τ of the normaliser. The unit is 1 for images in [0, 1], and otherwise their range.
        sigma_max: Largest noise of a cell, in the same units.
        solver: `WaterFilling` (default) or `PublishedDescent`.
        absolute: Also measure SID under one bound for all layers: β times the energy of noise τ on the image. Along
            layers that stretch no distance, this SID cannot decrease.
        skips: Measure the information that only each skip of a U-Net carries.
        damage: Tap whose weights are shuffled; None for the layer nearest to a relative depth of 25.
        reconstruction: Settings of the decoders for reconstruction uncertainty; None for no decoders.

    References:
        Ma et al. 2022, ICML, arXiv 1906.04109. The references, the skips and the default solver are not in the source.
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
        for part, got, fits in (
            ("solver", solver, callable(solver)),
            ("reconstruction", reconstruction, isinstance(reconstruction, Decoders)),
        ):
            if got is not None and not fits:
                raise ValueError(f"{part}: got {got!r}, wanted a component with _target_, or null")
        self.name = name
        self.logged = (f"{name}/*",)
        self.count = at_least("images", images, 1)
        self.epoch_images = at_least("epoch_images", epoch_images, 1)
        self.grid = grid
        self.noise = {"beta": beta, "tau": tau, "sigma_max": sigma_max}
        for setting, value in self.noise.items():
            above_zero(setting, value)
        self.solver = solver or WaterFilling(refine=100)
        self.absolute, self.skips, self.damage, self.reconstruction = absolute, skips, damage, reconstruction
        self.images: Images | None = None

    def check(self, probe: Probe) -> None:
        resolve_grid(self.grid, probe.data.image_size)
        if self.count > len(probe.samples):
            raise InputError(
                f"diagnostic {self.name}.images: got {self.count}, wanted at most the {len(probe.samples)} samples of "
                "the probe; lower it or raise probe.n"
            )
        names = [tap.name for tap in probe.taps]
        if self.damage not in (None, *names):
            raise InputError(f"diagnostic discarding.damage: got {self.damage!r}, wanted one of {', '.join(names)}")

    def measure(self, network: nn.Module, probe: Probe, moment: Moment) -> dict[str, list[dict]]:
        every = self.images = self.images or Images.select(probe.data, probe.samples, self.count, probe.seed)
        images = every.first(self.epoch_images) if moment.weights == Weights.EPOCH else every
        measured = list(self._rows(network, images, probe, moment))
        if moment.weights == Weights.BEST:
            damaged, tap = damage_layer(network, self.damage, probe.seed)
            rows = self._rows(damaged, images, probe, replace(moment, weights=Weights.DAMAGED))
            measured += [(row | {"damaged": tap.name}, entropy) for row, entropy in rows]
        maps = []
        if moment.weights != Weights.EPOCH:
            maps = [_flatten(row, entropy) for row, entropy in measured if entropy is not None]
        return {self.name: [row for row, _ in measured], f"{self.name}_maps": maps}

    def _rows(
        self, network: nn.Module, images: Images, probe: Probe, moment: Moment
    ) -> Iterator[tuple[dict, Tensor | None]]:
        in_training = moment.weights == Weights.EPOCH
        settings = Settings(resolve_grid(self.grid, probe.data.image_size), solver=self.solver, **self.noise)
        layerwise = LayerwiseDiscarding(network, images, settings, probe.seed)
        places = {tap.name: relative_depth(tap, probe.taps) for tap in probe.taps}
        decoders = None if in_training else self.reconstruction
        for row, entropy in layerwise.measure_layers(probe.taps, self.absolute, decoders):
            yield moment.row() | {"relative_depth": places[row["tap"]]} | row, entropy
        if self.skips and not in_training:
            for row, entropy in measure_skips(layerwise, taps_of(network)):
                yield moment.row() | row, entropy

    def __call__(self, table: LayerTable) -> Findings:
        rows = table.detail(self.name)
        if rows.empty or "sid" not in rows:
            return Findings()
        assert self.images is not None  # `measure` sets them before it returns rows
        maps = table.detail(f"{self.name}_maps")
        return Analysis(self.name, rows, maps, self.images, self.noise["beta"]).findings(table)


def _flatten(row: dict, entropy: Tensor) -> dict:
    """Return a map as columns. A cell is named by its indices, such as 3.15 for row 3 and column 15."""
    keys = ("weights", "seed", "tap", "image", "closed")
    cells = {".".join(map(str, index)): round(value, 4) for index, value in np.ndenumerate(entropy.numpy())}
    return {key: row.get(key) for key in keys} | cells


# Controls


def damage_layer(network: nn.Module, name: str | None, seed: int) -> tuple[nn.Module, Tap]:
    """Shuffle the weights of one layer in a copy of a network.

    Biases and normalisation do not change, and neither does the distribution of the weights.

    Args:
        network: The network.
        name: Tap of the layer; None for the layer with weights nearest to a relative depth of 25.
        seed: Seed of the order of the weights.

    Returns:
        The copy and the tap of the damaged layer.
    """
    network = copy.deepcopy(network)
    taps = taps_of(network)

    def weights(tap: Tap) -> list[nn.Parameter]:
        return [weight for weight in network.get_submodule(tap.module).parameters() if weight.ndim > 1]

    with_weights = [tap for tap in taps if weights(tap)]
    fit = [tap for tap in with_weights if name in (None, tap.name)]
    if not fit:
        names = ", ".join(tap.name for tap in with_weights)
        raise InputError(f"damage: got {name!r}, wanted a tap with weights, one of {names}; or null")
    tap = min(fit, key=lambda tap: abs(relative_depth(tap, taps) - DAMAGED_DEPTH))
    generator = torch.Generator().manual_seed(seed)
    for weight in weights(tap):
        order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
        weight.data = weight.data.flatten()[order].reshape(weight.shape)
    return network, tap


def measure_skips(layerwise: LayerwiseDiscarding, taps: list[Tap]) -> Iterator[tuple[dict, Tensor | None]]:
    """Measure the information about each image that only a skip carries, at the tap where the skip ends.

    A closed skip returns its activation of the clean image, so that no noise passes through it. The bound of the open
    skip applies to both measurements. What the skip carries is the increase of the entropy when it is closed.

    Yields:
        A row for each skip and image, with the mean over cells as `carried`, and the map of the increase, (*grid),
        bits. A row with a `reason` has no map.
    """
    skips = [tap for tap in taps if tap.role == "skip"]
    for skip in progress(skips, "measure discarding", "skips", len(skips)):
        tap = find_merge(taps, skip)
        for index, name in enumerate(layerwise.images.samples.names):
            keys = {"tap": tap.name, "role": tap.role, "level": tap.level, "image": name, "closed": skip.name}
            x = layerwise.x[index : index + 1]
            image = layerwise.images.low + layerwise.images.span * x
            try:
                opened = layerwise.measure(function_up_to(layerwise.network, tap), x, tap)
                without = close_skip(layerwise.network, skip, tap, image)
                shut = layerwise.measure(without, x, tap, normaliser=float(opened.unit))
            except EstimationError as error:
                yield keys | {"reason": str(error)}, None
                continue
            carried = (shut.entropy_bits - opened.entropy_bits)[0].cpu()
            found = {"sid": float(shut.sid_bits), "distortion": float(shut.distortion), "capped": float(shut.capped)}
            yield keys | found | {"sid_open": float(opened.sid_bits), "carried": float(carried.mean())}, carried


def close_skip(network: nn.Module, skip: Tap, tap: Tap, image: Tensor) -> Activation:
    """Return the network up to a tap, with a skip fixed to its activation of one image, (1, C, *spatial)."""
    with torch.no_grad():
        fixed = function_up_to(network, replace(skip, transform=None))(image)
    activation = function_up_to(network, tap)

    def without(images: Tensor) -> Tensor:
        held = network.get_submodule(skip.module).register_forward_hook(
            lambda _module, _inputs, output: fixed.expand(len(output), *fixed.shape[1:])
        )
        try:
            return activation(images)
        finally:
            held.remove()

    return without


def find_merge(taps: list[Tap], skip: Tap) -> Tap:
    """Return the first tap of the decoder or the output at the level of the skip or at a finer level.

    Raises:
        InputError: If there is no such tap.
    """
    for tap in taps:
        if tap.role in ("decoder", "output") and tap.level <= skip.level:
            return tap
    raise InputError(
        f"tap {skip.name}: got no tap of the decoder or the output at level {skip.level} or finer, wanted the one "
        "where the skip ends; add it to the taps of the model, or set diagnostic.discarding.skips to false"
    )
