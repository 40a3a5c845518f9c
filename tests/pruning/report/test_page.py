"""The page of a proposal: every number stands on it, every text is escaped, and the network is drawn slot by slot."""

from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf
from parsing import Page

from bench.config.build import build
from bench.information.tables import COLUMNS
from bench.plots import gains, networks
from bench.pruning.designs import Part, PartKind, design_of
from bench.pruning.designs.baselines import Baseline, BaselineKind
from bench.pruning.designs.costs import Pricing
from bench.pruning.report.drawing import information_of_slots, slots_table
from bench.pruning.report.evidence import Evidence
from bench.pruning.report.page import log_pages, networks_of, note, page
from bench.pruning.search.asker import Loss
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal, ranked
from bench.pruning.search.search import Step
from bench.pruning.verify import Verified

MODELS = {
    "UNet": {"_target_": "models.UNet", "in_channels": 1, "out_channels": 1, "norm": "batch", "widths": [4, 8, 16]},
    "CNN": {"_target_": "models.CNN", "in_channels": 1, "num_classes": 3, "filters": [4, 8], "hidden": [12]},
    "Monai": {
        "_target_": "models.Monai",
        "spatial_dims": 2,
        "in_channels": 1,
        "out_channels": 1,
        "input_size": [32, 32],
        "network": "UNet",
        "arguments": {"channels": [4, 6, 8]},
    },
    "Smp": {
        "_target_": "models.Smp",
        "in_channels": 1,
        "out_channels": 1,
        "input_size": [32, 32],
        "encoder_depth": 3,
        "decoder_channels": [12, 8, 4],
    },
}
SIZES = {"UNet": 5, "CNN": 3, "Monai": 3, "Smp": 3}  # numbers of slots
REASON = "without level 3: it has 0.005 bits given what is kept (-0.001 to 0.011)"


class Timed(Base):
    """A base whose latencies are known, so that no network is timed."""

    def latency_ms(self, design):
        return 8.0 if design == self.design else 2.0


def base_of(kind="UNet", name="phantoms"):
    config = OmegaConf.create(MODELS[kind])
    task = "classification" if kind == "CNN" else "segmentation"
    network, data = build(config, "model"), SimpleNamespace(name=name, task=task)
    return Timed("0123abcd", config, data, network, design_of(network), Pricing(config, (1, 32, 32)))


def proposals_of(base):
    """Return a proposal without the deepest level, and one that swaps a part for something with a strange name."""
    level = base.design.removals()[Part(PartKind.LEVEL, 3)]
    loss, charged = Loss(0.005, -0.001, 0.011, True), Loss(0.02, 0.01, 0.03, True)
    narrow = level.with_widths([3] * len(level.slots()))
    costs = base.pricing
    step = Step("level 3", "without level 3: it has", level, loss, True)
    unknown = Loss(np.nan, np.nan, np.nan, False)
    return [
        Proposal("lean_1", level, [step], costs(level), loss, charged),
        Proposal("swap_1", narrow, (), costs(narrow), unknown, unknown, swap="encoder <b>&"),
    ]


def evidence_of(base, proposals, **more):
    slots = base.design.slots()
    parts = pd.DataFrame(
        {"part": slot.name, "estimator": "probe", "view": "pixel", "bits": 0.1 + i / 10, "low": i / 10, "high": 0.2}
        | {"reliable": i > 0}
        for i, slot in enumerate(slots)
    )
    table = ranked(proposals, base)
    return Evidence(base, table, parts, 0.5, Path("proposals/a b"), 8.0, 0.01, **more)


def verified_of(proposals):
    designs = pd.DataFrame(
        {
            "design": ["base", "lean_1", "swap_1", "flat_at_params"],
            "kind": ["base", "chosen", "proposal", "flat"],
            "seeds": 5,
            "score": [0.912, 0.908, 0.871, 0.9],
            "collapsed": [0, 0, 2, 0],
            "val_score": [0.92, 0.915, 0.88, 0.9],
            "params": [5000.0, 1000.0, 500.0, 1000.0],
            "flops": [4e6, 2e6, 1e6, 2e6],
            "low": 0.85,
            "high": 0.95,
            "over": "seeds and images",
            "latency_ms": [8.0, 2.0, 2.0, 2.0],
        }
    )
    designs = designs.assign(**{f"front.{cost}": True for cost in ("params", "flops", "latency_ms")})
    compared = pd.DataFrame(
        [
            ("lean_1", "base", -0.0041, -0.0092, 0.0013, "no worse", 5.0, 2.0),
            ("lean_1", "flat_at_params", 0.0083, 0.0021, 0.0144, "better", 1.0, 1.1),
        ],
        columns=["proposal", "baseline", "gain", "low", "high", "verdict", "params_ratio", "flops_ratio"],
    )
    runs = pd.DataFrame(
        {"design": ["base", "lean_1", "lean_1"], "run": ["r0", "r1", "r2"], "val_score": [0.9, 0.8, 0.91]}
    )
    baselines = [Baseline(BaselineKind.FLAT, "params", proposals[0].design)]
    return Verified(proposals[0], proposals, designs, compared, runs, baselines)


