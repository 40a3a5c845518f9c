"""Our estimators on the tasks of benchmark-mi, with the checks of a number.

    python tests/studies/bmi_tasks.py FILE.npz [--draws 2] [--first 0]

FILE.npz is written by `bmi_samples.py`. The first table has the 40 tasks, whose targets are continuous: raw excess, and
*reliable* from one planted truth. Doses are planted for labels only. The second table therefore has the tasks that are
made of normal variables with a label: whether the first column of y is above its median. Their transformations of t are
invertible, and those of the first column of y are increasing. The information about the label is then
1 - E h(Φ(ρ Z / √(1 - ρ²))) bits, with the binary entropy h, a standard normal Z and the multiple correlation ρ of t and
that column.
"""

import argparse
import re
import sys

import numpy as np
import pandas as pd
from calibrated_bits import scores, usable
from scipy.special import entr
from scipy.stats import norm

from bench.estimators import KSG, Gaussian
from bench.information.variables import Variable
from bench.known_truth import with_calibrated_bits, with_response

ESTIMATORS = {"ksg": KSG(), "ksg_mixture": KSG("mixture", k=5), "gaussian": Gaussian()}
NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(200)  # of expectations of a standard normal variable


def squared_correlation(task: str, bits: float) -> float | None:
    """Return ρ² of t and the first normal column of y, or None for a task that is not made of normal variables."""
    if dense := re.search(r"multinormal-dense-(\d+)-", task):
        d = int(dense[1])
        return 0.5 * d / (1 + d)  # all correlations are 0.5
    if "multinormal-sparse" in task:
        return 1 - 2**-bits  # two pairs of columns share the bits
    return 1 - 4**-bits if re.search("1v1-(normal|bimodal)", task) else None


def label_bits(squared: float) -> float:
    """Compute I(t; label) in bits.

    >>> label_bits(0.0)
    0.0
    """
    p = norm.cdf(np.sqrt(squared / (1 - squared)) * NODES)
    entropies = (entr(p) + entr(1 - p)) / np.log(2)
    return float(round(1 - (WEIGHTS * entropies).sum() / WEIGHTS.sum(), 9)) + 0.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("samples")
    parser.add_argument("--draws", type=int, default=2)
    parser.add_argument("--first", type=int, default=0)
    wanted = parser.parse_args()
    arrays = np.load(wanted.samples)
    tasks = [key.removesuffix("/bits") for key in arrays.files if key.endswith("/bits")]
    continuous, labelled = [], []
    for task in tasks:
        truth = float(arrays[f"{task}/bits"])
        squared = squared_correlation(task, truth)
        for draw in range(wanted.first, wanted.first + wanted.draws):
            t, y = (Variable.of(arrays[f"{task}/{draw}/{side}"].astype(float)) for side in "ty")
            for name, estimator in ESTIMATORS.items():
                rng = np.random.default_rng(draw)
                row = {"task": task, "columns": t.dim + y.dim, "estimator": name, "cost": np.nan}
                found = with_response(estimator.estimate(t, y, rng=rng), estimator, t, y, rng)
                continuous.append(row | {"truth": truth} | found.row())
                if squared is not None:
                    first = y.samples[:, 0]
                    label = Variable.of((first > np.median(first)).astype(int))
                    found = with_calibrated_bits(estimator.estimate(t, label, rng=rng), estimator, t, label, rng)
                    labelled.append(row | {"truth": label_bits(squared)} | found.row())
        sys.stderr.write(f"{task}\n")
    one, other = pd.DataFrame(continuous), pd.DataFrame(labelled)
    sys.stdout.write(f"draws {wanted.first} to {draw}, n = {t.n}, {len(tasks)} tasks, continuous\n\n")
    few = one["columns"] <= 8
    for which in (one, one[few], one[~few]):
        sys.stdout.write(which.groupby("estimator", sort=False).apply(raw_scores).round(3).to_string() + "\n\n")
    sys.stdout.write(f"{other['task'].nunique()} tasks with labels\n\n")
    for keys in (["estimator"], ["estimator", "task"]):
        sys.stdout.write(other.groupby(keys, sort=False).apply(scores).round(3).to_string() + "\n\n")
    errors = one.assign(error=one["excess"] - one["truth"]).pivot_table(
        index=["task", "truth"], columns="estimator", values="error", sort=False
    )
    sys.stdout.write(f"mean excess - truth, continuous\n\n{errors.round(2).to_string()}\n")


def raw_scores(cell: pd.DataFrame) -> pd.Series:
    """Summarise excesses and one planted truth each."""
    right, reliable = usable(cell["excess"], cell["truth"]), cell["reliable"].astype(bool)
    return pd.Series(
        {
            "cases": len(cell),
            "rmse": np.sqrt(((cell["excess"] - cell["truth"]) ** 2).mean()),
            "bias": (cell["excess"] - cell["truth"]).mean(),
            "covers": ((cell["low"] <= cell["truth"]) & (cell["truth"] <= cell["high"])).mean(),
            "right": right.mean(),
            "reliable": reliable.mean(),
            "precision": right[reliable].mean(),
            "recall": reliable[right].mean(),
        }
    )


if __name__ == "__main__":
    main()
