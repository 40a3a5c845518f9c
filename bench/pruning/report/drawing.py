"""Drawing of a design: its slots with their levels, channels, skips and information, as `plots.networks` needs them."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from bench.information.tables import I_TY
from bench.layers.selection import taps_of
from bench.pruning.designs import Design, PartKind
from bench.pruning.search.base import Base
from models import Tap

BITS = ["bits", "low", "high", "reliable"]


def slots_table(design: Design, base: Base, information: pd.DataFrame) -> pd.DataFrame:
    """Build the table of the slots of the base, with what a design keeps of them.

    Args:
        design: The base's design, or a leaner one.
        base: The base.
        information: BITS of the slots of the design, by their names; slots may be missing.

    Returns:
        A row for each slot of the base in the order of the forward pass: the columns of `plots.networks`, and low and
        high.
    """
    taps = {tap.name: tap for tap in taps_of(base.network)}
    slots, kept = base.design.slots(), {slot.name: slot.width for slot in design.slots()}
    rows_of = _rows([taps[slot.tap] for slot in slots])
    decoders = {taps[slot.tap].level: slot.name for slot in slots if taps[slot.tap].role == "decoder"}
    skips = {pair.asked: pair.part.level for pair in base.design.pairs() if pair.part.kind == PartKind.SKIP}
    remaining = {part.level for part in design.removals() if part.kind == PartKind.SKIP}
    rows = [
        {
            "slot": slot.name,
            "level": rows_of[slot.tap],
            "channels": kept.get(slot.name, 0),
            "whole": slot.width,
            "skip": decoders[skips[slot.tap]] if slot.tap in skips else None,
            "skip_kept": slot.tap in skips and skips[slot.tap] in remaining,
        }
        for slot in slots
    ]
    known = information[BITS].reindex([slot.name if slot.name in kept else None for slot in slots])
    return pd.DataFrame(rows).join(known.reset_index(drop=True))


def _rows(taps: Sequence[Tap]) -> dict[str, int]:
    """Return the row of each tap in the drawing: one row for a chain, one for each level otherwise.

    Each tap of an encoder is one row lower than the tap before it, also if it has the same resolution. A tap of a
    decoder is beside that of the encoder with its resolution.
    """
    if {tap.role for tap in taps} <= {"feature", "classifier"}:
        return dict.fromkeys((tap.name for tap in taps), 1)
    down = [tap for tap in taps if tap.role != "decoder"]
    rows = {tap.name: row for row, tap in enumerate(down, 1)}
    beside = {tap.level: rows[tap.name] for tap in reversed(down)}
    return rows | {tap.name: beside.get(tap.level, tap.level) for tap in taps if tap.role == "decoder"}


def information_of_slots(layers: pd.DataFrame, design: Design) -> pd.DataFrame:
    """Select the information about the label in the slots of a design, in bits above the null.

    Args:
        layers: Rows of a LayerTable, of one network, estimator and view.
        design: The design of the network.

    Returns:
        BITS by the name of the slot; NaN for a layer without an estimate.
    """
    rows = layers[layers["quantity"] == I_TY].set_index("tap")
    null = rows["null_mean"].astype(float)
    above = {"bits": rows["bits"] - null, "low": rows["low"] - null, "high": rows["high"] - null}
    found = pd.DataFrame(above, dtype=float).assign(reliable=rows["reliable"].eq(True))
    slots = design.slots()
    return found.reindex([slot.tap for slot in slots]).set_axis([slot.name for slot in slots])
