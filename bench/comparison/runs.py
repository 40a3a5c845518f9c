"""Runs to compare: found in the store, of the same data, one for each design and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench import tracking
from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.pruning.retraining.results import results_of
from bench.sweeps import jobs
from bench.tracking import records
from bench.tracking.store import Store

FIX = "choose by sweep=NAME or runs=[ID,…]"
# of the config, what may differ between runs of one design
FREE = (
    *("seed", "device", "threads", "resume", "objectives", "trust", "dataset.root", "dataset.file", "tracking."),
    tracking.DESIGN,  # in the words of the sweep that trained the run, which another sweep may have reused
)


@dataclass(frozen=True)
class Runs:
    """Trained networks of at least 2 designs on the same data.

    card: of the data. frame: a row per run: design, seed, run, costs. images: a row per run and test image, as
    `judge.paired` takes it. tables: of each run's layers. logged: each run's metrics. repeats: how many further runs
    repeated one of these.
    """

    card: dict
    frame: pd.DataFrame
    images: pd.DataFrame
    tables: dict[str, LayerTable]
    logged: dict[str, dict[str, float]]
    repeats: int


def chosen(store: Store, runs: Sequence[str] | None, sweep: str | None) -> Runs:
    """The runs of these ids, of a sweep, or all that the experiment has; InputError where they can't be compared."""
    designs = found(store, runs, sweep)
    card = shared_card({run: records.card_of(store, run) for run in designs})
    tracked = {run: store.client.get_run(run) for run in designs}
    refuse_mixed(designs, {run: tracked[run].data.params for run in designs})
    newest = {}
    for run in sorted(designs, key=lambda run: tracked[run].info.start_time):
        newest[designs[run], tracked[run].data.params["seed"]] = run
    kept = {run: design for (design, _), run in newest.items()}
    if len(set(kept.values())) < 2:
        raise InputError(
            f"runs: got {len(kept)} of one design, {min(kept.values())!r}, wanted 2 designs or more; {FIX}"
        )
    results = results_of(store, kept, test=True)
    tables = {run: records.layers_of(store, run) for run in kept}
    logged = {run: tracked[run].data.metrics for run in kept}
    return Runs(card, results.runs, results.images, tables, logged, len(designs) - len(kept))


def found(store: Store, runs: Sequence[str] | None, sweep: str | None) -> dict[str, str]:
    """The id of each run and its design."""
    if runs is not None and sweep is not None:
        raise InputError("runs: got both runs and sweep, wanted one of them or none; leave one out")
    if sweep is not None:
        designs = jobs.of_sweep(store, jobs.newest(store, sweep).info.run_id)
        if not designs:
            raise InputError(f"sweep: got {sweep!r}, of which no job has finished; `python -m bench status` says why")
        return designs
    if runs is not None:
        designs = {}
        for run in runs:
            records.card_of(store, run)  # or InputError
            designs[run] = store.client.get_run(run).data.tags.get(tracking.DESIGN)
            if designs[run] is None:
                raise InputError(f"runs: got {run}, which has no design, wanted training runs; {FIX}")
        return designs
    designs = jobs.trained(store)
    if not designs:
        name = store.client.get_experiment(store.experiment_id).name
        raise InputError(
            f"tracking.experiment: got {name!r}, which has no finished training run; take another or train"
        )
    return designs


def shared_card(cards: Mapping[str, dict]) -> dict:
    """The data card of all runs. Networks tested on other images can't be paired, so that other data are refused."""
    first = next(iter(cards))
    for run, card in cards.items():
        if any(card[key] != cards[first][key] for key in ("task", "fingerprint")):
            raise InputError(f"runs: got {_data(first, cards)} and {_data(run, cards)}, wanted the same data; {FIX}")
    return cards[first]


def _data(run: str, cards: Mapping[str, dict]) -> str:
    card = cards[run]
    return f"{card['name']} ({card['task']}, fingerprint {card['fingerprint']}) in {run}"


def refuse_mixed(designs: Mapping[str, str], params: Mapping[str, Mapping[str, str]]) -> None:
    """Raise InputError where runs of one design differ in more than their seed, by their configs' flat values."""
    firsts: dict[str, str] = {}
    for run, design in designs.items():
        first = firsts.setdefault(design, run)
        for key in sorted(params[first].keys() | params[run].keys()):
            values = [params[which].get(key, "nothing") for which in (first, run)]
            if not key.startswith(FREE) and values[0] != values[1]:
                raise InputError(
                    f"runs: got {key}={values[0]} in {first} and {values[1]} in {run}, both of design {design!r}, "
                    f"wanted runs of a design that differ in their seed alone; {FIX}"
                )
