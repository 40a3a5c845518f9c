"""Estimators beside the published errors of the package mutinfo, with the same construction of samples.

    python tests/studies/yardsticks.py run RESULTS.csv [--estimators NAME …] [--families NAME …] [--nats NATS …]
        [--dims DIM …] [--seeds FIRST END] [--splits published|random]
    python tests/studies/yardsticks.py report RESULTS.csv

`run` appends a row for each estimate and skips those that the file has, so that it can be stopped and continued.
`report` prints the tables in Markdown. The published numbers are those of the table
`lowdim/continuous/distribution_estimator-MAE-10000.tex` of VanessB/mutinfo: 10,000 samples, d = 1, 2, 3 columns on
either side, ten seeds. The shares of the information of the pairs of columns are those of the published seeds 42 to 51.
"""

from __future__ import annotations

import argparse
import csv
import sys
import time
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

from bench.errors import EstimationError
from bench.estimators import critic, gaussian, ksg, lnc, matched
from bench.known_truth import Mixture, Pairs, Quantised, Student, Transformed

N = 10_000
NATS = 1 / np.log(2)  # bits
# In nats, for a truth of 0 to 10 nats: the best of KSG, WKL, MINE (two bounds) and InfoNCE, each with its best setting.
PUBLISHED = {
    "correlated_normal": (0.00, 0.01, 0.02, 0.05, 0.13, 0.30, 0.63, 1.01, 1.59, 2.26, 3.01),
    "correlated_uniform": (0.00, 0.03, 0.07, 0.19, 0.35, 0.58, 0.99, 1.61, 2.19, 2.80, 3.51),
    "log_gamma_exponential": (0.00, 0.01, 0.02, 0.03, 0.04, 0.08, 0.13, 0.23, 0.42, 0.70, 1.07),
    "smoothed_uniform": (0.00, 0.07, 0.07, 0.09, 0.14, 0.26, 0.56, 1.16, 1.97, 2.77, 3.45),
    "quantised": (0.00, 0.02, 0.03, 0.06, 0.09, 0.15, 0.24, 0.40, 0.88, 2.96, 3.93),
}
OTHERS = {  # not in the published table: distributions whose pairs of columns depend on each other, and others
    "student": Student,
    "half_cube": partial(Transformed, transform="half_cube"),
    "spiral": partial(Transformed, transform="spiral"),
    "swiss_roll": partial(Transformed, transform="swiss_roll"),
    "mixture": Mixture,
}
COLUMNS = ["family", "nats", "d", "seed", "estimator", "estimate", "seconds", "reason"]


def lnc_of_few_columns(t, y) -> float:
    """Estimate by LNC with the fewest neighbours that it accepts and should have: 5, or 2 more than the columns."""
    return lnc(t, y, k=max(5, t.shape[1] + y.shape[1] + 2))


ESTIMATORS = {
    "matched": matched,
    "ksg": ksg,
    "ksg_k1": lambda t, y: ksg(t, y, k=1),
    "ksg2": lambda t, y: ksg(t, y, variant=2),
    "ksg_mixture": lambda t, y: ksg(t, y, k=5, variant="mixture"),
    "lnc": lnc_of_few_columns,
    "gaussian": gaussian,
    "infonce": lambda t, y: critic(t, y, bound="infonce", rng=np.random.default_rng(0)),
}


def shares_of(d: int, seed: int, splits: str, rng: np.random.Generator) -> np.ndarray:
    """Return the shares (d,) of the information: those of the published table, or others from the rng."""
    drawn = np.random.RandomState(42 + seed).exponential(size=d) if splits == "published" else rng.exponential(size=d)
    return drawn / drawn.sum()


def draw(family: str, nats: float, d: int, seed: int, splits: str) -> tuple[np.ndarray, np.ndarray]:
    """Draw N pairs."""
    rng = np.random.default_rng([seed, d, round(1000 * nats), zlib.crc32(family.encode())])
    if family == "quantised" or family in OTHERS:
        return (OTHERS | {"quantised": Quantised})[family](nats * NATS, d).sample(N, rng)
    return Pairs(nats * NATS, d, family).draw(N, shares_of(d, seed, splits, rng), rng)


def run(path: Path, asked: argparse.Namespace) -> None:
    """Append the estimates that the file does not have, one seed after the other."""
    done = set()
    if path.exists():
        done = set(pd.read_csv(path)[COLUMNS[:5]].itertuples(index=False, name=None))
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        if not done:
            writer.writerow(COLUMNS)
        cells = [
            (f, i, d, s) for s in range(*asked.seeds) for f in asked.families for i in asked.nats for d in asked.dims
        ]
        for cell in cells:
            t, y = draw(*cell, asked.splits)
            for name in asked.estimators:
                if (*cell, name) in done:
                    continue
                started, estimate, reason = time.perf_counter(), np.nan, ""
                try:
                    estimate = ESTIMATORS[name](t, y) / NATS
                except EstimationError as error:
                    reason = str(error)
                seconds = time.perf_counter() - started
                writer.writerow([*cell, name, f"{estimate:.6f}", f"{seconds:.3f}", reason])
            file.flush()


