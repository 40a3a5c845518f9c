"""Results of a sweep of designs: a row per design and seed, and the score of each test image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench import tracking
from bench.errors import InputError
from bench.sweeps import jobs
from bench.tracking import records
from bench.tracking.store import Store

KEPT = {
    "summary/val_score": "val_score",
    "summary/best_epoch": "best_epoch",
    "cost/params": "params",
    "cost/flops": "flops",
    "cost/latency_ms": "latency_ms",
}


UNKNOWN = "summary/best_epoch"  # what a run that measures the weights of a file does not know


@dataclass(frozen=True)
class Retrained:
    """Results of retraining.

    Attributes:
        runs: A row per design and seed. collapsed: 1 if the training has taught the network nothing, else 0; NaN if the
            run does not tell.
        images: A row per design, seed and test image.
    """

    runs: pd.DataFrame
    images: pd.DataFrame

    @property
    def seeds(self) -> list[int]:
        """The seeds for which all designs were trained."""
        trained = self.runs.groupby("seed")["design"].nunique()
        return sorted(trained.index[trained == trained.max()])


def retrained(parent: tracking.Run, names: Collection[str], test: bool) -> Retrained:
    """Read the finished runs of a sweep of these designs.

    Args:
        parent: The parent run of the sweep.
        names: Names of the designs.
        test: Whether to read the scores on the test data.
    """
    designs = {run: design.rpartition("=")[2] for run, design in jobs.of_sweep(parent.store, parent.id).items()}
    return results_of(parent.store, {run: name for run, name in designs.items() if name in names}, test)


def results_of(store: Store, designs: Mapping[str, str], test: bool) -> Retrained:
    """Read finished runs.

    Args:
        store: The store of the runs.
        designs: The name of the design of each run, by the run's id.
        test: Whether to read the scores on the test data.

    Raises:
        InputError: A run did not train a network to the end.
    """
    rows, images = [], []
    for run_id, design in designs.items():
        run = store.client.get_run(run_id)
        missing = [key for key in KEPT if key not in run.data.metrics and key != UNKNOWN]
        if missing or not run.data.params.get("seed", "").isdecimal():
            raise InputError(
                f"run: got {run_id}, which has no {missing[0] if missing else 'seed'}, wanted a run that trained a "
                "network to its end; train it again"
            )
        here = {"design": design, "seed": int(run.data.params["seed"])}
        rows.append(here | {"run": run_id} | {column: run.data.metrics.get(key, nan) for key, column in KEPT.items()})
        rows[-1]["collapsed"] = run.data.metrics.get("summary/collapsed", nan)
        if test:
            images.append(_scores(records.table_of(store, run_id, "test.csv")).assign(**here))
    columns = ["design", "seed", "run", *KEPT.values(), "collapsed"]
    return Retrained(pd.DataFrame(rows, columns=columns), pd.concat(images) if images else pd.DataFrame())


def _scores(test: pd.DataFrame) -> pd.DataFrame:
    """Compute name, group, score and weight of each test image.

    The score is Dice, or 1 for a correct and 0 for a wrong class. Classes have equal weight.
    """
    score = test["dice"] if "dice" in test else test["correct"]
    if "class" in test:
        weight = 1 / test.groupby("class")["class"].transform("size") / test["class"].nunique()
    else:
        weight = pd.Series(1 / len(test), test.index)
    return pd.DataFrame({"name": test["name"], "group": test["group"], "score": score, "weight": weight})
