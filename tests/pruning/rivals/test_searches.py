"""Searches of rivals: the number of trainings, the costs of the target, selection by validation, no training twice."""

from types import SimpleNamespace

import numpy as np
import pytest
from known_retraining import BASE, LEAN, KnownRetraining, Sums, chosen, config, run_rivals, score_of

from bench.pruning.rivals.rivals import limits_of_rivals
from bench.pruning.rivals.searches import FirstSeed
from bench.pruning.rivals.tpe import require_optuna, search_by_tpe

SEARCHES = ["random", "flat", "tpe"]


@pytest.mark.parametrize("search", SEARCHES)
def test_a_search_trains_as_many_designs_as_it_may_from_the_first_seed_alone(search):
    retraining = KnownRetraining()
    (best,), missing = run_rivals([search], 6, retraining)
    assert len(retraining.designs) == 6
    assert {seeds for _, seeds in retraining.designs.values()} == {(3,)}
    assert missing == []
    assert best.name == f"best_of_6_{search}"
    assert best.kind == "rival"
    tried = [design for design, _ in retraining.designs.values()]
    assert score_of(best.design) == max(map(score_of, tried))
    assert len(set(tried)) == 6


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("costs", [{"params": 0.25}, {"params": None, "flops": 0.3}, {"params": 0.25, "flops": 0.3}])
def test_every_design_has_the_costs_of_the_target_at_most(search, costs):
    retraining = KnownRetraining()
    run_rivals([search], 6, retraining, **costs)
    limits = limits_of_rivals(config([search], **costs), chosen(), retraining)
    whole, least = {"params": 80, "flops": 16}, {"params": 20, "flops": 8}  # of the base and of the chosen proposal
    assert limits == {kind: max(least[kind], int((costs.get(kind) or 1) * whole[kind])) for kind in whole}
    for design, _ in retraining.designs.values():
        assert all(Sums()(design)[kind] <= limit for kind, limit in limits.items())


def test_limits_are_shares_of_the_base_or_the_costs_of_the_proposal():
    retraining = KnownRetraining()  # the base costs 80 and 16, the proposal 20 and 8
    assert limits_of_rivals(config([], 0.5, 0.75), chosen(), retraining) == {"params": 40, "flops": 12}
    assert limits_of_rivals(config([], None, None), chosen(), retraining) == {"params": 20, "flops": 8}
    above = limits_of_rivals(config([], 0.1, None), chosen(), retraining)  # the proposal exceeds 8 parameters
    assert above == {"params": 20, "flops": 16}


def test_searches_depend_on_the_seed_of_the_command_alone():
    first, again, other = KnownRetraining(), KnownRetraining(), KnownRetraining()
    for retraining, seed in ((first, 0), (again, 0), (other, 1)):
        run_rivals(SEARCHES, 5, retraining, seed=seed)
    assert first.designs == again.designs
    assert first.designs != other.designs


def test_tpe_learns_from_the_scores_in_batches():
    before, after = [], []
    for seed in range(4):
        retraining = KnownRetraining()
        run_rivals(["tpe"], 20, retraining, seed=seed)
        assert {len(batch) for batch in retraining.batches} == {2}
        scores = [score_of(design) for design, _ in retraining.designs.values()]
        before, after = before + scores[:10], after + scores[10:]  # the first 10 are random
    assert np.mean(after) > np.mean(before) + 0.2


def test_a_design_that_was_trained_before_has_its_score_and_is_not_trained_again():
    first = KnownRetraining()
    run_rivals(["flat"], 4, first)
    known = {"lean_1": first.designs["flat_1_of_4"][0]}
    retraining = KnownRetraining(trained=[("lean_1", known["lean_1"], (3, 4))])
    (best,), _ = run_rivals(["flat"], 4, retraining, trained=known)
    assert retraining.batches == [["flat_2_of_4", "flat_3_of_4", "flat_4_of_4"]]
    assert best.name == "best_of_4_flat"


def test_equal_designs_of_two_searches_are_trained_once():
    retraining = KnownRetraining()
    train = FirstSeed(retraining, {})
    assert train({"random_1_of_1": LEAN}) == {"random_1_of_1": score_of(LEAN)}
    assert train({"tpe_1_of_1": LEAN}) == {"tpe_1_of_1": score_of(LEAN)}
    assert retraining.batches == [["random_1_of_1"], []]


def test_the_score_is_the_mean_over_all_folds():
    retraining = KnownRetraining(folds=(0, 1, 2))
    assert FirstSeed(retraining, {})({"a": LEAN}) == {"a": pytest.approx(score_of(LEAN) + 1)}


@pytest.mark.parametrize("search", ["random", "tpe"])
def test_failed_trainings_are_listed_and_not_counted(search, caplog):
    retraining = KnownRetraining(failing=[f"{search}_2_of_6"])
    (best,), missing = run_rivals([search], 6, retraining)
    assert best.name == f"best_of_5_{search}"
    assert missing == [f"{search}_2_of_6 seed 3"]
    assert f"{search} has a score of 5 designs, wanted 6; 6 different designs were found" in caplog.text


def test_a_search_ends_if_the_budget_is_spent():
    names = [f"tpe_{number}_of_6" for number in range(1, 7)]
    retraining = KnownRetraining(failing=names)
    rivals, missing = run_rivals(["tpe"], 6, retraining)
    assert rivals == []
    assert missing == ["tpe_1_of_6 seed 3", "tpe_2_of_6 seed 3"]


def test_tpe_stops_where_the_space_has_no_further_design():
    one_design = SimpleNamespace(versions={"base": BASE}, uniform=lambda design: LEAN)
    found = search_by_tpe(one_design, 2, 1, lambda named: dict.fromkeys(named, 0.5), seed=0)
    assert found == [LEAN]


def test_optuna_is_quiet(caplog):
    require_optuna("retrain.rivals")
    run_rivals(["tpe"], 4, KnownRetraining())
    assert "trial" not in caplog.text.lower()
