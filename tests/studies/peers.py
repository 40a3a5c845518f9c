"""Estimators of this and of other packages on the same samples: error, time, and whether a warning was right.

    python tests/studies/peers.py [--seeds 3] [--first 0] [--n 1000] [--dims 1 3 10] [--families gaussian]
        [--tasks FILE.npz] [--points]

Each package is called with its default settings; packages that are not installed are left out. FILE.npz is written by
`bmi_samples.py`, and adds four of its tasks. With --points, our estimates have no null and are not checked, as those of
the other packages.

Bits are right within a factor of 2 or 0.1 bits of the truth. A warning is right if it is given for wrong bits, or not
given for right bits. Our warning is *not reliable*; those of other packages are any Python warnings.

latentmi 0.1.3 wants NumPy 1. Install it by `pip install --no-deps latentmi==0.1.3`. This script sets the name of NumPy
that it misses.
"""

import argparse
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from io import StringIO

import numpy as np
import pandas as pd
from sklearn.feature_selection import mutual_info_regression

from bench.errors import EstimationError
from bench.estimators import KSG, LNC, Estimator, Gaussian, Matched
from bench.information.variables import Variable
from bench.known_truth import AdditiveUniform, Mixture, Student, Transformed, with_response
from bench.known_truth import Gaussian as GaussianPairs

TASKS = (
    "1v1-bimodal-0.75",
    "swissroll_x-normal_cdf-1v1-normal-0.75",
    "student-identity-5-5-2",
    "spiral-multinormal-sparse-3-3-2-2.0",
)
FAMILIES = {
    "gaussian": GaussianPairs,
    "half_cube": partial(Transformed, transform="half_cube"),
    "student": Student,
    "uniform": AdditiveUniform,
    "mixture": Mixture,
}
Answer = tuple[float, bool]  # bits, and whether there was a warning


def ours(estimator: Estimator, t: np.ndarray, y: np.ndarray, seed: int, points: bool) -> Answer:
    """Return the bits of one of our estimators, and whether it is not reliable."""
    rng, variables = np.random.default_rng(seed), (Variable.of(t), Variable.of(y))
    if points:
        return float(estimator.reordered(*variables, [np.arange(len(t))], rng)[0]), False
    found = with_response(estimator.estimate(*variables, rng=rng), estimator, *variables, rng)
    return found.excess, not found.reliable


def lnc(t, y, seed, points) -> Answer:
    return ours(LNC(max(5, 2 * t.shape[1] + 2), subsamples=2), t, y, seed, points)


def one_column(function: Callable) -> Callable:
    """Refuse samples of several columns."""

    def checked(t, y, *rest):
        if t.shape[1] > 1 or y.shape[1] > 1:
            raise EstimationError("takes one column on each side")
        return function(t[:, 0], y[:, 0], *rest)

    return checked


def scikit_learn(t, y, seed, points) -> Answer:
    return float(mutual_info_regression(t[:, None], y, random_state=seed)[0] / np.log(2)), False


def npeet(t, y, seed, points) -> Answer:
    return float(import_module("npeet_plus").mi(t, y)), False


def ennemi(t, y, seed, points) -> Answer:
    return float(np.ravel(import_module("ennemi").estimate_mi(y, t))[0] / np.log(2)), False


def infomeasure(t, y, seed, points) -> Answer:
    return float(import_module("infomeasure").mutual_information(t, y, approach="ksg", base=2)), False


def latentmi(t, y, seed, points) -> Answer:
    import torch

    np.NaN = np.nan  # noqa: NPY201 (for latentmi)
    torch.manual_seed(seed)
    with redirect_stdout(StringIO()):
        return float(np.nanmean(import_module("latentmi.lmi").estimate(t, y)[0])), False


ESTIMATORS = {
    "ksg": partial(ours, KSG(subsamples=2)),
    "ksg_mixture": partial(ours, KSG("mixture", k=5, subsamples=2)),
    "lnc": lnc,
    "matched": partial(ours, Matched(subsamples=2)),
    "gaussian": partial(ours, Gaussian(subsamples=2)),
    "scikit-learn": one_column(scikit_learn),
    "npeet_plus": npeet,
    "ennemi": one_column(ennemi),
    "infomeasure": infomeasure,
    "latentmi": latentmi,
}


def questions(wanted: argparse.Namespace) -> Iterator[tuple[str, float, int, np.ndarray, np.ndarray]]:
    """Yield the name, the truth in bits, the seed and the samples of each question."""
    seeds = range(wanted.first, wanted.first + wanted.seeds)
    for family in wanted.families:
        kind = FAMILIES[family]
        for dim in wanted.dims:
            bits = 1.0 if dim == 1 else 2.0
            if family == "student":
                bits = max(bits, 1.05 * Student(99, dim).correction)
            for seed in seeds:
                yield f"{family} d={dim}", bits, seed, *kind(bits, dim).sample(wanted.n, np.random.default_rng(seed))
    tasks = np.load(wanted.tasks) if wanted.tasks else {}
    for name in TASKS if wanted.tasks else ():
        for seed in seeds:
            t, y = (tasks[f"{name}/{seed}/{side}"].astype(float) for side in "ty")
            yield name, float(tasks[f"{name}/bits"]), seed, t, y


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--n", type=int, default=1000)
    parser.add_argument("--dims", type=int, nargs="+", default=[1, 3, 10])
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--tasks", default=None)
    parser.add_argument("--estimators", nargs="+", default=list(ESTIMATORS), choices=ESTIMATORS)
    parser.add_argument("--points", action="store_true")
    wanted = parser.parse_args()
    others = ("npeet_plus", "ennemi", "infomeasure", "latentmi")
    names = [name for name in wanted.estimators if name not in others or find_spec(name)]
    rows = []
    for question, truth, seed, t, y in questions(wanted):
        for name in names:
            started = time.process_time()
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always", UserWarning)
                try:
                    bits, warned = ESTIMATORS[name](t, y, seed, wanted.points)
                except EstimationError as error:
                    sys.stderr.write(f"{question}, {name}: {error}\n")
                    continue
            warned = warned or any(issubclass(one.category, UserWarning) for one in caught)
            rows.append((question, truth, seed, name, bits, bool(warned), time.process_time() - started))
        sys.stderr.write(f"{question}, seed {seed}\n")
    columns = ["question", "truth", "seed", "estimator", "bits", "warned", "seconds"]
    sys.stdout.write(f"n = {wanted.n}, seeds from {wanted.first}\n\n{report(pd.DataFrame(rows, columns=columns))}\n")


def report(frame: pd.DataFrame) -> str:
    """Tabulate the mean absolute error ± standard error by question, and a summary by estimator."""
    frame["error"] = (frame["bits"] - frame["truth"]).abs()
    truth = frame["truth"]
    right = frame["bits"].between(truth / 2, 2 * truth) | (frame["error"] <= 0.1)
    frame["right"], frame["warning right"] = right, frame["warned"] != right
    cells = frame.groupby(["question", "truth", "estimator"], sort=False)["error"].agg(["mean", "sem"])
    written = cells["mean"].map("{:.2f}".format) + cells["sem"].map(" ± {:.2f}".format)
    errors = written.unstack("estimator", sort=False).reindex(columns=frame["estimator"].unique()).fillna("")
    summary = frame.groupby("estimator", sort=False)[["right", "warned", "warning right", "seconds"]].mean()
    summary.insert(0, "cases", frame.groupby("estimator", sort=False).size())
    return f"{errors.to_string()}\n\n{summary.round(3).to_string()}"


if __name__ == "__main__":
    main()
