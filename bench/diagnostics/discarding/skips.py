"""Skips: what a layer of the decoder discards while a skip is closed, beside what it does while it is open."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from bench.diagnostics.discarding.look import Look
from bench.diagnostics.discarding.sensitivity import Activation
from bench.errors import EstimationError, InputError
from bench.layers.hooks import upto
from models import Tap


def carried_by_skips(look: Look, taps: list[Tap]) -> Iterator[tuple[dict, Tensor | None]]:
    """A row for each skip and image, at the tap where the skip ends, with a map of what only the skip carried.

    A closed skip says what it says of the clean image, so that no noise passes it; the budget stays that of the open
    one. carried: by how much more the layer then discards, bits, of each cell in the map, in the row their mean.
    """
    for skip in (tap for tap in taps if tap.role == "skip"):
        tap = merged_at(taps, skip)
        for index, name in enumerate(look.images.samples.names):
            where = {"tap": tap.name, "role": tap.role, "level": tap.level, "image": name, "closed": skip.name}
            x = look.x[index : index + 1]
            image = look.images.low + look.images.span * x
            try:
                opened = look.discarding(upto(look.network, tap), x, tap)
                shut = look.discarding(closed(look.network, skip, tap, image), x, tap, normaliser=float(opened.unit))
            except EstimationError as error:
                yield where | {"reason": str(error)}, None
                continue
            carried = (shut.entropy_bits - opened.entropy_bits)[0].cpu()
            found = {"sid": float(shut.sid_bits), "distortion": float(shut.distortion), "capped": float(shut.capped)}
            yield where | found | {"sid_open": float(opened.sid_bits), "carried": float(carried.mean())}, carried


def closed(network: nn.Module, skip: Tap, tap: Tap, image: Tensor) -> Activation:
    """The network up to a tap while a skip says what it says of this image, (1, C, *spatial), whatever comes in."""
    with torch.no_grad():
        said = upto(network, replace(skip, transform=None))(image)
    activation = upto(network, tap)

    def without(images: Tensor) -> Tensor:
        held = network.get_submodule(skip.module).register_forward_hook(
            lambda _module, _inputs, output: said.expand(len(output), *said.shape[1:])
        )
        try:
            return activation(images)
        finally:
            held.remove()

    return without


def merged_at(taps: list[Tap], skip: Tap) -> Tap:
    """The first tap of the decoder, or the output, that has what a skip brings: it is of the skip's level or finer.

    Raises InputError where the network names none.
    """
    for tap in taps:
        if tap.role in ("decoder", "output") and tap.level <= skip.level:
            return tap
    raise InputError(f"tap {skip.name}: the model has no tap of the decoder at level {skip.level} or finer to end at")
