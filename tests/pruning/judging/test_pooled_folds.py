"""Folds are pooled: weights, pairing, intervals with known coverage, complete trainings, and retraining on folds."""

from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.commands.validity import losses_of
from bench.datasets.phantoms import phantoms
from bench.errors import InputError
from bench.information.crossed import Crossed
from bench.pruning.judging.judge import for_all_seeds, in_common, paired, spread
from bench.pruning.judging.results import KEPT, Retrained, best_run, first_run, results_of, scores_of
from bench.pruning.retraining import training
from bench.pruning.retraining.protocol import protocol

FOLDS, IMAGES = 3, 12  # image i tests fold i % 3


def pooled(scores, without=()):
    """Return the table of test images of designs with scores (seeds, images), without some (design, seed, fold)."""
    rows = [
        {"design": design, "seed": seed, "fold": i % FOLDS, "name": f"i{i}", "group": i, "score": score,
         "weight": 1 / IMAGES}
        for design, values in scores.items()
        for seed, of_seed in enumerate(values)
        for i, score in enumerate(of_seed)
        if (design, seed, i % FOLDS) not in without
    ]  # fmt: skip
    return pd.DataFrame(rows)


def drawn(seeds=2):
    rng = np.random.default_rng(0)
    base = rng.uniform(0.5, 0.6, (seeds, IMAGES))
    return {"base": base, "lean": base + rng.uniform(0, 0.2, (seeds, IMAGES))}


def test_gains_are_paired_by_image_over_all_folds():
    scores = drawn()
    gains = scores["lean"] - scores["base"]
    found = paired(pooled(scores), "lean", "base")
    assert found == pytest.approx(Crossed.of(gains).interval)
    assert found.mean == pytest.approx(gains.mean())


def test_images_of_a_missing_fold_do_not_count_for_any_seed():
    scores = drawn()
    table = pooled(scores, without=[("lean", 1, 2)])
    kept = np.arange(IMAGES) % FOLDS != 2
    assert set(in_common(table, "lean", "base")["fold"]) == {0, 1}
    assert paired(table, "lean", "base") == pytest.approx(
        Crossed.of((scores["lean"] - scores["base"])[:, kept]).interval
    )
    assert spread(table, "lean")[0].mean == pytest.approx(scores["lean"][:, kept].mean())
    assert spread(table, "base")[0].mean == pytest.approx(scores["base"].mean())


def test_without_folds_all_images_count():
    table = pooled(drawn()).drop(columns="fold")
    pd.testing.assert_frame_equal(for_all_seeds(table), table)


def test_the_interval_covers_the_mean_if_trainings_of_folds_differ():
    """The error of a training is shared by the test images of its fold; images and seeds have effects too.

    With 3 seeds, the coverage of `Crossed` is 0.93 to 0.94 without such errors too.
    """
    rng, seeds, images, folds, covered, times = np.random.default_rng(1), 3, 40, 5, 0, 1500
    fold = np.arange(images) % folds
    for _ in range(times):
        of_training = rng.normal(0, 1, (seeds, folds))[:, fold]
        values = rng.normal(0, 1, images) + of_training + rng.normal(0, 0.3, (seeds, 1))
        interval = Crossed.of(values + rng.normal(0, 1, (seeds, images))).interval
        covered += interval.low <= 0 <= interval.high
    assert covered / times > 0.92


def test_weights_are_those_of_the_pooled_images():
    """Fold 0 has classes 0, 0, 0, 1 and fold 1 has 1, 0: over both, 4 and 2 images."""
    test = pd.DataFrame({
        "name": list("abcdef"), "group": range(6), "class": [0, 0, 0, 1, 1, 0], "correct": [1, 1, 0, 1, 0, 0],
        "design": "base", "seed": 0, "fold": [0, 0, 0, 0, 1, 1],
    })  # fmt: skip
    scored = scores_of(test)
    assert scored["weight"].tolist() == pytest.approx([1 / 8, 1 / 8, 1 / 8, 1 / 4, 1 / 4, 1 / 8])
    assert (scored["weight"] * scored["score"]).sum() == pytest.approx((2 / 4 + 1 / 2) / 2)
    assert scored["fold"].tolist() == test["fold"].tolist()


def runs(cells):
    rows = [{"design": d, "seed": s, "fold": f, "val_score": v} for (d, s, f), v in cells.items()]
    return pd.DataFrame(rows)


def test_a_seed_and_fold_is_complete_if_all_designs_were_trained():
    cells = {(d, s, f): 0.5 for d in ("base", "lean") for s in (0, 1) for f in (0, 1)} | {("base", 2, 0): 0.5}
    del cells["lean", 1, 1]
    results = Retrained(runs(cells), pd.DataFrame())
    complete = results.complete
    assert set(zip(complete["seed"], complete["fold"], strict=True)) == {(0, 0), (0, 1), (1, 0)}
    assert results.seeds == [0, 1]


