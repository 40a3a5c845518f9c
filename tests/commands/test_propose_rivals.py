"""`python -m bench propose` with rivals, which train as many designs as the proposals do."""

import re

import pandas as pd
import pytest
from proposing import CLASSES, assert_verdicts, parent_of, propose
from running import artifact, assert_refused, command


@pytest.mark.processes
def test_rivals_are_trained_selected_and_judged_as_baseline_designs(tmp_path):
    asked = (*CLASSES, "target.flops=0.6", "retrain.seeds=2", "retrain.baselines=[]", "ask.samples=64")
    ended = propose(tmp_path, *asked, "retrain.rivals=[random,tpe]")
    assert ended.code == 0, ended.err
    parent = parent_of(tmp_path)
    designs, compared = (
        pd.read_csv(artifact(tmp_path, parent, f"tables/{name}.csv")) for name in ("designs", "comparisons")
    )
    assert_verdicts(compared)
    budget = int(re.search(r"best_of_(\d+)_random", ended.out)[1])
    rivals = {f"best_of_{budget}_random", f"best_of_{budget}_tpe"}
    assert rivals <= set(compared["baseline"])
    assert "Rivals (random, tpe): each trains" in artifact(tmp_path, parent, "protocol.txt").read_text()
    own = designs[designs["kind"] == "rival"]
    assert set(own["design"]) <= rivals
    assert (own["flops"] <= 0.6 * designs.set_index("design")["flops"]["base"]).all()
    assert set(own["seeds"]) <= {2}


def test_rivals_are_refused_where_no_validation_score_selects(tmp_path):
    assert_refused(command(tmp_path, "propose", "retrain.rivals=[best]"), "retrain.rivals: got 'best', wanted any of ")
