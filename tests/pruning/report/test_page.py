"""The page of a proposal: every number stands on it, and every text is escaped."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from drawn_bases import base_of, layers_of
from parsing import Page

from bench.pruning.designs import Part, PartKind
from bench.pruning.designs.baselines import Baseline, BaselineKind
from bench.pruning.report.evidence import Evidence
from bench.pruning.report.page import log_pages, networks_of, note, page
from bench.pruning.search.asker import Loss
from bench.pruning.search.proposals import Proposal
from bench.pruning.search.search import Step
from bench.pruning.search.tables import ranked
from bench.pruning.verify import Verified

REASON = "without level 3: it has 0.005 bits given what is kept (-0.001 to 0.011)"


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
    rows = [("base", 0, "r0", 0.9), ("lean_1", 0, "r1", 0.8), ("lean_1", 1, "r2", 0.91)]
    runs = pd.DataFrame(rows, columns=["design", "seed", "run", "val_score"])
    baselines = [Baseline(BaselineKind.FLAT, "params", proposals[0].design)]
    return Verified(proposals[0], proposals, designs, compared, runs, baselines)


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
    assert "predicted loss of Dice unknown needs the information loss of each part" in text


def test_predictions_are_shown_where_the_table_has_them(found):
    _, (lean, swap), before, _ = found
    columns = {"predicted": [0.0123, np.nan], "predicted_low": [0.001, np.nan], "predicted_high": [0.0345, np.nan]}
    table = before.table.assign(**columns, failure=[0.07, np.nan])
    predicted = Evidence(**{**vars(before), "table": table})
    assert "predicted loss of Dice 0.012 0.001 to 0.035 (90 %)" in text_of(page(lean, predicted))
    assert "predicted share of failed trainings 7%" in text_of(page(lean, predicted))
    text = text_of(page(swap, predicted))
    assert "information loss unknown a part is replaced, or channels were moved after retraining" in text
    assert "predicted loss of Dice unknown needs the information loss of each part" in text
    assert "predicted share of failed trainings" not in text


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
    assert "smaller version of a part: encoder <b>&;" in text_of(html)
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
