"""LayerTable: rows of the same quantity share the response to planted truth; points of the charts."""

import pytest

from bench.information.tables import I_TY, I_XT, LayerTable

ROW = {
    "epoch": 1, "weights": "epoch", "tap": "out", "order": 3, "relative_depth": 100, "role": "output", "quantity": I_TY,
    "view": "image", "label_view": "class", "estimator": "kde", "bits": 0.5, "null_mean": 0.1, "reliable": True,
    "n": 50, "dim": 4,
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "reliable", "planted"),
    [
        ({}, False, 0.4),
        ({"n": 49}, True, None),  # another number of samples
        ({"estimator": "ksg"}, True, None),
        ({"null_mean": None}, True, None),
    ],
)
def test_rows_of_the_same_quantity_share_the_recovered_truth(other, reliable, planted):
    best = ROW | {"weights": "best", "planted": 0.4, "recovered": 0.1, "recovered_ok": False}
    table = LayerTable([ROW | other, best])
    table.share_responses()
    row = table.rows[0]
    assert (row["reliable"], row.get("planted")) == (reliable, planted)
    assert row.get("recovered_ok") is (None if planted is None else False)


def test_recovered_truth_does_not_make_an_unreliable_row_reliable():
    best = ROW | {"weights": "best", "planted": 0.4, "recovered": 0.3, "recovered_ok": True}
    table = LayerTable([ROW | {"reliable": False}, ROW, best])
    table.share_responses()
    assert [row["reliable"] for row in table.rows] == [False, True, True]


def test_points_during_training_are_of_the_epoch_and_the_first_estimator():
    given = [(1, 0.5, I_TY, "kde"), (2, 0.6, I_TY, "kde"), (2, 3.0, I_XT, "kde"), (2, 0.9, I_TY, "ksg")]
    rows = [
        ROW | {"epoch": epoch, "bits": bits, "quantity": quantity, "estimator": estimator}
        for epoch, bits, quantity, estimator in given
    ]
    rows.append(ROW | {"epoch": 2, "weights": "best", "bits": 0.7})
    table = LayerTable(rows)
    assert sorted(table.layer_points(2)) == [("layers.ty/out", 0.6, 2), ("layers.xt/out", 3.0, 2)]
    assert table.layer_points(3) == LayerTable().layer_points(2) == []


def test_profiles_are_above_the_null_and_named_by_estimator_and_view_without_the_input():
    best = ROW | {"weights": "best"}
    rows = [
        best | {"excess": 0.2},
        best | {"quantity": I_XT, "bits": 3.0},  # has no null
        best | {"tap": "in", "role": "input", "order": 0},
        best | {"view": "pixel", "relative_depth": 50},
        ROW,
    ]
    assert sorted(LayerTable(rows).profile_points()) == [
        ("profile/I_TY.kde", 0.2, 100),
        ("profile/I_TY.kde.pixel", 0.5, 50),
        ("profile/I_XT.kde", 3.0, 100),
    ]