def layers_of(design, start):
    """Return rows of a LayerTable with start, start + 0.1, … bits above a null of 0.05 in the slots of a design."""
    rows = pd.DataFrame(index=range(len(design.slots())), columns=COLUMNS)
    bits = 0.05 + start + 0.1 * np.arange(len(rows))
    known = {"tap": [slot.tap for slot in design.slots()], "bits": bits, "low": bits - 0.01, "high": bits + 0.02}
    return rows.assign(**known, null_mean=0.05, quantity="I(T;Y)", estimator="ksg", view="pixel", reliable=True)


@pytest.fixture(scope="module")
def found():
    base = base_of()
    proposals = proposals_of(base)
    verified = verified_of(proposals)
    layers = {"base": layers_of(base.design, 0.2), "lean_1": layers_of(proposals[0].design, 0.6)}
    return base, proposals, evidence_of(base, proposals), evidence_of(base, proposals, verified=verified, layers=layers)


def text_of(html):
    parsed = Page(html)
    assert parsed.open == []
    assert parsed.loaded == []  # no other file
    assert "script" not in parsed.seen
    return " ".join(" ".join(parsed.text).split())


def test_a_page_without_retraining_has_costs_reasons_information_and_commands(found):
    base, (lean, _), before, _ = found
    text = text_of(page(lean, before))
    row = before.table.iloc[0]
    assert f"{row['params']:,}" in text
    assert f"{base.pricing(base.design).params:,}" in text
    assert "4 times as fast (base 8 ms)" in text
    assert REASON in text
    assert "0.005 bits -0.001 to 0.011 1.0% of the most informative layer; below the margin" in text
    assert "0.020 bits 0.010 to 0.030" in text
    assert "0.300 (0.200 to 0.200)" in text
    assert "0.100 (0.000 to 0.200), not reliable" in text
    assert "lean_1 has not been retrained" in text
    assert "python -m bench --config-dir 'proposals/a b' +experiment=retrain model=lean_1" in text
    assert row["overrides"] in text
    assert "How it compares" not in text
    assert "predicted loss" not in text


def test_predictions_are_shown_where_the_table_has_them(found):
    _, (lean, swap), before, _ = found
    columns = {"predicted": [0.0123, np.nan], "predicted_low": [0.001, np.nan], "predicted_high": [0.0345, np.nan]}
    table = before.table.assign(**columns, failure=[0.07, np.nan])
    predicted = Evidence(**{**vars(before), "table": table})
    assert "predicted loss of Dice 0.012 0.001 to 0.035 (90 %)" in text_of(page(lean, predicted))
    assert "predicted share of failed trainings 7%" in text_of(page(lean, predicted))
    assert "predicted" not in text_of(page(swap, predicted)).replace("Predicted", "")


def test_the_page_of_the_chosen_design_has_its_verdicts(found):
    _, (lean, _), _, after = found
    text = text_of(page(lean, after))
    assert "its Dice is 0.004 lower (-0.009 to 0.001; verdict: no worse)" in text
    assert "measured loss of Dice, test data 0.004 -0.001 to 0.009 no worse" in text
    assert "flat at equal parameters 0.900 (0.850 to 0.950) +0.008 (0.002 to 0.014) better 1 1.1" in text
    assert "measured loss of Dice, validation data 0.005" in text
    assert 'bench.load("r2")' in text  # the run with the best validation score


def test_information_before_and_after_is_that_of_the_retrained_networks(found):
    base, (lean, _), _, after = found
    drawn, caption = networks_of(lean, after)
    assert drawn["base"]["bits"].tolist() == pytest.approx([0.2, 0.3, 0.4, 0.5, 0.6])
    assert drawn["lean_1"]["bits"].tolist() == pytest.approx([0.6, 0.7, np.nan, np.nan, 0.8], nan_ok=True)
    assert drawn["lean_1"]["high"].dropna().tolist() == pytest.approx([0.62, 0.72, 0.82])
    assert "ksg in the pixel view" in caption
    assert base.design.slots()[2].name == "encoder 3"
    assert "encoder 3 16 removed 0.400 (0.390 to 0.420) –" in text_of(page(lean, after))


def test_a_design_that_was_retrained_and_not_chosen_has_scores_and_no_verdict(found):
    _, (_, swap), _, after = found
    text = text_of(page(swap, after))
    assert "swap_1 was retrained from 5 seeds and not chosen. Its Dice on test data is 0.871" in text
    assert "measured loss of Dice, test data 0.041 difference of the means" in text
    assert "failed trainings 2 of 5 seeds" in text
    assert "The layers of swap_1 were not measured" in text
    assert "chosen base" not in text


def test_all_text_is_escaped(found):
    _, (_, swap), before, _ = found
    html = page(swap, Evidence(**{**vars(before), "base": base_of(name="<script>alert(1)</script>")}))
    assert "encoder <b>& replaces that of the base" in text_of(html)
    assert "encoder <b>&" not in html
    assert "<script>" not in html
    assert "information loss unknown" in text_of(html)


def test_every_proposal_gets_a_page_and_the_note_names_it(found):
    _, proposals, before, after = found
    logged = {}
    log_pages(SimpleNamespace(text=lambda text, path: logged.update({path: text})), proposals, before)
    assert set(logged) == {"pages/lean_1.html", "pages/swap_1.html"}
    assert all(path in note(before) and path in note(after) for path in logged)
    assert "They were not retrained" in note(before)
    assert "its Dice is 0.004 lower" in note(after)
    assert "is run r2." in note(after)


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
    """A design that was not run is left out, and an interval that is unknown or very wide does not set the axis."""
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
