"""Figures over designs: many designs, designs that failed, missing intervals, the same styles, different depths."""

import numpy as np
import pandas as pd
import pytest

from bench.plots import design_styles, layer_differences, overlaid, score_against_cost


def table(scores, reach=0.01):
    names = [f"model=design_{i}" for i in range(len(scores))]
    costs = {cost: 1000.0 * 2.0 ** np.arange(len(scores)) for cost in ("params", "flops")}
    scores = np.array(scores)
    front = {f"front.{cost}": False for cost in costs}
    return pd.DataFrame(
        {"design": names, "score": scores, "low": scores - reach, "high": scores + reach} | costs | front
    )


def drawn(frame):
    figure = score_against_cost(frame, "Dice", design_styles(frame["design"]))
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("designs", [2, 14, 40])
def test_a_long_legend_does_not_reduce_the_height_of_the_axes(designs):
    figure = drawn(table(np.linspace(0.8, 0.82, designs)))
    heights = [axes.get_window_extent().height / figure.dpi for axes in figure.axes]
    assert min(heights) > 2
    (legend,) = figure.legends
    assert len(legend.get_texts()) == designs + 1  # and the Pareto front
    assert legend.get_window_extent().y0 >= 0


def test_fifty_designs_have_different_markers():
    styles = design_styles(f"design_{i}" for i in range(50))
    assert len({(style["color"], style["marker"]) for style in styles.values()}) == 50


def test_repeated_names_do_not_change_the_styles():
    assert design_styles(["a", "a", "b"]) == design_styles(["a", "b"])


@pytest.mark.parametrize("shown", [["design_00", "design_07", "design_14"], ["design_03"], ["design_01", "design_02"]])
def test_some_of_many_designs_are_drawn_in_different_colours(shown):
    """Seven colours are repeated among 20 designs."""
    styles = design_styles(f"design_{i:02}" for i in range(20))
    figure = overlaid({name: profiles_of([0, 50, 100], [0.1, 0.2, 0.3]) for name in shown}, styles=styles)
    lines = {line.get_label(): line.get_color() for line in figure.axes[0].lines if line.get_label() in shown}
    assert list(lines) == shown
    assert len(set(lines.values())) == len(shown)


@pytest.mark.parametrize("reach", [0.01, 0.0, np.nan, 3.0])
@pytest.mark.parametrize("failed", [[], [0.28], [0.28, 0.0]])
def test_designs_that_failed_do_not_stretch_the_axis(failed, reach):
    figure = drawn(table([0.86, 0.89, *failed], reach))
    low, high = figure.axes[0].get_ylim()
    assert 0.75 < low < 0.86
    assert 0.89 < high < 0.95
    triangles = [line for line in figure.axes[0].lines if line.get_marker() == "v"]
    assert sorted(line.get_xdata()[0] for line in triangles) == [4000.0, 8000.0][: len(failed)]
    labels = [text.get_text() for text in figure.axes[0].texts if text.get_text()]
    assert labels == [f"{score:.2f}" for score in failed]


def test_a_design_that_collapsed_is_drawn_below():
    figure = drawn(table([0.50, 0.45]).assign(collapsed=[False, True]))
    assert [text.get_text() for text in figure.axes[0].texts if text.get_text()] == ["0.45"]


def test_a_much_better_design_does_not_cut_off_the_others():
    low, high = drawn(table([0.75, 0.90])).axes[0].get_ylim()
    assert low < 0.74
    assert high > 0.91


@pytest.mark.parametrize("cost", [1.0, 1.02, 7.0, 1e4])
def test_axes_of_cost_have_ticks_for_any_range(cost):
    frame = table([0.80, 0.82]).assign(params=[5000.0, 5000.0 * cost])
    axes = drawn(frame).axes[0]
    low, high = axes.get_xlim()
    assert 2 <= sum(low <= tick <= high for tick in axes.get_xticks()) <= 6


def profiles_of(depths, bits, null=0.1):
    frame = pd.DataFrame({"quantity": "I(T;Y)", "relative_depth": depths, "role": "feature", "bits": bits})
    return frame.assign(low=frame["bits"], high=frame["bits"], null_mean=null, excess=frame["bits"] - null,
                        untrained=null, untrained_excess=0.0)  # fmt: skip


def test_profiles_are_drawn_above_the_null_with_a_curve_for_each_design():
    figure = overlaid({"deep": profiles_of([0, 25, 50, 100], [0.4, 0.3, 0.2, 0.5]),
                       "flat": profiles_of([0, 50, 100], [0.4, 0.2, 0.6])})  # fmt: skip
    (axes,) = figure.axes
    curves = {line.get_label(): line for line in axes.lines}
    np.testing.assert_allclose(curves["flat"].get_xydata(), [[0, 0.3], [50, 0.1], [100, 0.5]])
    assert len(curves["deep"].get_xdata()) == 4
    assert axes.get_ylabel() == "I(T;Y) above the null [bits]"


def test_profiles_without_a_null_show_bits():
    figure = overlaid({"a": profiles_of([0, 100], [0.4, 0.3]).assign(excess=np.nan)})
    assert figure.axes[0].get_ylabel() == "I(T;Y) [bits]"


def test_layers_of_designs_of_different_depth_are_in_the_order_of_the_reference():
    taps = {"enc1": ("encoder", 0), "enc2": ("encoder", 1), "bottleneck": ("bottleneck", 2), "out": ("output", 3)}
    rows = [
        {"design": design, "tap": tap, "role": taps[tap][0], "order": taps[tap][1], "quantity": "I(T;Y)",
         "difference": 0.1, "low": 0.0, "high": 0.2, "reliable": True}
        for design, shown in (("small", ["enc1", "bottleneck", "out"]), ("deep", taps))
        for tap in shown
    ]  # fmt: skip
    figure = layer_differences(pd.DataFrame(rows), design_styles(["small", "deep"]))
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == list(taps)
