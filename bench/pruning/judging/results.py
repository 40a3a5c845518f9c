"""Results of a sweep of designs: a row per design and seed, and the score of each test image."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import nan

import pandas as pd

from bench import tracking
from bench.errors import InputError
from bench.sweeps import jobs
from bench.tracking import MISSED, records
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
        runs: A row per design and seed, and per fold if there are folds. collapsed: 1 if the training has taught the
            network nothing, else 0; NaN if the run does not tell. missed: names of the classes of the validation data
            that its network never predicts.
        images: A row per design, seed and test image. The weights of a design and seed add up to 1 over all folds.
    """

    runs: pd.DataFrame
    images: pd.DataFrame

    @property
    def complete(self) -> pd.DataFrame:
        """The runs of the seeds, or pairs of seed and fold, for which all designs were trained."""
        trained = self.runs.groupby(cell_of(self.runs))["design"].transform("nunique")
        return self.runs[trained == trained.max()]

    @property
    def seeds(self) -> list[int]:
        """The seeds for which all designs were trained."""
        return sorted(self.complete["seed"].unique())

    @property
    def test_images(self) -> pd.DataFrame:
        """The images, with folds those of `complete` with weights that add up to 1 for each design and seed."""
        if "fold" not in self.images:
            return self.images
        images = self.images.merge(self.complete[["design", "seed", "fold"]])
        total = images.groupby(["design", "seed"])["weight"].transform("sum")
        return images.assign(weight=images["weight"] / total)


def cell_of(frame: pd.DataFrame) -> list[str]:
    """Return the columns that tell the trainings of one design apart: the seed, and the fold if there are folds."""
    return ["seed", "fold"] if "fold" in frame else ["seed"]


def retrained(parent: tracking.Run, names: Collection[str], test: bool, folds: Collection[int] = ()) -> Retrained:
    """Read the finished runs of a sweep of these designs.

    Args:
        parent: The parent run of the sweep.
        names: Names of the designs.
        test: Whether to read the scores on the test data.
        folds: Numbers of the folds. The run of a base that was trained on another split does not count then.
    """
    designs = {run: design.rpartition("=")[2] for run, design in jobs.of_sweep(parent.store, parent.id).items()}
    return results_of(parent.store, {run: name for run, name in designs.items() if name in names}, test, folds)


def results_of(store: Store, designs: Mapping[str, str], test: bool, folds: Collection[int] = ()) -> Retrained:
    """Read finished runs.

    Args:
        store: The store of the runs.
        designs: The name of the design of each run, by the run's id.
        test: Whether to read the scores on the test data.
        folds: Numbers of the folds to read. Without them, all runs are read.

    Raises:
        InputError: A run did not train a network to the end.
    """
    rows: list[dict] = []
    tests: dict[tuple[str, int], list[pd.DataFrame]] = {}
    for run_id, design in designs.items():
        run = store.client.get_run(run_id)
        if folds and fold_of(run.data.params).get("fold") not in folds:
            continue
        missing = [key for key in KEPT if key not in run.data.metrics and key != UNKNOWN]
        if missing or not run.data.params.get("seed", "").isdecimal():
            raise InputError(
                f"run: got {run_id}, which has no {missing[0] if missing else 'seed'}, wanted a run that trained a "
                "network to its end; train it again"
            )
        here = {"design": design, "seed": int(run.data.params["seed"])} | fold_of(run.data.params)
        rows.append(here | {"run": run_id} | {column: run.data.metrics.get(key, nan) for key, column in KEPT.items()})
        rows[-1] |= {
            "collapsed": run.data.metrics.get("summary/collapsed", nan),
            "missed": run.data.tags.get(MISSED, ""),
        }
        if test:
            tests.setdefault((design, int(run.data.params["seed"])), []).append(
                records.table_of(store, run_id, "test.csv").assign(**here)
            )
    columns = ["design", "seed", *(["fold"] if any("fold" in row for row in rows) else [])]
    columns += ["run", *KEPT.values(), "collapsed", "missed"]
    images = [scores_of(pd.concat(several, ignore_index=True)) for several in tests.values()]
    return Retrained(pd.DataFrame(rows, columns=columns), pd.concat(images) if images else pd.DataFrame())


def best_run(runs: pd.DataFrame, design: str) -> str:
    """Return the run of a design with the highest validation score. If several have it, that of the lowest seed."""
    runs = _by_seed(runs, design)
    return runs.loc[runs["val_score"].idxmax(), "run"]


def first_run(runs: pd.DataFrame, design: str) -> str:
    """Return the run of a design from its lowest seed, and its lowest fold if there are folds."""
    return _by_seed(runs, design)["run"].iloc[0]


def _by_seed(runs: pd.DataFrame, design: str) -> pd.DataFrame:
    """Order the runs of a design by seed and fold. Their own order depends on which training started first."""
    return runs[runs["design"] == design].sort_values(cell_of(runs))


def fold_of(params: Mapping[str, str]) -> dict[str, int]:
    """Return the fold in the parameters of a run as a mapping, which is empty without folds.

    Examples:
        >>> fold_of({"fold": "2"}), fold_of({"fold": "None"}), fold_of({})
        ({'fold': 2}, {}, {})
    """
    return {"fold": int(params["fold"])} if params.get("fold", "").isdecimal() else {}


def scores_of(test: pd.DataFrame) -> pd.DataFrame:
    """Compute the score and the weight of each test image of a design and seed, over all of its folds.

    The score is Dice, or 1 for a correct and 0 for a wrong class. Classes have equal weight.
    """
    score = test["dice"] if "dice" in test else test["correct"]
    if "class" in test:
        weight = 1 / test.groupby("class")["class"].transform("size") / test["class"].nunique()
    else:
        weight = pd.Series(1 / len(test), test.index)
    scored = {"name": test["name"], "group": test["group"], "score": score, "weight": weight}
    return pd.DataFrame(scored | {key: test[key] for key in ("design", *cell_of(test))})
