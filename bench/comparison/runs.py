"""Runs: select the runs to compare, on the same data, one for each design and seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from bench import tracking
from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.pruning.judging.results import fold_of, results_of
from bench.sweeps import jobs
from bench.tracking import records, views
from bench.tracking.store import Store

FIX = "choose by sweep=NAME or runs=[ID,…]"
# settings that can differ between runs of one design
FREE = (
    *("seed", "fold", "device", "threads", "resume", "checkpoint_minutes", "objectives", "trust", "train.workers"),
    *("dataset.root", "dataset.file", "tracking."),
    tracking.DESIGN,  # named by the sweep that trained the run; another sweep can reuse the run under another name
)


@dataclass(frozen=True)
class Runs:
    """Runs of at least 2 designs on the same data, or on the same folds of them.

    Attributes:
        card: Description of the data.
        frame: One row for each run: design, seed, fold if there are folds, run and costs.
        images: One row for each run and test image, as in `judge.paired`.
        tables: LayerTable of each run.
        logged: Metrics of each run.
        colours: Colour of each design in MLflow's UI, if it has one.
        repeats: Number of further runs that have the design and seed of one of these.
        sweep: The sweep that was selected, or None.
    """

    card: dict
    frame: pd.DataFrame
    images: pd.DataFrame
    tables: dict[str, LayerTable]
    logged: dict[str, dict[str, float]]
    colours: dict[str, str]
    repeats: int
    sweep: jobs.FoundSweep | None

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds, or an empty list."""
        return sorted(self.frame["fold"].unique()) if "fold" in self.frame else []

    @property
    def missing_folds(self) -> list[str]:
        """Describe each design that lacks folds: the folds that are missing, by seed."""
        found = []
        for design, frame in self.frame.groupby("design", sort=False):
            trained = {seed: set(rows["fold"]) for seed, rows in frame.groupby("seed")} if self.folds else {}
            missing = {seed: [each for each in self.folds if each not in folds] for seed, folds in trained.items()}
            of_seeds = [
                f"seed {seed} lacks fold {', '.join(map(str, folds))}" for seed, folds in missing.items() if folds
            ]
            found += [f"{design} ({'; '.join(of_seeds)})"] if of_seeds else []
        return found


def choose_runs(store: Store, runs: Sequence[str] | None, sweep: str | None, everything: bool = False) -> Runs:
    """Read the runs with these ids, the runs of a sweep or of the newest sweep, or all runs.

    If several runs have the same design and seed, only the newest is read.

    Args:
        store: Store with the experiments that are searched.
        runs: Ids of runs or their beginnings, or None.
        sweep: Name of a sweep or id of its parent run, or None.
        everything: If neither runs nor a sweep is given, read all training runs, not those of the newest sweep.

    Raises:
        InputError: If the runs can't be compared.
    """
    if runs is not None and sweep is not None:
        raise InputError("runs: got both runs and sweep, wanted one of them or none; leave one out")
    found = None
    if runs is None and not (everything and sweep is None):
        found = jobs.find_sweep(store, sweep)
    designs = find_runs(store, runs, found)
    cards = {run: records.card_of(store, run) for run in designs}
    tracked = {run: store.client.get_run(run) for run in designs}
    params = {run: tracked[run].data.params for run in designs}
    card = shared_card(
        cards, {run: (params[run].get("folds", "None"), *fold_of(params[run]).values()) for run in designs}
    )
    refuse_mixed(designs, params)
    newest = {}
    for run in sorted(designs, key=lambda run: tracked[run].info.start_time):
        newest[designs[run], params[run]["seed"], params[run].get("fold")] = run
    kept = {run: design for (design, *_), run in newest.items()}
    if len(set(kept.values())) < 2:
        raise InputError(
            f"runs: got {len(kept)} of one design, {min(kept.values())!r}, wanted 2 or more designs; {FIX}"
        )
    results = results_of(store, kept, test=True)
    if "fold" in results.runs:
        counts = {key: results.images[column].nunique() for key, column in (("n", "name"), ("groups", "group"))}
        card = card | {key: card[key] | {"test": count} for key, count in counts.items()}
    tables = {run: records.layers_of(store, run) for run in kept}
    logged = {run: tracked[run].data.metrics for run in kept}
    tags = {design: tracked[run].data.tags for run, design in kept.items()}
    colours = {design: of_run[views.COLOUR] for design, of_run in tags.items() if views.COLOUR in of_run}
    return Runs(card, results.runs, results.images, tables, logged, colours, len(designs) - len(kept), found)


