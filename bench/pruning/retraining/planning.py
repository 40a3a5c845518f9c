"""Planning: how many seeds a margin needs, by the validation images of the first seeds."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from bench.config.build import build_data, build_stored
from bench.datasets.data import SPLITS, Data
from bench.information.crossed import MOST_SEEDS, Components
from bench.information.statistics import round_up
from bench.pruning.designs import Design
from bench.pruning.judging import judge
from bench.pruning.judging.results import scores_of
from bench.pruning.retraining.limits import SEEDS
from bench.pruning.retraining.training import Retraining
from bench.tracking import records
from bench.training.evaluate import evaluate
from models.tracing import device_of

FOLDS = 5  # that are suggested where seeds do not suffice
ANY = 10**9  # seeds, after which only images or patients vary


def seeds_for_margin(config: DictConfig, designs: Mapping[str, Design], retraining: Retraining) -> str:
    """Estimate how many seeds show that a design without a true loss is no worse by `retrain.margin`, with 80 % power.

    The spread over seeds and over images or patients is that of the differences of proposals and base on the
    validation images, from the first seeds, which are trained now if they are not yet. No score of a test image is
    read: of the test data, only the number of images or patients counts. The estimate is rough with two seeds.

    Args:
        config: The config, with `retrain.margin`.
        designs: The base, named `base`, and proposals.
        retraining: Trains the designs.

    Returns:
        What is needed and what can be done, in a line.
    """
    first = retraining.seeds[:SEEDS]
    retraining(designs, "train the first seeds", first)
    results = retraining.read(designs, test=False)
    runs = results.complete[results.complete["seed"].isin(first)]
    trained = [name for name in designs if name in set(runs["design"])]
    proposals = [name for name in trained if name != "base"]
    if runs["seed"].nunique() < 2 or "base" not in trained or not proposals:
        return "retrain.margin: the seeds that it needs are unknown; base and proposals do not have 2 seeds each"
    images = validation_images(runs, retraining)
    if (known := images["group"].nunique()) < 2:
        return "retrain.margin: the seeds that it needs are unknown; one patient validates all designs"
    found = Components.mean([judge.effect_of(images, name, "base").components for name in proposals])
    by = f"by {known} validation {_units(images['group'], images['name'])} and {runs['seed'].nunique()} seeds"
    needed = describe_need(found, config.retrain.margin, len(retraining.seeds), retraining.folds, retraining.base.data)
    return f"{needed} ({by} of {', '.join(proposals)} and base; 80 % power, if there is no difference)"


def describe_need(found: Components, margin: float, seeds: int, folds: Collection[int], data: Data) -> str:
    """Describe how many seeds a margin needs, and what else helps if there are not enough.

    Args:
        found: Variances of a difference between two designs.
        margin: The margin.
        seeds: Number of seeds that are given.
        folds: Numbers of the folds. Empty for the split of the base.
        data: The data of the base.
    """
    every = [data.whole(split) for split in SPLITS]
    names, groups = (np.concatenate([getattr(split, key) for split in every]) for key in ("names", "groups"))
    units, whole = _units(groups, names), len(set(groups))
    tested = whole if folds else len(set(data.whole("test").groups))
    folded = found.of_folds(FOLDS).seeds_needed(margin, whole) if not folds and whole >= FOLDS else None
    by_folds = f"set retrain.folds={FOLDS} ({whole} test {units}), which needs about {folded} seeds"
    needed, nearest = found.seeds_needed(margin, tested), round_up(found.margin_decided(seeds, tested))
    given = f"{seeds} given, which decide a margin of {nearest:g}"
    if needed is not None and needed <= seeds:
        return f"a margin of {margin:g} needs about {needed} seeds ({given})"
    if needed is not None:
        advice = f"raise retrain.seeds{f', or {by_folds}' if folded and folded < needed else ''}"
        return f"a margin of {margin:g} needs about {needed} seeds ({given}); {advice}"
    if found.margin_decided(ANY, tested) <= margin:
        advice = by_folds if folded else "wanted a larger margin, or a training that varies less"
        return f"a margin of {margin:g} needs more than {MOST_SEEDS} seeds ({given}); {advice}"
    advice = by_folds if folded else f"wanted more {units} or a larger margin"
    return (
        f"no number of seeds decides a margin of {margin:g} ({given}): {tested} test {units} alone give "
        f"±{found.half_width_of_groups(tested):.2g}; {advice}"
    )


def validation_images(runs: pd.DataFrame, retraining: Retraining) -> pd.DataFrame:
    """Evaluate trained designs on their validation images.

    Args:
        runs: Rows with design, seed, run, and fold if there are folds.
        retraining: The retraining that trained them.

    Returns:
        Rows as for `judge.paired`. An image that validates several folds has its mean score over them.
    """
    base, tables = retraining.base, []
    for row in runs.to_dict("records"):
        config, weights = records.saved_network(row["run"], retraining.tracked.store.uri, base.trust)
        network = build_stored(config, weights, row["run"], base.trust).to(device_of(base.network))
        data = build_data(config) if retraining.folds else base.data
        known = {key: row[key] for key in ("design", "seed", "fold") if key in row}
        tables.append(evaluate(network, data, "val", seed=0)[1].assign(**known))
    images = pd.concat(scores_of(pd.concat(of, ignore_index=True)) for of in _of_each_seed(tables))
    return images.groupby(["design", "seed", "name", "group"], as_index=False).agg({"score": "mean", "weight": "sum"})


def _of_each_seed(tables: list[pd.DataFrame]) -> list[list[pd.DataFrame]]:
    """Collect the tables of all folds of each design and seed."""
    found: dict[tuple[str, int], list[pd.DataFrame]] = {}
    for table in tables:
        found.setdefault((table["design"].iloc[0], table["seed"].iloc[0]), []).append(table)
    return list(found.values())


def _units(groups: Collection, names: Collection[str]) -> str:
    """Return what the groups are: images, or patients of several images."""
    return "images" if len(set(groups)) == len(set(names)) else "patients"
