"""False alarms of the null where patients have different numbers of images: shares of draws that are significant.

    python tests/studies/unequal_patients.py labels [DATA/cardiac]
    python tests/studies/unequal_patients.py numbers [DATA/cardiac]
    python tests/studies/unequal_patients.py given

Nothing is known about the target here. The variables are normal, with 24 patients of 5 to 28 images. With a folder of
cardiac MRI, random labels of its 44 patients are also tried on a layer of the network of `power_patients.py`, and
numbers on normal variables with as many images of each patient as there.

The null `now` is that of a run: a patient has the labels of one donor (`donor_rows`), or its rows are paired with those
of one donor (`permuted_groups`). The null `concatenated` uses each row once, so that a patient has several donors. The
question `given` has a third variable, and the null of a run alone (`permuted_given`).
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from functools import partial
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
from power import ESTIMATORS, PERMUTATIONS
from power_patients import activations

from bench.estimators.base import null_of
from bench.information.permutations import donor_rows, permuted_groups
from bench.information.variables import Variable

Draw = Callable[[np.random.Generator], tuple[Variable, np.ndarray]]
SIZES, EQUAL = np.arange(24) + 5, np.full(24, 16)
DRAWS = 60


def concatenated(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw an order of all rows, in which the groups follow each other at random."""
    names, group = np.unique(groups, return_inverse=True)
    order = np.empty(len(groups), dtype=np.int64)
    order[np.argsort(group, kind="stable")] = np.argsort(rng.permutation(len(names))[group], kind="stable")
    return order


def significant(name: str, t: Variable, y: np.ndarray, null: str, rng: np.random.Generator) -> bool:
    """Estimate, and compare with a null of permuted patients."""
    target = Variable.of(y, t.groups)
    statistic = ESTIMATORS[name].statistic(t, target, None).at(rng.permutation(t.n))
    draw = {"now": permuted_groups if target.labels is None else donor_rows, "concatenated": concatenated}[null]
    orders = [draw(t.groups, rng) for _ in range(PERMUTATIONS)]
    permuted = orders if target.labels is None else [target.labels[order] for order in orders]
    return statistic.observed() > null_of([statistic.permuted(partners) for partners in permuted]).quantile


def share(name: str, null: str, draw: Draw) -> float:
    """Return the share of draws that are significant."""
    return float(
        np.mean([significant(name, *draw(rng), null, rng) for rng in map(np.random.default_rng, range(DRAWS))])
    )


def normal(varying: float, rng: np.random.Generator) -> tuple[Variable, np.ndarray]:
    """Draw columns, and labels of two classes. A share of the labels of each patient is random."""
    patients = np.repeat(np.arange(len(SIZES)), rng.permutation(SIZES))
    y = rng.permutation(np.arange(len(SIZES)) % 2)[patients]
    y = np.where(rng.random(len(y)) < varying, rng.integers(0, 2, len(y)), y)
    return similar(patients, 8, rng), y


def numbers(sizes: np.ndarray, columns: int, shared: float, rng: np.random.Generator) -> tuple[Variable, np.ndarray]:
    """Draw columns, and two columns of numbers whose means over patients are correlated with those of the first two."""
    patients = np.repeat(np.arange(len(sizes)), rng.permutation(sizes))
    t = similar(patients, columns, rng)
    means = np.stack([t.samples[patients == one, :2].mean(axis=0) for one in range(len(sizes))])
    other = shared * means + np.sqrt(1 - shared**2) * rng.normal(size=means.shape)
    return t, other[patients] + 0.3 * rng.normal(size=(t.n, 2))


def similar(patients: np.ndarray, columns: int, rng: np.random.Generator) -> Variable:
    """Draw normal columns that are similar in each patient."""
    means = rng.normal(size=(patients.max() + 1, columns))
    return Variable.of(means[patients] + 0.3 * rng.normal(size=(len(patients), columns)), patients)


def conditional(name: str, discrete: bool, sizes: np.ndarray) -> float:
    """Return the share of draws that are significant, of I(T;Y|C) where T and Y have nothing in common beside C.

    C is a label or a number. Y has two columns, or for `probe` the signs of one.
    """
    found = []
    for rng in map(np.random.default_rng, range(DRAWS)):
        patients = np.repeat(np.arange(len(sizes)), rng.permutation(sizes))
        c = rng.integers(0, 2, len(patients)) if discrete else rng.normal(size=len(patients))
        columns = (c[:, None] + similar(patients, 2, rng).samples for _ in range(2))
        t, y, given = (Variable.of(side, patients) for side in (*columns, c))
        if name == "probe":
            y = Variable.of((y.samples[:, 0] > 0).astype(np.int64), patients)
        found.append(ESTIMATORS[name].estimate(t, y, given=given, rng=rng).significant)
    return float(np.mean(found))


def questions(kind: str, folder: Path | None) -> dict[str, Draw]:
    """Return the draws of the questions by name."""
    if kind == "labels":
        drawn: dict[str, Draw] = {f"labels, {one:.0%} random": partial(normal, one) for one in (0, 0.2, 0.5)}
        if folder:
            t = activations("cardiac", folder)["bottleneck.conv2"]
            drawn["cardiac"] = lambda rng: (t, rng.permutation(np.arange(44) * 4 // 44)[t.groups])
        return drawn
    sizes = {"24 patients": SIZES, "24 patients of equal size": EQUAL}
    if folder:
        sizes["patients of cardiac MRI"] = pd.read_csv(folder / "index.csv")["patient"].value_counts().to_numpy()
    kinds = product(sizes, (8, 2), (0.0, 0.9))
    return {f"{name}, {d} columns, correlation {one}": partial(numbers, sizes[name], d, one) for name, d, one in kinds}


def main() -> None:
    """Print the shares of each question, null and estimator."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kind", choices=["labels", "numbers", "given"])
    parser.add_argument("folder", type=Path, nargs="?")
    asked = parser.parse_args()
    if asked.kind == "given":
        for name, discrete, sizes in product(("renyi_2", "ksg_mixture", "probe"), (False, True), (SIZES, EQUAL)):
            shown = f"{'label' if discrete else 'number'} given, {name}, {sizes.min()} to {sizes.max()} images"
            sys.stdout.write(f"{shown}: {conditional(name, discrete, sizes):.2f}\n")
            sys.stdout.flush()
        return
    for question, draw in questions(asked.kind, asked.folder).items():
        for name in ("gaussian", "renyi_2", "ksg_mixture"):
            for null in ("now", "concatenated"):
                sys.stdout.write(f"{question}, {name}, {null}: {share(name, null, draw):.2f}\n")
                sys.stdout.flush()


if __name__ == "__main__":
    main()