def find_runs(store: Store, runs: Sequence[str] | None, sweep: jobs.FoundSweep | None) -> dict[str, str]:
    """Find the runs with these ids, of a sweep, or of the whole store.

    Returns:
        The design of each run, by the id of the run.

    Raises:
        InputError: If there are no such runs, or if a run has no design.
    """
    if sweep is not None:
        designs = jobs.of_sweep(store, sweep.parent.info.run_id)
        if not designs:
            raise InputError(f"sweep: got {sweep.words}, which has no finished job; see `python -m bench status`")
        return designs
    if runs is not None:
        designs = {}
        for run in (records.find_run(store.client, store.uri, text) for text in runs):
            records.card_of(store, run)  # raises InputError for a run that trained no network
            designs[run] = store.client.get_run(run).data.tags.get(tracking.DESIGN)
            if designs[run] is None:
                raise InputError(f"runs: got {run}, which has no design, wanted training runs; {FIX}")
        return designs
    designs = jobs.trained(store)
    if not designs:
        name = ", ".join(store.client.get_experiment(each).name for each in store.experiment_ids)
        raise InputError(
            f"tracking.experiment: got {name!r}, which has no finished training run; choose another or train one"
        )
    return designs


def shared_card(cards: Mapping[str, dict], folds: Mapping[str, tuple] | None = None) -> dict:
    """Return the card of the data, which must be the same for all runs, because gains are paired by test image.

    Args:
        cards: Card of each run.
        folds: The folds of each run and the number of its fold. Runs of one fold must have the same data.

    Raises:
        InputError: If two runs have different data or different folds.
    """
    first = next(iter(cards))
    firsts: dict[tuple, str] = {}
    for run, card in cards.items():
        same = firsts.setdefault((folds or {}).get(run, ()), run)
        if folds and folds[run][0] != folds[first][0]:
            raise InputError(
                f"runs: got folds={folds[first][0]} in {first} and folds={folds[run][0]} in {run}, wanted the same "
                f"folds; {FIX}"
            )
        if card["task"] != cards[first]["task"] or card["fingerprint"] != cards[same]["fingerprint"]:
            raise InputError(f"runs: got {_data(same, cards)} and {_data(run, cards)}, wanted the same data; {FIX}")
    return cards[first]


def _data(run: str, cards: Mapping[str, dict]) -> str:
    """Describe the data of a run for a message."""
    card = cards[run]
    return f"{card['name']} ({card['task']}, fingerprint {card['fingerprint']}) in {run}"


def refuse_mixed(designs: Mapping[str, str], params: Mapping[str, Mapping[str, str]]) -> None:
    """Check that runs of one design differ only in their seed and in the settings of `FREE`.

    Args:
        designs: Design of each run.
        params: Config of each run, as flat values.

    Raises:
        InputError: If two runs of one design differ in another setting.
    """
    firsts: dict[str, str] = {}
    for run, design in designs.items():
        first = firsts.setdefault(design, run)
        for key in sorted(params[first].keys() | params[run].keys()):
            values = [params[which].get(key, "nothing") for which in (first, run)]
            if not key.startswith(FREE) and values[0] != values[1]:
                raise InputError(
                    f"runs: got {key}={values[0]} in {first} and {values[1]} in {run}, both of design {design!r}, "
                    f"wanted runs of a design that differ only in their seed; {FIX}"
                )
