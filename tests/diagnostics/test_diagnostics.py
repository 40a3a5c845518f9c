import numpy as np
import pytest

from bench.diagnostics import Bottleneck, InformationPlane, UPlot
from bench.information.tables import I_TY, I_XT, LayerTable

TAPS = [  # name, role, order, relative depth, I(X;T), I(T;Y), reliable
    ("input", "input", -1, 0, 5.0, 1.5, False),
    ("enc1", "encoder", 0, 0, 4.0, 1.4, True),
    ("bottleneck", "bottleneck", 1, 50, 1.0, 0.6, True),
    ("dec1", "decoder", 2, 75, 3.0, 1.3, True),
    ("out", "output", 3, 100, 0.5, 1.2, True),
]


def rows(weights, epoch, seed=0, shift=0.0, estimator="renyi", label_view="fractions", view="image"):
    for tap, role, order, depth, xt, ty, reliable in TAPS:
        common = dict(weights=weights, epoch=epoch, seed=seed, tap=tap, role=role, order=order, relative_depth=depth,
                      estimator=estimator, view=view, reliable=reliable, ceiling=6.0)  # fmt: skip
        yield common | dict(quantity=I_XT, bits=xt + shift, low=xt - 0.1, high=xt + 0.1)
        yield common | dict(quantity=I_TY, label_view=label_view, bits=ty + shift, low=ty - 0.1, high=ty + 0.1,
                            null_mean=0.2, excess=ty + shift - 0.2)  # fmt: skip


@pytest.fixture
def table():
    table = LayerTable()
    for seed, shift in ((1, -0.5), (2, -0.3)):
        table.extend(rows("untrained", 0, seed, shift))
    table.extend(rows("epoch", 0, shift=-0.4))
    table.extend(rows("epoch", 3, shift=-0.1))
    table.extend(rows("best", 2))
    return table


def test_bottleneck_metrics_are_kept_information_and_bypass(table):
    found = Bottleneck()(table)
    reading = found.tables["bottleneck"].iloc[0]
    assert reading["tap"] == "bottleneck"  # `out` has less information, but is not a bottleneck layer
    expected = {
        "relative_depth": 50,
        "xt": 1.0,
        "ty": 0.4,
        "kept_x": 1.0 / 4.0,
        "kept_y": 0.4 / 1.2,
        "bypass_x": 3.0 - 1.0,
        "bypass_y": 1.3 - 0.6,
    }
    for key, value in expected.items():
        assert found.metrics[f"summary/bottleneck.{key}"] == pytest.approx(value), key
    assert set(found.metrics) == {f"summary/bottleneck.{key}" for key in expected}


def test_bottleneck_without_information_about_the_image_is_that_of_the_network(table):
    about_label = LayerTable(row for row in table.rows if row["quantity"] == I_TY)
    expected = {"relative_depth": 50, "ty": 0.4, "kept_y": 0.4 / 1.2, "bypass_y": 1.3 - 0.6}
    assert Bottleneck()(about_label).metrics == pytest.approx(
        {f"summary/bottleneck.{key}": value for key, value in expected.items()}
    )
    chain = LayerTable(row for row in about_label.rows if row["role"] != "bottleneck")
    assert Bottleneck()(chain).metrics == {}


def test_bottleneck_without_a_best_checkpoint_has_no_metrics():
    assert Bottleneck()(LayerTable(rows("epoch", 0))).metrics == {}