@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1]])
def test_the_first_and_the_best_run_do_not_depend_on_which_training_started_first(order):
    cells = {("lean", 0, 0): 0.5, ("lean", 0, 1): 0.7, ("lean", 1, 0): 0.7, ("base", 0, 0): 0.9}
    started = runs(cells).assign(run=list("abcd")).iloc[order].reset_index(drop=True)
    assert first_run(started, "lean") == "a"
    assert best_run(started, "lean") == "b"
    without_folds = started[started["fold"] == 0].drop(columns="fold")
    assert (first_run(without_folds, "lean"), best_run(without_folds, "lean")) == ("a", "c")


def test_a_base_that_was_trained_on_another_split_is_not_a_fold():
    """The parent of `propose` also has the run of a new base, which has no fold."""
    metrics = dict.fromkeys(KEPT, 1.0)
    params = {"first": {"seed": "0", "fold": "None"}, **{f"of {f}": {"seed": "0", "fold": str(f)} for f in (0, 1)}}
    data = {run: SimpleNamespace(params=of, metrics=metrics, tags={}) for run, of in params.items()}
    store = SimpleNamespace(client=SimpleNamespace(get_run=lambda run: SimpleNamespace(data=data[run])))
    designs = dict.fromkeys(data, "base")
    assert results_of(store, designs, test=False, folds=[0, 1]).runs["run"].tolist() == ["of 0", "of 1"]
    assert results_of(store, {"first": "base"}, test=False).runs["run"].tolist() == ["first"]


@pytest.mark.parametrize("judged_on", ["val", "test"])
def test_losses_of_a_seed_are_means_over_folds(judged_on):
    """Fold 2 of seed 1 is missing for one design, so that the others do not count it either."""
    scores, missing = drawn(), ("lean", 1, 2)
    images = pooled(scores, without=[missing])
    cells = {
        (design, seed, fold): scores[design][seed, fold::FOLDS].mean()
        for design in scores
        for seed in (0, 1)
        for fold in range(FOLDS)
        if (design, seed, fold) != missing
    }
    losses = losses_of(Retrained(runs(cells), images), judged_on)
    gains = scores["lean"] - scores["base"]
    kept = np.arange(IMAGES) % FOLDS != 2
    assert losses.loc["lean"].tolist() == pytest.approx([-gains[0].mean(), -gains[1, kept].mean()])


@pytest.fixture
def base():
    return SimpleNamespace(
        trust=(),
        data=phantoms(n=(6, 3, 3), size=16),
        config=OmegaConf.create({"dataset": {"n": [6, 3, 3]}, "train": {"epochs": 2}}),
    )


def retraining_on(base, **changes):
    config = {"seeds": 2, "folds": 3, "epochs": 1, "minutes": None, "runs": None, "overrides": ["a=b"], "margin": 0.01}
    return training.Retraining(OmegaConf.create(config | changes), base, None, Path(), seed=5)


def test_each_design_is_retrained_on_each_fold(base, monkeypatch):
    trained = []

    def retrain(folder, names, seeds, parent, launcher, seconds):
        assert launcher == ["a=b", "folds=3", "fold=0,1,2"]
        trained.extend({"design": n, "seed": s, "fold": f} for n in names for s in seeds for f in (0, 1, 2))
        trained.remove({"design": "lean", "seed": 5, "fold": 1})

    monkeypatch.setattr(training, "retrain", retrain)
    retraining = retraining_on(base, runs=6)
    monkeypatch.setattr(retraining, "write", lambda designs: None)
    monkeypatch.setattr(retraining, "_shown", lambda step: nullcontext())
    monkeypatch.setattr(retraining, "read", lambda names, test: Retrained(pd.DataFrame(trained), pd.DataFrame()))
    missing = retraining({"base": None, "lean": None}, "retrain")  # six runs are two designs on three folds
    assert missing == ["lean fold 1 seed 5", *(f"{n} fold {f} seed 6" for n in ("base", "lean") for f in (0, 1, 2))]
    assert len(trained) == 5


def test_without_folds_the_split_of_the_base_is_used(base):
    assert retraining_on(base, folds=None).folds == []


def test_folds_that_do_not_fit_the_base_are_refused(base):
    with pytest.raises(InputError, match=r"^retrain\.folds: got 13, wanted at most 12"):
        retraining_on(base, folds=13)


def test_the_protocol_names_the_folds_and_what_they_leave_dependent(base):
    base.data = SimpleNamespace(task="segmentation")
    retraining = SimpleNamespace(base=base, seeds=[0, 1], folds=[0, 1, 2], epochs=2)
    target = {"params": None, "flops": None, "loss": 0.01}
    retrain = {"by": "bench", "margin": 0.01, "folds": 3}
    ask = {"rule": "search", "rounds": 0, "importance": "information"}
    config = OmegaConf.create({"target": target, "ask": ask, "retrain": retrain})
    text = protocol(config, retraining)
    assert "seeds 0, 1, each with the folds 0, 1, 2 of folds=3; 2 epochs each" in text
    assert "the choice is not independent of the test data" in text
