"""Estimates of known information with and without extrapolation to infinitely many samples.

    python tests/studies/extrapolation.py [--seeds 10] [--first 0] [--n 1000] [--estimators ksg gaussian ...]

Prints, for each question and estimator, the root mean square error of the plain and of the extrapolated estimate, the
share of extrapolated estimates that the check of linearity refuses, and how often the 95 % intervals contain the truth.
`probe` and `infonce` are no resampled estimators. The script extrapolates them from parts in the same way, without an
interval and without the check. `infonce` takes minutes for each seed.
"""

import argparse
import sys
import time
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.config.named import estimator_of
from bench.errors import EstimationError
from bench.estimators import Estimator
from bench.estimators.extrapolation import Extrapolated
from bench.estimators.resampled import Resampled
from bench.estimators.statistic import Statistic
from bench.information.variables import Variable
from bench.known_truth import Discretised, Gaussian, Student, Transformed

CONTINUOUS = {
    "gaussian d=1, 1 bit": Gaussian(1, 1),
    "gaussian d=3, 0 bits": Gaussian(0, 3),
    "gaussian d=3, 2 bits": Gaussian(2, 3),
    "gaussian d=10, 2 bits": Gaussian(2, 10),
    "half_cube d=3, 2 bits": Transformed(2, 3, "half_cube"),
    "student d=3, 2 bits": Student(2, 3),
}
FEW_COLUMNS = {name: benchmark for name, benchmark in CONTINUOUS.items() if "d=10" not in name}
LABELS = {
    "discretised d=2, 0 bits": Discretised(0, 2),
    "discretised d=2, 0.5 bits": Discretised(0.5, 2),
    "discretised d=8, 0.5 bits": Discretised(0.5, 8),
}
QUESTIONS = {
    "ksg": CONTINUOUS | LABELS,
    "gaussian": CONTINUOUS | LABELS,
    "lnc": FEW_COLUMNS,
    "matched": FEW_COLUMNS,
    "variates": CONTINUOUS | LABELS,
    "infonce": {"gaussian d=3, 2 bits": Gaussian(2, 3)},
}
QUESTIONS |= {name: LABELS for name in ("binning", "kde", "probe", "renyi_2")}


@dataclass(frozen=True, eq=False)
class Trained(Statistic):
    """The bits of an estimator that trains on the samples `rows`."""

    estimator: Estimator
    t: np.ndarray
    y: np.ndarray
    seed: int

    def bits(self, partners):
        t, y = (Variable.of(side[self.rows]) for side in (self.t, self.y))
        order = [np.arange(len(self.rows))]
        return self.estimator.reordered(t, y, order, np.random.default_rng(self.seed))[0]


def answers(name: str, t: np.ndarray, y: np.ndarray, seed: int) -> dict:
    """Estimate with and without extrapolation: bits, intervals, and the reason of a refusal."""
    found = {}
    rng = np.random.default_rng(seed)
    estimator = estimator_of(name)
    if not isinstance(estimator, Resampled):
        rows = np.arange(len(t))
        plain = Trained(rows, rows, estimator, t, y, seed)
        extrapolated = Extrapolated(rows, rows, plain, rows).at(rng.permutation(rows))
        return {"plain": plain.observed(), "extrapolated": extrapolated.observed()}
    estimator.permutations = 2
    if name == "binning":
        estimator.bin_size = 1.0
    if name == "lnc":
        estimator.k = max(5, 2 * t.shape[1] + 2)
    found["refused"] = None
    for kind in ("plain", "extrapolated"):
        estimator.extrapolate = kind == "extrapolated"
        variables = Variable.of(t), Variable.of(y), None
        found[kind] = estimator.final(*variables).at(np.random.default_rng(seed).permutation(len(t))).observed()
        try:
            found[f"{kind} interval"] = estimator.estimate(t, y, rng=np.random.default_rng(seed)).interval
        except EstimationError as error:
            found["refused"] = str(error)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument(
        "--estimators", nargs="+", default=["ksg", "gaussian", "binning", "kde", "probe"], choices=QUESTIONS
    )
    wanted = parser.parse_args()
    rows = []
    for name in wanted.estimators:
        for question, benchmark in QUESTIONS[name].items():
            started = time.perf_counter()
            for seed in range(wanted.first, wanted.first + wanted.seeds):
                t, y = benchmark.sample(wanted.n, np.random.default_rng(seed))
                rows.append(
                    {"estimator": name, "question": question, "truth": benchmark.bits, **answers(name, t, y, seed)}
                )
            sys.stderr.write(f"{name}, {question}: {time.perf_counter() - started:.0f} s\n")
    sys.stdout.write(f"seeds {wanted.first} to {seed}, n = {wanted.n}\n\n{report(pd.DataFrame(rows))}\n")


def report(frame: pd.DataFrame) -> str:
    """Tabulate errors, refusals and coverage by estimator and question."""
    return frame.groupby(["estimator", "question"], sort=False).apply(scores).round(3).to_string()


def scores(cell: pd.DataFrame) -> pd.Series:
    """Summarise the answers to one question."""
    truth = cell["truth"].iloc[0]
    found = {}
    for kind in ("plain", "extrapolated"):
        errors = cell[kind] - truth
        found[f"rmse {kind}"] = np.sqrt((errors**2).mean())
        found[f"bias {kind}"] = errors.mean()
        ends = cell.get(f"{kind} interval", pd.Series(dtype=object)).dropna()
        found[f"covers {kind}"] = np.mean([low <= truth <= high for low, high in ends]) if len(ends) else np.nan
    found["refused"] = cell["refused"].notna().mean() if "refused" in cell else np.nan
    return pd.Series(found)


if __name__ == "__main__":
    main()
