"""Estimates of correlated normal variables with up to 64 columns, beside the published estimates of mutinfo.

    python tests/studies/high_dimension.py run RESULTS.csv [--estimators NAME …] [--dims DIM …] [--n N …]
        [--seeds FIRST END] [--nats each|all]
    python tests/studies/high_dimension.py report RESULTS.csv

The information is 2 nats for each pair of columns (`each`, as published) or 2 nats for all pairs together (`all`),
evenly split, and both sides are rotated. `run` appends a row for each estimate and skips those that the file has.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd

from bench.errors import EstimationError
from bench.estimators import critic, gaussian, ksg, lnc, matched
from bench.known_truth import Pairs

NATS = 1 / np.log(2)  # bits
DIMS = [1, 2, 4, 8, 16, 32, 64]
COLUMNS = ["nats", "d", "n", "seed", "estimator", "estimate", "seconds", "reason"]
ESTIMATORS = {
    "gaussian": lambda t, y, rng: gaussian(t, y, components=64),
    "ksg": lambda t, y, rng: ksg(t, y),
    "lnc": lambda t, y, rng: lnc(t, y, k=max(5, 2 * t.shape[1] + 2)),
    "matched": lambda t, y, rng: matched(t, y),
    "infonce": lambda t, y, rng: critic(t, y, bound="infonce", rng=rng),
}


def run(path: Path, asked: argparse.Namespace) -> None:
    """Append the estimates that the file does not have, one seed after the other."""
    done = set()
    if path.exists():
        done = set(pd.read_csv(path)[COLUMNS[:5]].itertuples(index=False, name=None))
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(COLUMNS)
        for seed, n, d in ((s, n, d) for s in range(*asked.seeds) for n in asked.n for d in asked.dims):
            rng = np.random.default_rng([seed, d, n, asked.nats == "each"])
            truth = 2 * d if asked.nats == "each" else 2
            t, y = Pairs(truth * NATS, d, "correlated_normal").draw(n, np.full(d, 1 / d), rng)
            for name in asked.estimators:
                if (asked.nats, d, n, seed, name) in done:
                    continue
                started, estimate, reason = time.perf_counter(), np.nan, ""
                try:
                    estimate = ESTIMATORS[name](t, y, rng) / NATS
                except EstimationError as error:
                    reason = str(error)
                seconds = time.perf_counter() - started
                writer.writerow([asked.nats, d, n, seed, name, f"{estimate:.6f}", f"{seconds:.3f}", reason])
                file.flush()


def report(path: Path) -> str:
    """Tabulate mean and standard deviation over the seeds."""
    frame = pd.read_csv(path)
    parts = []
    for nats, rows in frame.groupby("nats", sort=False):
        lines = [
            f"2 nats {'for each column' if nats == 'each' else 'in all'}",
            "",
            "| estimator | n | " + " | ".join(f"d = {d}" for d in DIMS) + " |",
            "|---" * (len(DIMS) + 2) + "|",
        ]
        for (name, n), cells in rows.groupby(["estimator", "n"], sort=False):
            texts = [_text(cells[cells["d"] == d]["estimate"]) for d in DIMS]
            lines.append(f"| `{name}` | {n:,} | {' | '.join(texts)} |")
        parts.append("\n".join(lines))
    seeds = frame.groupby(["estimator", "n"], sort=False).agg({"seed": "nunique", "seconds": "max"})
    return "\n\n".join([*parts, seeds.to_string()])


def _text(estimates: pd.Series) -> str:
    if not len(estimates):
        return ""
    if estimates.isna().any():
        return "refused"
    return f"{estimates.mean():.2f}" + (f" ± {estimates.std(ddof=1):.2f}" if len(estimates) > 1 else "")


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("results", type=Path)
    parser.add_argument("--estimators", nargs="+", choices=list(ESTIMATORS), default=list(ESTIMATORS))
    parser.add_argument("--dims", nargs="+", type=int, choices=DIMS, default=DIMS)
    parser.add_argument("--n", nargs="+", type=int, default=[100, 1000, 10_000])
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 3], metavar=("FIRST", "END"))
    parser.add_argument("--nats", choices=["each", "all"], default="each")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.command == "run":
        run(asked.results, asked)
    else:
        sys.stdout.write(report(asked.results) + "\n")
