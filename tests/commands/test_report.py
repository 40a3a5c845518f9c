"""The report of a run: what its table and its sentences say of known numbers."""

import pytest

from bench.commands.report import layers_report
from bench.information.tables import I_TY, LayerTable

LAYERS = [  # tap, role, excess
    ("input", "input", 0.2),
    ("enc1", "encoder", 0.5),
    ("bottleneck", "bottleneck", 0.1),
    ("up1", "up", 0.1),
    ("out", "output", 0.8),
]


def rows(weights="best", scale=1.0, estimator="probe", layers=LAYERS, **others):
    for order, (tap, role, excess) in enumerate(layers):
        bits = scale * excess + 0.02
        yield {
            "weights": weights, "epoch": 3 if weights == "best" else 0, "tap": tap, "order": order, "role": role,
            "relative_depth": 25 * order, "quantity": I_TY, "view": "pixel", "label_view": "class",
            "estimator": estimator, "bits": bits, "low": bits - 0.05, "high": bits + 0.05, "null_mean": 0.02,
            "excess": bits - 0.02, "limit": 1.0, "label_entropy": 1.0, "saturation": 0.1, "significant": excess > 0.15,
            "recovered_ok": True, "reliable": True,
        } | others  # fmt: skip


def test_table_has_the_excess_the_interval_a_bar_the_untrained_network_and_the_verdict():
    text = layers_report(LayerTable([*rows(), *rows("untrained", 0.5)]))
    (line,) = (line for line in text.splitlines() if line.startswith("enc1"))
    assert line.split() == ["enc1", "25", "0.500", "0.450", "to", "0.550", 12 * "#", "0.250", "clear"]
    (line,) = (line for line in text.splitlines() if line.startswith("out"))
    assert 20 * "#" in line
    (line,) = (line for line in text.splitlines() if line.startswith("up1"))
    assert line.endswith("not above null")
    assert "  not above null: " in text
    assert "saturated" not in text


@pytest.mark.parametrize("layers", [LAYERS[1:2], LAYERS])
def test_the_words_of_the_table_begin_below_their_headers(layers):
    lines = layers_report(LayerTable(rows(layers=layers))).splitlines()
    header = next(line for line in lines if line.startswith("layer"))
    table = lines[lines.index(header) + 1 :][: len(layers)]
    assert {line.index("clear") for line in table if "clear" in line} == {header.index("verdict")}


def test_sentences_say_how_much_the_layers_have_and_where_it_changes():
    text = " ".join(layers_report(LayerTable([*rows(), *rows("untrained", 0.5)])).split())
    assert "The label has an entropy of 1.00 bits. The layer out has the most information" in text
    assert "0.80 bits (80 %)" in text
    assert "falls most from enc1 (0.50 bits) to bottleneck (0.10)" in text
    assert "and rises most from bottleneck (0.10 bits) to out (0.80)." in text
    assert "The bottleneck (bottleneck) has 0.10 bits and the output has 0.80." in text


@pytest.mark.parametrize(
    ("skips", "view", "said"),
    [
        (True, "image", "The difference bypasses the bottleneck through the skips."),
        (False, "pixel", "The difference lies in neighbouring locations."),
        (True, "pixel", "bypasses the bottleneck through the skips, or lies in neighbouring locations."),
        (False, "image", None),
    ],
)
def test_what_the_output_has_more_than_the_bottleneck_is_explained_by_what_the_network_has(skips, view, said):
    table = LayerTable(rows(view=view))
    table.skips = skips
    text = " ".join(layers_report(table).split())
    assert said in text if said else "The difference" not in text
    falling = LayerTable(rows(view=view, layers=[*LAYERS[:-1], ("out", "output", 0.05)]))
    falling.skips = skips
    assert "The difference" not in layers_report(falling)


def test_a_line_does_not_break_before_a_per_cent_sign():
    for length in range(1, 40):
        layers = [*LAYERS[:-1], (length * "x", "output", 0.8)]
        assert not any(line.startswith("%") for line in layers_report(LayerTable(rows(layers=layers))).splitlines())


def test_without_a_bottleneck_it_says_what_training_added():
    chain = [layer for layer in LAYERS if layer[1] != "bottleneck"]
    trained, untrained = list(rows(layers=chain)), list(rows("untrained", 0.25, layers=chain))
    assert "Training added most at out: 0.60 bits" in layers_report(LayerTable(trained + untrained))
    assert "No untrained networks were measured" in layers_report(LayerTable(trained))


