"""Predicted loss of score against the measured loss, each data set left out in turn.

    python tests/studies/predictor.py collect TABLE.csv nuclei=RUN cardiac=RUN fashion=RUN [--uri URI]
    python tests/studies/predictor.py judge TABLE.csv [--sets cardiac fashion]

`collect` reads tables/features.csv of runs of `python -m bench validity judged_on=val`, and adds or replaces the rows
of these data sets. The table that `propose` predicts from, bench/pruning/search/retrained_designs.csv, has this format,
so that further data sets can be added to it. `judge` fits the predictor without each data set and predicts it.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from bench.information.statistics import Interval, bootstrap_rows, percentile_interval, spearman
from bench.pruning.judging.ranking import ceiling
from bench.pruning.search.asker import CROWDING
from bench.pruning.search.predictor import FEATURES, Predictor
from bench.tracking import records
from bench.tracking.store import connect

NEAR = 0.03  # loss of score of designs that are close to the base
FEWEST = 5  # designs for a correlation
RESAMPLES = 2000
COLUMNS = ("set", "design", "arguments", *FEATURES, "loss", "standard_error", "seeds", "collapsed")
SCORES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "predictor": lambda rows: rows["predicted"],
    "FLOPs": lambda rows: rows["flops"],
    "parameters": lambda rows: rows["params"],
    "narrowest slot": lambda rows: -rows["narrowest"],
    "information": lambda rows: rows["structure"] + rows["channels"],
    # the score that `propose` orders its candidates by, as a share of the peak information
    "rank score": lambda rows: (
        rows["structure"] + rows["channels"] + CROWDING * (1 / rows["narrowest"] - 1 / rows["base_narrowest"])
    ),
}


def collect(path: Path, runs: Sequence[str], uri: str | None, estimator: str) -> str:
    """Add the designs of runs of `validity` to a table; `runs` has words NAME=RUN."""
    store = connect(uri, "validity")
    tables = [pd.read_csv(path)] if path.exists() else []
    for word in runs:
        name, run = word.split("=")
        found = records.table_of(store, records.find_run(store.client, store.uri, run), "tables/features.csv")
        if not (found["judged_on"] == "val").all():
            sys.exit(f"{word}: got losses on test data, wanted a run with judged_on=val")
        found = found[(found["estimator"] == estimator) & (found["design"] != "base")]
        found = found.drop_duplicates("design").assign(set=name)  # of the first view
        tables = [table[table["set"] != name] for table in tables] + [found]
    table = pd.concat(tables)[list(COLUMNS)]
    table.to_csv(path, index=False, float_format="%.5g")
    return f"{len(table)} designs of {table['set'].nunique()} data sets in {path}"


def left_out(table: pd.DataFrame) -> pd.DataFrame:
    """Predict the designs of each data set by a predictor that is fitted to the others."""
    table = table.dropna(subset=list(FEATURES))
    parts = []
    for name, rows in table.groupby("set", sort=False):
        parts.append(rows.join(Predictor(table[table["set"] != name]).predict(rows)))
    return pd.concat(parts, ignore_index=True)


def judge(predicted: pd.DataFrame) -> pd.DataFrame:
    """Compute a row for each data set: coverage, and correlations with the loss over all and near the base."""
    rows = []
    for name, of in predicted.groupby("set", sort=False):
        near = of[of["loss"] <= NEAR]
        inside = of["loss"].between(of["predicted_low"], of["predicted_high"])
        row = {"set": name, "designs": len(of), "near": len(near)}
        row |= {"failed, predicted": of["failure"].mean(), "failed": of["collapsed"].mean()}
        row["failed: correlation"] = correlation(of["failure"], of["collapsed"])  # NaN if none failed
        row |= {"coverage": inside.mean(), "width": (of["predicted_high"] - of["predicted_low"]).median()}
        for score, values in SCORES.items():
            row[f"all: {score}"] = correlation(values(of), of["loss"])
            row[f"near: {score}"] = correlation(values(near), near["loss"])
        rows.append(row | {"all: limit": limit(of), "near: limit": limit(near)})
    return pd.DataFrame(rows).set_index("set")


def correlation(values: pd.Series, losses: pd.Series) -> float:
    """Compute Spearman's correlation; NaN with fewer than 5 designs."""
    return float(spearman(values.to_numpy(), losses.to_numpy())) if len(values) >= FEWEST else np.nan


def limit(rows: pd.DataFrame) -> float:
    """Estimate the correlation of a perfect score with losses of this noise; NaN if noise explains all differences."""
    if len(rows) < FEWEST:
        return np.nan
    loss, error = (rows[name].to_numpy() for name in ("loss", "standard_error"))
    return ceiling(np.stack([loss - error, loss + error], axis=1), 0).mean


def over_sets(values: pd.Series) -> Interval:
    """Compute the mean over data sets with its 95 % bootstrap interval."""
    known = values.dropna().to_numpy()
    draws = known[bootstrap_rows(len(known), RESAMPLES, np.random.default_rng(0))].mean(axis=1)
    return Interval(float(known.mean()), *percentile_interval(draws))


def report(judged: pd.DataFrame) -> str:
    """Tabulate the data sets, and the means over them: of each column, and of the gains over other scores."""
    means = {"coverage": over_sets(judged["coverage"])}
    for which in ("all", "near"):
        ours = judged[f"{which}: predictor"]
        means |= {f"{which}: {score}": over_sets(judged[f"{which}: {score}"]) for score in (*SCORES, "limit")}
        others = [score for score in SCORES if score != "predictor"]
        means |= {f"{which}: predictor - {score}": over_sets(ours - judged[f"{which}: {score}"]) for score in others}
    table = pd.DataFrame(means, index=["mean", "low", "high"]).T
    return f"{judged.round(2).T.to_string()}\n\n{table.round(3).to_string()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    actions = parser.add_subparsers(dest="action", required=True)
    for action in ("collect", "judge"):
        actions.add_parser(action).add_argument("table", type=Path)
    actions.choices["collect"].add_argument("runs", nargs="+", metavar="NAME=RUN")
    actions.choices["collect"].add_argument("--uri")
    actions.choices["collect"].add_argument("--estimator", default="probe")
    actions.choices["judge"].add_argument("--sets", nargs="+")
    asked = parser.parse_args()
    if asked.action == "collect":
        text = collect(asked.table, asked.runs, asked.uri, asked.estimator)
    else:
        judged = judge(left_out(pd.read_csv(asked.table)))
        text = report(judged.loc[asked.sets] if asked.sets else judged)
    sys.stdout.write(f"{text}\n")


if __name__ == "__main__":
    main()
