"""How many seeds a margin needs: by validation images of the first seeds, with what else helps."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from omegaconf import OmegaConf

from bench.datasets.phantoms import phantoms
from bench.information.crossed import Components
from bench.information.statistics import round_up
from bench.pruning.judging.judge import effect_of
from bench.pruning.judging.results import Retrained
from bench.pruning.retraining import planning
from bench.pruning.retraining.planning import describe_need, seeds_for_margin, validation_images

DATA = phantoms(n=(30, 10, 10), size=16)
NOISY_SEEDS = Components(0.02**2, 0.0, 0.02**2)
NOISY_IMAGES = Components(0.0, 0.02**2, 0.02**2)


def decided(found, seeds, groups):
    return f"{seeds} given, which decide a margin of {round_up(found.margin_decided(seeds, groups)):g}"


def test_enough_seeds_need_no_advice():
    needed = NOISY_SEEDS.seeds_needed(0.05, 10)
    line = describe_need(NOISY_SEEDS, 0.05, needed, [], DATA)
    assert line == f"a margin of 0.05 needs about {needed} seeds ({decided(NOISY_SEEDS, needed, 10)})"


def test_more_seeds_are_wanted_or_folds():
    needed, folded = NOISY_SEEDS.seeds_needed(0.02, 10), NOISY_SEEDS.of_folds(5).seeds_needed(0.02, 50)
    assert folded < needed
    assert describe_need(NOISY_SEEDS, 0.02, 5, [], DATA) == (
        f"a margin of 0.02 needs about {needed} seeds ({decided(NOISY_SEEDS, 5, 10)}); raise retrain.seeds, or set "
        f"retrain.folds=5 (50 test images), which needs about {folded} seeds"
    )
    assert describe_need(NOISY_SEEDS, 0.02, 5, [0, 1, 2], DATA) == (
        f"a margin of 0.02 needs about {NOISY_SEEDS.seeds_needed(0.02, 50)} seeds ({decided(NOISY_SEEDS, 5, 50)}); "
        "raise retrain.seeds"
    )


def test_images_that_leave_the_margin_undecided_need_folds_or_more_images():
    folded = NOISY_IMAGES.seeds_needed(0.01, 50)
    assert describe_need(NOISY_IMAGES, 0.01, 5, [], DATA) == (
        f"no number of seeds decides a margin of 0.01 ({decided(NOISY_IMAGES, 5, 10)}): 10 test images alone give "
        f"±0.012; set retrain.folds=5 (50 test images), which needs about {folded} seeds"
    )
    assert describe_need(NOISY_IMAGES, 0.005, 5, [], DATA) == (
        f"no number of seeds decides a margin of 0.005 ({decided(NOISY_IMAGES, 5, 10)}): 10 test images alone give "
        "±0.012; wanted more images or a larger margin"
    )


def test_seeds_that_vary_too_much_are_not_blamed_on_the_images():
    found = Components(0.5**2, 0.0, 0.01**2)
    assert describe_need(found, 0.01, 5, [], DATA) == (
        f"a margin of 0.01 needs more than 1000 seeds ({decided(found, 5, 10)}); wanted a larger margin, or a training "
        "that varies less"
    )


@pytest.mark.filterwarnings("error")
def test_equal_designs_need_two_seeds():
    line = describe_need(Components(0.0, 0.0, 0.0), 0.01, 5, [], DATA)
    assert line == "a margin of 0.01 needs about 2 seeds (5 given, which decide a margin of 0)"


class KnownRetraining:
    """Replacement for a Retraining whose designs have known validation images, and no test images."""

    seeds, folds = [0, 1, 2, 3, 4], []
    base = SimpleNamespace(data=DATA)

    def __init__(self, trained=()):
        self.trained, self.calls = set(trained), []

    def __call__(self, designs, step, seeds):
        new = {(design, seed) for design in designs for seed in seeds} - self.trained
        self.calls += [sorted(new)] if new else []
        self.trained |= new

    def read(self, designs, test):
        assert not test
        known = sorted((design, seed) for design, seed in self.trained if design in designs)
        rows = [{"design": design, "seed": seed, "run": f"{design} {seed}"} for design, seed in known]
        return Retrained(pd.DataFrame(rows, columns=["design", "seed", "run"]), pd.DataFrame())


def images(runs, retraining):
    rng = np.random.default_rng(0)
    rows = [
        {"design": run.design, "seed": run.seed, "name": i, "group": i, "score": score, "weight": 1 / 40}
        for run in runs.itertuples()
        for i, score in enumerate(0.8 + rng.normal(0, 0.01) + rng.normal(0, 0.02, 40))
    ]
    return pd.DataFrame(rows)


@pytest.mark.parametrize("screened", [(), ("lean_1", "lean_2"), ("base", "lean_1", "lean_2")])
def test_the_first_seeds_are_trained_once_and_the_test_data_are_not_read(monkeypatch, screened):
    """Screening trains proposals alone. With folds, no training of the base is on a fold until now."""
    monkeypatch.setattr(planning, "validation_images", images)
    designs = dict.fromkeys(["base", "lean_1", "lean_2"])
    retraining = KnownRetraining([(name, seed) for name in screened for seed in (0, 1)])
    line = seeds_for_margin(OmegaConf.create({"retrain": {"margin": 0.02}}), designs, retraining)
    new = [(name, seed) for name in designs if name not in screened for seed in (0, 1)]
    assert retraining.calls == ([new] if new else [])
    table = images(retraining.read(designs, test=False).runs, retraining)
    found = Components.mean([effect_of(table, name, "base").components for name in ("lean_1", "lean_2")])
    assert line == (
        f"{describe_need(found, 0.02, 5, [], DATA)} (by 40 validation images and 2 seeds of lean_1, lean_2 and base; "
        "80 % power, if there is no difference)"
    )


@pytest.mark.parametrize(
    "trained", [[("base", 0), ("base", 1), ("lean_1", 0)], [("lean_1", 0), ("lean_1", 1)], [("base", 0), ("base", 1)]]
)
def test_a_budget_that_leaves_one_seed_is_said(monkeypatch, trained):
    retraining = KnownRetraining(trained)
    monkeypatch.setattr(KnownRetraining, "__call__", lambda *_: None)
    line = seeds_for_margin(OmegaConf.create({"retrain": {"margin": 0.02}}), {"base": None, "lean_1": None}, retraining)
    assert line.endswith("are unknown; base and proposals do not have 2 seeds each")


def test_an_image_that_validates_several_folds_counts_once(monkeypatch):
    """Image b validates both folds, with Dice 0.4 and 0.8."""
    tables = {
        0: pd.DataFrame({"name": ["a", "b"], "group": ["a", "b"], "dice": [0.5, 0.4]}),
        1: pd.DataFrame({"name": ["b", "c"], "group": ["b", "c"], "dice": [0.8, 0.7]}),
    }
    network = SimpleNamespace(to=lambda device: None)
    monkeypatch.setattr(planning.records, "saved_network", lambda run, uri, trust: (int(run), {}))
    monkeypatch.setattr(planning, "build_stored", lambda *_: network)
    monkeypatch.setattr(planning, "device_of", lambda network: "cpu")
    monkeypatch.setattr(planning, "build_data", lambda config: config)
    monkeypatch.setattr(planning, "evaluate", lambda network, data, split, seed: ({}, tables[data]))
    base = SimpleNamespace(trust=(), network=None)
    store = SimpleNamespace(store=SimpleNamespace(uri="uri"))
    runs = pd.DataFrame({"design": "base", "seed": 0, "fold": [0, 1], "run": ["0", "1"]})
    found = validation_images(runs, SimpleNamespace(base=base, tracked=store, folds=[0, 1])).set_index("name")
    assert found["score"].to_dict() == pytest.approx({"a": 0.5, "b": 0.6, "c": 0.7})
    assert found["weight"].to_dict() == pytest.approx({"a": 0.25, "b": 0.5, "c": 0.25})