def test_overlapping_intervals_are_no_change():
    assert "No two layers differ" in layers_report(LayerTable(rows(scale=0.01)))


def test_calibrated_bits_have_a_column_with_their_interval():
    known = {"recovered_ok": None, "calibrated": 0.62, "calibrated_low": 0.5, "calibrated_high": 0.75}
    hidden = known | {"calibrated": float("nan"), "calibrated_high": 1.0, "reliable": False}
    text = layers_report(LayerTable([*rows(layers=LAYERS[1:2], **known), *rows(layers=LAYERS[4:], **hidden)]))
    lines = {line.split()[0]: line for line in text.splitlines() if line}
    assert lines["enc1"].endswith("0.620 (0.50 to 0.75) clear    ")
    assert lines["out"].endswith("? (0.50 to 1.00) uncertain")
    assert "calibrated" not in layers_report(LayerTable(rows()))


@pytest.mark.parametrize("faulty", [{"recovered_ok": False}, {"saturation": 1.0}])
def test_numbers_that_can_not_be_read_are_not_in_the_sentences(faulty):
    assert "No layer has a number about the label that can be read." in layers_report(LayerTable(rows(**faulty)))


def test_other_estimators_have_a_line_each():
    text = layers_report(LayerTable([*rows(), *rows(estimator="ksg_mixture", scale=0.5)]))
    assert "ksg_mixture, pixel view: 3 of 5 layers are clear; out has most, 0.40 bits" in text


def agreement_lines(*sides):
    """The lines of a report of two estimators that say where they agree, without the rule."""
    text = layers_report(LayerTable([row for side in sides for row in side]))
    rule = " where both can be read (within a factor of 2 or 0.1 bits)"
    return [line.replace(rule, "") for line in text.splitlines() if "agrees" in line]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({"scale": 0.5}, "5 of the 5 layers"),
        ({"scale": 0.4}, "2 of the 5 layers; most apart at out: 0.32, probe 0.80"),
        ({"layers": LAYERS[3:], "scale": 1.8}, "2 of the 2 layers"),
        ({"layers": [*LAYERS[:2], ("out", "output", 0.3)]}, "2 of the 3 layers; most apart at out: 0.30, probe 0.80"),
    ],
)
def test_the_report_says_where_two_estimators_agree(other, found):
    assert agreement_lines(rows(), rows(estimator="ksg", **other)) == [f"ksg agrees with probe at {found}"]


def test_calibrated_bits_are_compared_if_both_estimators_have_them():
    wide = LAYERS[4:]  # 0.8 bits above the null by both
    own, other = ({"calibrated": bits, "calibrated_low": 0.0, "calibrated_high": 1.0} for bits in (0.2, 0.6))
    calibrated = rows(estimator="renyi_2", layers=wide, label_entropy=0.9, **other)
    line = "renyi_2 agrees with probe at 0 of the 1 layers; most apart at out: 0.60, probe 0.20"
    assert agreement_lines(rows(layers=wide, **own), calibrated) == [line]
    raw = rows(estimator="ksg", layers=wide)
    assert agreement_lines(rows(layers=wide, **own), raw) == ["ksg agrees with probe at 1 of the 1 layers"]


@pytest.mark.parametrize(
    "other", [{"label_entropy": 0.9}, {"view": "image"}, {"recovered_ok": False}, {"saturation": 1.0}]
)
def test_numbers_of_another_unit_or_view_or_that_can_not_be_read_are_not_compared(other):
    assert agreement_lines(rows(), rows(estimator="renyi_2", **other)) == []


def test_a_table_without_estimates_says_so():
    assert "no estimate; layers.csv has the reasons" in layers_report(LayerTable(rows(bits=None)))
    assert layers_report(LayerTable()) == ""


def test_too_few_samples_have_a_line():
    text = layers_report(LayerTable(rows(n=300, dim=8)))
    assert [line for line in text.splitlines() if line.startswith("300 locations show")]
    assert "locations show" not in layers_report(LayerTable(rows(n=2000, dim=8)))


def test_too_few_patients_have_a_line_also_if_they_have_many_images():
    table = LayerTable(rows(n=2000, dim=64, view="image"))
    assert "do not show" not in layers_report(table)
    table.patients = 44
    assert [line for line in layers_report(table).splitlines() if line.startswith("44 patients (groups of images) do")]
