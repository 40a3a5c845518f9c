"""Count the questions about parts and channels, to show how much of the measurement is done and how long it takes."""

from __future__ import annotations

from collections.abc import Iterable

from bench.datasets.progress import duration
from bench.pruning.designs import Cut, Design
from bench.pruning.search.asker import Asker, around, asked_widths


def of_search(asker: Asker) -> int:
    """Return the largest number of questions of a search by one estimator and view, and of the table of answers."""
    parts = len(asker.pairs) * (len(asker.pairs) + 1) // 2  # each removal leaves one part less to ask for
    return _of_base(asker) + parts + sum(len(asked_widths(slot.width)) for slot in asker.base.slots())


def of_designs(asker: Asker, designs: Iterable[Design]) -> int:
    """Return the number of questions to score these designs by all estimators, views and readings."""
    whole = {slot.name: slot.width for slot in asker.base.slots()}
    widths: set[tuple[str, int]] = set()
    cuts: set[Cut] = set()
    for design in designs:
        for slot in design.slots():
            if slot.width < whole[slot.name]:
                wide, narrow = around(slot.width, whole[slot.name])
                asked = {narrow} if slot.width == narrow else {narrow, wide} - {whole[slot.name]}
                widths |= {(slot.name, width) for width in asked}
        cuts.add(design.cut(asker.base))
    cuts -= {Cut(), *(Cut((pair.asked,), (pair.given,)) for pair in asker.pairs.values())}
    return _of_base(asker) + len(list(asker.diagnostics())) * (len(widths) + len(cuts))


def expectation(asker: Asker, most: int) -> str:
    """Set the number of questions, and describe in a line how long they take by those that are answered."""
    asker.progress.total = most
    each, left = asker.progress.seconds or 0.0, asker.progress.left() or 0.0
    return f"measuring: at most {most} questions, about {each:.2g} s each: about {duration(left)}"


def _of_base(asker: Asker) -> int:
    """Return the number of questions about each part and each slot of the base alone."""
    return len(list(asker.diagnostics())) * (len(asker.tap_of) + len(asker.pairs))
