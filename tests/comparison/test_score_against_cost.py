"""The figure of score against cost: with many designs, with a design that failed, and without intervals."""

import numpy as np
import pandas as pd
import pytest

from bench.plots import score_against_cost


def table(scores, reach=0.01, collapsed=0):
    names = [f"model=design_{i}" for i in range(len(scores))]
    costs = {cost: 1000.0 * 2.0 ** np.arange(len(scores)) for cost in ("params", "flops")}
    scores = np.array(scores)
    front = {f"front.{cost}": False for cost in costs}
    return pd.DataFrame(
        {"design": names, "score": scores, "low": scores - reach, "high": scores + reach, "collapsed": collapsed}
        | costs
        | front
    )


def drawn(frame):
    figure = score_against_cost(frame, "Dice", reference="model=design_0")
    figure.draw_without_rendering()
    return figure


@pytest.mark.parametrize("designs", [2, 14, 40])
def test_a_long_legend_does_not_reduce_the_height_of_the_axes(designs):
    figure = drawn(table(np.linspace(0.8, 0.82, designs)))
    heights = [axes.get_window_extent().height / figure.dpi for axes in figure.axes]
    assert min(heights) > 2
    (legend,) = figure.legends
    assert len(legend.get_texts()) == designs
    assert legend.get_window_extent().y0 >= 0


def test_fifty_designs_have_different_markers():
    figure = drawn(table(np.linspace(0.8, 0.82, 50)))
    points = [container.lines[0] for container in figure.axes[0].containers]
    assert len({(point.get_color(), point.get_marker()) for point in points}) == 50


def test_a_design_that_failed_to_train_is_a_triangle_with_its_score_in_the_legend():
    figure = drawn(table([0.88, 0.89, 0.28]))
    low, high = figure.axes[0].get_ylim()
    assert 0.8 < low < 0.83
    assert 0.9 <= high < 0.92
    assert {text.get_text() for text in figure.legends[0].get_texts()} == {
        "model=design_0", "model=design_1", "model=design_2: 0.280"
    }  # fmt: skip
    (triangle,) = [line for line in figure.axes[0].lines if line.get_marker() == "v"]
    assert triangle.get_xdata() == [4000.0]
    assert low < triangle.get_ydata()[0] == pytest.approx(0.83)


def test_a_much_better_design_than_the_reference_is_not_cut_off():
    low, high = drawn(table([0.70, 0.90])).axes[0].get_ylim()
    assert low < 0.69
    assert high > 0.91


@pytest.mark.parametrize("reach", [np.nan, 0.0])
def test_without_intervals_all_scores_are_shown(reach):
    low, high = drawn(table([0.88, 0.28], reach)).axes[0].get_ylim()
    assert low < 0.28
    assert high > 0.88


@pytest.mark.parametrize(
    ("scores", "collapsed", "lowest"),
    [
        ([0.88, 0.89, 0.0], [0, 0, 1], 0.83),
        ([0.0, 0.88, 0.89], [1, 0, 0], 0.84),  # the reference collapsed
        ([0.88, 0.89, 0.3], [0, 0, 2], 0.83),
    ],
)
@pytest.mark.parametrize("reach", [0.01, np.nan])
def test_collapsed_designs_do_not_stretch_the_axis(scores, collapsed, lowest, reach):
    axes = drawn(table(scores, reach, collapsed)).axes[0]
    assert lowest - 0.01 < axes.get_ylim()[0] < 0.88
    assert 0.89 < axes.get_ylim()[1] < 0.95
    (triangle,) = [line for line in axes.lines if line.get_marker() == "v"]
    assert triangle.get_label() == f"model=design_{np.argmax(collapsed)}: {min(scores):.3f} (collapsed)"


def test_if_all_designs_collapsed_their_scores_are_shown():
    low, high = drawn(table([0.0, 0.1], 0.0, 1)).axes[0].get_ylim()
    assert low < 0 < 0.1 < high
