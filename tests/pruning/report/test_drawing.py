"""The drawing of a network slot by slot, and of the gains of a proposal."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from drawn_bases import MODELS, SIZES, base_of, layers_of

from bench.plots import gains, networks
from bench.pruning.designs import Part, PartKind
from bench.pruning.report.drawing import information_of_slots, slots_table


@pytest.mark.parametrize("kind", MODELS)
def test_the_drawing_has_a_box_for_each_slot(kind):
    """The base has no outline beside the boxes; a leaner design has the outlines of what it lacks."""
    base = base_of(kind)
    slots = base.design.slots()
    assert len(slots) == SIZES[kind]
    narrow = base.design.with_widths([slot.width - 1 for slot in slots[:1]] + [slot.width for slot in slots[1:]])
    nothing = pd.DataFrame(columns=["bits", "low", "high", "reliable"])
    figure = networks({"base": slots_table(base.design, base, nothing), "lean": slots_table(narrow, base, nothing)})
    figure.draw_without_rendering()
    of_base, of_lean = ([patch for patch in axes.patches if patch.get_gid()] for axes in figure.axes)
    names = [f"slot {slot.name}" for slot in slots]
    assert [patch.get_gid() for patch in of_base] == names == [patch.get_gid() for patch in of_lean]
    areas = [[patch.get_width() * patch.get_height() for patch in panel] for panel in (of_base, of_lean)]
    ratio = np.array(areas[1]) / np.array(areas[0])
    assert ratio[0] == pytest.approx(np.sqrt((slots[0].width - 1) / slots[0].width))
    assert ratio[1:] == pytest.approx(1.0)


def test_skips_and_removed_slots_of_a_u_net():
    base = base_of()
    design = base.design.removals()[Part(PartKind.SKIP, 1)]
    nothing = pd.DataFrame(columns=["bits", "low", "high", "reliable"])
    table = slots_table(design, base, nothing).set_index("slot")
    assert table["skip"].dropna().to_dict() == {"encoder 1": "decoder 1", "encoder 2": "decoder 2"}
    assert table["skip_kept"].to_dict() == dict.fromkeys(table.index, False) | {"encoder 2": True}
    assert table["level"].tolist() == [1, 2, 3, 2, 1]
    shorter = slots_table(base.design.removals()[Part(PartKind.LEVEL, 3)], base, nothing).set_index("slot")
    assert shorter["channels"].to_dict() == {
        "encoder 1": 4, "encoder 2": 8, "encoder 3": 0, "decoder 2": 0, "decoder 1": 4,
    }  # fmt: skip


def test_boxes_of_equal_width_do_not_overlap():
    base = base_of()
    flat = base.design.with_widths([16] * 5)
    nothing = pd.DataFrame(columns=["bits", "low", "high", "reliable"])
    table = slots_table(flat, base, nothing).assign(whole=16)
    (axes,) = networks({"flat": table}).axes
    sides = sorted((patch.get_y(), patch.get_x(), patch.get_width()) for patch in axes.patches if patch.get_gid())
    assert len(sides) == 5
    for (y, x, width), (next_y, next_x, _) in pairwise(sides):
        assert y != next_y or x + width < next_x


def test_long_names_are_inside_the_figure():
    base = base_of()
    nothing = pd.DataFrame(columns=["bits", "low", "high", "reliable"])
    table = slots_table(base.design, base, nothing)
    figure = networks({"base": table.assign(slot=[f"features_per_stage[{i}]" for i in range(5)], skip=None)})
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[0].texts]
    assert min(box.x0 for box in boxes) >= 0
    assert max(box.x1 for box in boxes) <= figure.bbox.width


@pytest.mark.parametrize(("kind", "rows"), [("CNN", [1, 1, 1]), ("Monai", [1, 2, 3]), ("Smp", [3, 2, 1])])
def test_the_rows_of_networks_of_other_shapes(kind, rows):
    base = base_of(kind)
    nothing = pd.DataFrame(columns=["bits", "low", "high", "reliable"])
    assert slots_table(base.design, base, nothing)["level"].tolist() == rows


def test_one_scale_of_colours_for_both_networks():
    base = base_of("CNN")
    slots = [slot.name for slot in base.design.slots()]
    bits = pd.DataFrame({"bits": [0.0, 0.5, 1.0], "low": 0.0, "high": 1.0, "reliable": [True, True, False]}, slots)
    half = bits.assign(bits=bits["bits"] / 2)
    figure = networks({name: slots_table(base.design, base, table) for name, table in (("a", bits), ("b", half))})
    first, second = ({patch.get_gid(): patch for patch in axes.patches if patch.get_gid()} for axes in figure.axes[:2])
    assert first["slot stage 2"].get_facecolor() == second["slot fc 1"].get_facecolor()  # both 0.5 bits
    assert first["slot stage 1"].get_facecolor() == second["slot stage 1"].get_facecolor()  # both 0 bits
    assert first["slot fc 1"].get_facecolor() != second["slot fc 1"].get_facecolor()
    assert [first[name].get_hatch() for name in first] == [None, None, "////"]


def test_gains_are_drawn_with_their_intervals_and_verdicts():
    """A design that was not run is left out. An unknown or very wide interval does not change the range of the axis."""
    nan = float("nan")
    rows = [("base", -0.004, -0.009, 0.001, "no worse"), ("flat", 0.02, nan, nan, "undecided"),
            ("random", 0.01, -1.0, 1.0, "undecided"), ("uniform", nan, nan, nan, "not run")]  # fmt: skip
    figure = gains(pd.DataFrame(rows, columns=["name", "gain", "low", "high", "verdict"]), "Dice", 0.01)
    figure.draw_without_rendering()
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["base", "flat", "random"]
    assert [text.get_text() for text in axes.texts] == ["no worse", "undecided", "undecided"]
    assert axes.lines[1].get_xdata().tolist() == [-0.004, 0.02, 0.01]
    assert 0.02 < axes.get_xlim()[1] == -axes.get_xlim()[0] < 0.15


def test_layers_without_a_null_have_no_bits():
    base = base_of()
    rows = layers_of(base.design, 0.2).assign(null_mean=None)
    assert information_of_slots(rows, base.design)["bits"].isna().all()
