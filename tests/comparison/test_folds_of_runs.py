"""Runs of folds: which runs can be compared, and which folds are missing."""

import pandas as pd
import pytest

from bench.comparison.runs import Runs, shared_card
from bench.errors import InputError


def cards(**fingerprints):
    return {run: {"name": "made", "task": "segmentation", "fingerprint": of} for run, of in fingerprints.items()}


def test_runs_of_other_folds_have_other_fingerprints():
    of = {"a": ("2", 0), "b": ("2", 1), "c": ("2", 0)}
    assert shared_card(cards(a="x", b="y", c="x"), of)["fingerprint"] == "x"
    with pytest.raises(InputError, match=r"fingerprint x\) in a and made \(segmentation, fingerprint z\) in c"):
        shared_card(cards(a="x", b="y", c="z"), of)


@pytest.mark.parametrize("other", [("None",), ("5", 0)])
def test_other_numbers_of_folds_are_refused(other):
    with pytest.raises(InputError, match=f"got folds=2 in a and folds={other[0]} in b, wanted the same folds"):
        shared_card(cards(a="x", b="x"), {"a": ("2", 0), "b": other})


def runs_of(cells):
    frame = pd.DataFrame(cells, columns=["design", "seed", "fold"])
    return Runs({}, frame, pd.DataFrame(), {}, {}, {}, 0, None)


def test_missing_folds_are_named_by_seed():
    every = [(design, seed, fold) for design in ("a", "b") for seed in (0, 1) for fold in (0, 1, 2)]
    assert runs_of(every).missing_folds == []
    assert runs_of(every).folds == [0, 1, 2]
    some = [cell for cell in every if cell not in (("b", 0, 1), ("b", 0, 2), ("b", 1, 0))]
    assert runs_of(some).missing_folds == ["b (seed 0 lacks fold 1, 2; seed 1 lacks fold 0)"]


def test_without_folds_none_is_missing():
    frame = pd.DataFrame({"design": ["a", "b"], "seed": [0, 0]})
    runs = Runs({}, frame, pd.DataFrame(), {}, {}, {}, 0, None)
    assert (runs.folds, runs.missing_folds) == ([], [])