def errors(frame: pd.DataFrame) -> pd.DataFrame:
    """Summarise the errors of each family, truth and estimator, in nats.

    `published` is the quantity of the published table: the mean over d of |truth - mean estimate over the seeds|. `mae`
    is the mean of |truth - estimate| over d and seeds, and `se` its standard error over seeds. A cell in which any
    sample was refused has no error.
    """
    frame = frame.assign(error=frame["estimate"] - frame["nats"])
    keys = ["estimator", "family", "nats"]

    def of_cell(cell: pd.DataFrame) -> pd.Series:
        by_d, by_seed = cell.groupby("d")["error"].mean(), cell["error"].abs().groupby(cell["seed"]).mean()
        refused = cell["error"].isna().any()
        return pd.Series(
            {
                "published": np.nan if refused else by_d.abs().mean(),
                "mae": np.nan if refused else cell["error"].abs().mean(),
                "se": np.nan if refused else by_seed.std(ddof=1) / np.sqrt(len(by_seed)),
                "seeds": cell["seed"].nunique(),
                "dims": cell["d"].nunique(),
                "seconds": cell["seconds"].mean(),
            }
        )

    return frame.groupby(keys, sort=False).apply(of_cell).reset_index()


def report(path: Path) -> str:
    """Tabulate the errors beside the best published value, and the share of cells at or below it."""
    frame = pd.read_csv(path)
    found = errors(frame)
    published = [PUBLISHED.get(family, [np.nan] * 11) for family in found["family"]]
    found["best"] = [row[int(nats)] for row, nats in zip(published, found["nats"], strict=True)]
    parts = []
    for column, heading in (("published", "mean over d of |truth - mean over seeds|"), ("mae", "mean absolute error")):
        nats = sorted(found["nats"].unique())
        lines = [
            f"{heading}, in nats",
            "",
            f"| family | | {' | '.join(map(str, nats))} |",
            "|---" * (len(nats) + 2) + "|",
        ]
        for family in found["family"].unique():
            if family in PUBLISHED:
                best = " | ".join(f"{PUBLISHED[family][nat]:.2f}" for nat in nats)
                lines.append(f"| {family} | best published | {best} |")
            for name, rows in found[found["family"] == family].groupby("estimator", sort=False):
                values = rows.set_index("nats")
                cells = [_cell(values.loc[nat], column) if nat in values.index else "" for nat in nats]
                lines.append(f"| {family} | `{name}` | {' | '.join(cells)} |")
        parts.append("\n".join(lines))
        at_or_below = found[column].round(2) <= found["best"]
        shares = at_or_below.groupby(found["estimator"], sort=False).agg(["sum", "size"])
        some = at_or_below.groupby([found["family"], found["nats"]]).any()
        without = found["estimator"] != "gaussian"
        others = at_or_below[without].groupby([found["family"][without], found["nats"][without]]).any()
        parts.append(
            "\n".join(f"{name}: {row['sum']} of {row['size']} cells" for name, row in shares.iterrows())
            + f"\nany: {some.sum()} of {len(some)} cells; without gaussian: {others.sum()} of {len(others)}"
        )
    counts = found.groupby("estimator", sort=False)[["seeds", "dims", "seconds"]].agg(["min", "max"])
    return "\n\n".join([*parts, counts.to_string()])


def _cell(row: pd.Series, column: str) -> str:
    if np.isnan(row[column]):
        return "refused"
    text = f"{row[column]:.2f}" if column == "published" else f"{row['mae']:.3f} ± {row['se']:.3f}"
    return f"**{text}**" if round(row[column], 2) <= row["best"] else text


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["run", "report"])
    parser.add_argument("results", type=Path)
    parser.add_argument(
        "--estimators", nargs="+", choices=list(ESTIMATORS), default=["matched", "ksg", "lnc", "gaussian"]
    )
    parser.add_argument("--families", nargs="+", choices=[*PUBLISHED, *OTHERS], default=list(PUBLISHED))
    parser.add_argument("--nats", nargs="+", type=int, default=list(range(11)))
    parser.add_argument("--dims", nargs="+", type=int, default=[1, 2, 3])
    parser.add_argument("--seeds", nargs=2, type=int, default=[0, 10], metavar=("FIRST", "END"))
    parser.add_argument("--splits", choices=["published", "random"], default="published")
    return parser.parse_args()


if __name__ == "__main__":
    asked = arguments()
    if asked.command == "run":
        run(asked.results, asked)
    else:
        sys.stdout.write(report(asked.results) + "\n")
