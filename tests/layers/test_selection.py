"""Selection of taps, and their relative depth."""

import pytest

from bench.errors import InputError
from bench.layers.selection import choose_taps, relative_depth
from models import Tap

ROLES = ("encoder", "encoder", "bottleneck", "bottleneck", "skip", "decoder", "output")
TAPS = [Tap(f"{role}{order}", f"m{order}", role, 1, order) for order, role in enumerate(ROLES)]


def test_the_last_layer_of_the_bottleneck_has_relative_depth_50():
    """There are three layers before it and three after it."""
    assert [relative_depth(tap, TAPS) for tap in TAPS] == [0, 17, 33, 50, 67, 83, 100]
    assert relative_depth(TAPS[2], TAPS[2:3]) == 0


@pytest.mark.parametrize(
    ("patterns", "chosen"),
    [
        (None, [0, 1, 2, 3, 5, 6]),  # all but skips
        (["skip*"], [4]),
        (["output6", "enc*"], [0, 1, 6]),
        (["*"], range(7)),
    ],
)
def test_patterns_choose_taps_in_the_order_of_the_network(patterns, chosen):
    assert choose_taps(TAPS, patterns) == [TAPS[order] for order in chosen]


def test_a_pattern_without_a_tap_is_refused():
    with pytest.raises(InputError, match=r"got 'up\*', which matches no tap .* wanted any of encoder0, encoder1"):
        choose_taps(TAPS, ["enc*", "up*"])