def test_u_plot_draws_untrained_references_the_null_and_hollow_markers(table):
    figure = UPlot()(table).figures["u_plot"]
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "best checkpoint, epoch 2, 95 % interval", "not reliable", "untrained, range of 3 seeds",
        "ceiling of the estimator", "null (shuffled)",
    ]  # fmt: skip
    for axes, least, most in zip(figure.axes, (0.0, 0.1), (4.7, 1.2), strict=True):
        band = next(c for c in axes.collections if c.get_label() == "untrained, range of 3 seeds")
        heights = band.get_paths()[0].vertices[:, 1]
        assert heights.min() == pytest.approx(least, abs=1e-9)
        assert heights.max() == pytest.approx(most, abs=1e-9)
        hollow = [c for c in axes.collections if len(c.get_offsets()) == 1 and c.get_facecolor().tolist() == [[1] * 4]]
        assert [c.get_offsets()[0, 0] for c in hollow] == [0]  # the input
    nulls = [[line for line in axes.lines if line.get_label() == "null (shuffled)"] for axes in figure.axes]
    assert [len(lines) for lines in nulls] == [0, 1]
    assert [text.get_text() for text in figure.axes[0].texts] == ["", "encoder", "bottleneck", "decoder"]


def test_u_plot_draws_epochs_on_demand(table):
    figure = UPlot(epochs=True)(table).figures["u_plot"]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label for label in labels if label.startswith("epoch")] == ["epoch 3"]  # epoch 0 is untrained


def test_titles_name_what_is_known_about_the_network(table):
    table.about = "nuclei · unet · test dice 0.870"
    found = UPlot()(table).figures | InformationPlane()(table).figures
    assert {name: figure.get_suptitle() for name, figure in found.items()} == {
        "u_plot": f"{table.about}\nestimator renyi",
        "information_plane": f"{table.about}\nestimator renyi, image view",
        "information_epochs": f"{table.about}\nestimator renyi, image view",
    }


def test_every_estimator_has_a_u_plot_and_the_primary_one_is_first(table):
    table.extend(rows("best", 2, estimator="kde"))
    assert list(UPlot()(table).figures) == ["u_plot", "u_plot.kde"]


def test_information_plane_joins_the_epochs_of_each_tap(table):
    found = InformationPlane()(table).figures
    panels = [axes for axes in found["information_plane"].axes if axes.get_title()]
    assert [axes.get_title() for axes in panels] == [name for name, *_ in TAPS]
    xt, ty = panels[1].lines[0].get_data()
    np.testing.assert_allclose(xt, [3.6, 4.0, 3.9])  # epochs 0, 2 (best), 3
    np.testing.assert_allclose(ty, [1.0, 1.4, 1.3])
    curves = found["information_epochs"].axes[0].lines
    np.testing.assert_allclose(curves[0].get_data(), [[0, 3], [4.6, 4.9]])


def test_refused_estimates_are_not_drawn():
    refused = {quantity: dict(bits=np.nan, low=np.nan, high=np.nan) for quantity in (I_XT, I_TY)}
    table = LayerTable(row | (refused[I_XT] if row["quantity"] == I_XT else {}) for row in rows("epoch", 0))
    found = InformationPlane()(table).figures
    assert [axes.get_ylabel() for axes in found["information_epochs"].axes] == ["I(T;Y) [bits]"]
    assert "information_plane" not in found
    assert [axes.get_ylabel() for axes in UPlot()(table).figures["u_plot"].axes] == ["I(T; fractions) [bits]"]
    nothing = LayerTable(row | refused[row["quantity"]] for row in rows("epoch", 0))
    assert InformationPlane()(nothing).figures == {}


def test_csv_preserves_a_table(table, tmp_path):
    table.to_csv(tmp_path / "layers.csv")
    again = LayerTable.from_csv(tmp_path / "layers.csv")
    assert again.frame["bits"].tolist() == table.frame["bits"].tolist()
    assert again.estimators == table.estimators
    assert again.profile_points() == table.profile_points()


def test_profile_points_are_at_relative_depths_without_the_input(table):
    points = table.profile_points()
    assert points[0] == ("profile/I_XT.renyi", 4.0, 0)
    assert [depth for key, _, depth in points if key == "profile/I_TY.renyi"] == [0, 50, 75, 100]


def test_primary_rows_are_of_the_first_estimator_and_label_view(table):
    table.extend(rows("best", 2, label_view="coarse"))
    table.extend(rows("best", 2, estimator="kde"))
    assert set(table.primary()["estimator"]) == {"renyi"}
    assert set(table.primary()["label_view"].dropna()) == {"fractions"}
