"""Replacement for an Asker, whose information is known, for tests of the search and of the proposals."""

from types import SimpleNamespace

import numpy as np
from omegaconf import OmegaConf

from bench.pruning.designs import UNetDesign
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.loss import Loss
from bench.pruning.search.search import Search

BASE = UNetDesign((4, 8, 16), (4, 8), ("cat", "cat"))
MODEL = OmegaConf.create({"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch"})
PRICING = Pricing(MODEL, (1, 16, 16))  # shared, because it caches costs


def sources(design):
    """Return the encoder levels that the decoder of a design reads."""
    skips = [f"encoder {level}" for level, mode in enumerate(design.skips, 1) if mode != "off"]
    return [*skips, f"encoder {len(design.widths)}"]


class KnownAsker:
    """Replacement for an Asker with known information.

    Args:
        bits: information of each source; all channels are equally informative.
        twins: sources that share the same information.
        error: half of the width of every interval.
        unreliable: slots and sources whose estimates are not reliable.
    """

    def __init__(self, bits, twins=(), error=0.001, unreliable=()):
        self.bits, self.twins, self.error, self.unreliable = bits, set(twins), error, set(unreliable)
        self.base = BASE
        self.tap_of = {slot.name: slot.tap for slot in BASE.slots()}
        rng = np.random.default_rng(0)
        columns = {slot.tap: rng.normal(size=(200, slot.width, 1)) for slot in BASE.slots()}
        self.channels = {"pixel": SimpleNamespace(columns=columns)}

    def peak(self, *_):
        return Loss(1.0, 0.9, 1.1, True)

    def joint(self, slots):
        twins = self.twins & set(slots)
        alone = sum(self.bits[slot] for slot in slots if slot not in self.twins)
        return alone + (max(self.bits[slot] for slot in twins) if twins else 0)

    def structure(self, design, *_):
        bits = self.joint(sources(BASE)) - self.joint(sources(design))
        removed = set(sources(BASE)) - set(sources(design))
        return Loss(bits, bits - self.error, bits + self.error, not removed & self.unreliable)

    def width(self, slot, width, *_):
        whole = next(p.width for p in BASE.slots() if p.name == slot)
        bits = 0.1 * (1 - width / whole)
        return Loss(bits, bits - self.error, bits + self.error, slot not in self.unreliable)

    def charge(self, design, *_):
        return 0.01 / min(slot.width for slot in design.slots())

    def loss(self, design, *_):
        return Loss.total([self.width(slot.name, slot.width) for slot in design.slots()])


def search(asker, margin=0.05):
    return Search(asker, PRICING, "known", "pixel", margin)
