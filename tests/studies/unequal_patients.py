"""False alarms of the null where patients have different numbers of images: shares of draws that are significant.

    python tests/studies/unequal_patients.py [DATA/cardiac]

Nothing is known about the target here. `one donor` moves labels as a run does (`donor_rows`). `concatenated` uses each
row once (`permuted_groups`). The variables are normal, with 24 patients of 5 to 28 images. With a folder of cardiac
MRI, random labels of its 44 patients are also tried on a layer of the network of `power_patients.py`.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import numpy as np
from power import ESTIMATORS, PERMUTATIONS
from power_patients import activations

from bench.estimators.base import null_of
from bench.information.permutations import donor_rows, permuted_groups
from bench.information.variables import Variable

NULLS = {"concatenated": permuted_groups, "one donor": donor_rows}
DRAWS = 60


def significant(name: str, t: Variable, y: np.ndarray, null: str, rng: np.random.Generator) -> bool:
    """Estimate, and compare with a null of permuted patients."""
    orders = [np.arange(t.n), *(NULLS[null](t.groups, rng) for _ in range(PERMUTATIONS))]
    target = Variable.of(y, t.groups)
    # each order is a target of its own, since rows may be repeated
    found = [
        ESTIMATORS[name].reordered(t, target.reordered(order), [orders[0]], np.random.default_rng(0))[0]
        for order in orders
    ]
    return found[0] > null_of(found[1:]).quantile


def share(name: str, null: str, draw) -> float:
    """Return the share of draws that are significant."""
    return float(
        np.mean([significant(name, *draw(rng), null, rng) for rng in map(np.random.default_rng, range(DRAWS))])
    )


def normal(varying: float, rng: np.random.Generator) -> tuple[Variable, np.ndarray]:
    """Draw columns, and labels of two classes of which a share is random in each patient."""
    patients = np.repeat(np.arange(24), rng.permutation(np.arange(24) + 5))
    t = rng.normal(size=(24, 8))[patients] + 0.3 * rng.normal(size=(len(patients), 8))
    y = rng.permutation(np.arange(24) % 2)[patients]
    y = np.where(rng.random(len(y)) < varying, rng.integers(0, 2, len(y)), y)
    return Variable.of(t, patients), y


def numbers(rng: np.random.Generator) -> tuple[Variable, np.ndarray]:
    """Draw columns, and two columns of numbers that are similar in each patient."""
    t, _ = normal(0, rng)
    return t, rng.normal(size=(24, 2))[t.groups] + 0.3 * rng.normal(size=(t.n, 2))


def main() -> None:
    """Print the shares of each question, null and estimator."""
    questions = {f"labels, {one:.0%} random": partial(normal, one) for one in (0, 0.2, 0.5)}
    if len(sys.argv) > 1:
        t = activations("cardiac", Path(sys.argv[1]))["bottleneck.conv2"]
        questions["cardiac"] = lambda rng: (t, rng.permutation(np.arange(44) * 4 // 44)[t.groups])
    for question, draw in (questions | {"numbers": numbers}).items():
        for null in NULLS:
            if (question, null) == ("numbers", "one donor"):
                continue  # a run has no such null
            shares = {name: share(name, null, draw) for name in ("ksg_mixture", "gaussian", "renyi_2")}
            sys.stdout.write(f"{question}, {null}: {shares}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
