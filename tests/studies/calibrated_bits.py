"""Calibrated bits against truth that is not planted: families of known truth, and images with noisy classes.

    python tests/studies/calibrated_bits.py MNIST_FOLDER [DRAWS]

MNIST_FOLDER has the files `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import brentq
from scipy.special import entr

from bench.datasets.mnist import read_idx
from bench.errors import EstimationError
from bench.estimators import KSG, VInformation
from bench.information.variables import Variable
from bench.known_truth import Discretised, Gaussian, Mixture, Student
from bench.known_truth.curve import Curves
from bench.known_truth.dose_response import dose_response
from bench.known_truth.transformed import spiral

N = 400
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]
R, P, M, K = "random direction", "principal component", "class means", "neighbours"
VARIANTS = {
    "steps R P M": [f"{form}, steps" for form in (R, P, M)],
    "smooth R P M": [f"{form}, smooth" for form in (R, P, M)],
    "both R P M": [f"{form}, {shape}" for form in (R, P, M) for shape in ("steps", "smooth")],
    "both M": [f"{form}, {shape}" for form in (M,) for shape in ("steps", "smooth")],
    "both M K": [f"{form}, {shape}" for form in (M, K) for shape in ("steps", "smooth")],
}


def crossover(bits: float) -> float:
    """Return the β of a binary symmetric channel with 1 - H(β) bits."""
    return brentq(lambda beta: 1 - (entr(beta) + entr(1 - beta)) / np.log(2) - bits, 0, 0.5)


def questions(folder: Path) -> Iterator[tuple[str, float, Draw]]:
    """Yield the family, the truth in bits and a function that draws pairs."""
    for bits in (0.0, 0.25, 0.5, 1.0):
        for dim in (2, 8, 32):
            yield f"discretised d={dim}", bits, partial(Discretised(bits, dim).sample, N)
        yield "discretised, spiral d=2", bits, partial(spiralled, Discretised(bits, 2))
        for name, family in (("gaussian", Gaussian), ("mixture", Mixture)):
            for dim in (1, 4):
                yield f"{name} d={dim}", bits, partial(family(bits, dim).sample, N)
        if bits:
            yield "student d=2", bits, partial(Student(bits, 2, freedom=3).sample, N)
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    digits = read_idx(folder / "t10k-labels-idx1-ubyte.gz", 1).astype(int)
    pixels = images.reshape(len(images), -1) / 255.0
    for bits in (0.0, 0.1, 0.25, 0.5, 0.9):
        flip = crossover(bits)
        for name, classes in (("0 or 1", digits), ("odd or even", digits % 2), ("below 5", (digits >= 5).astype(int))):
            for dim in (16, 784):
                yield f"images {name} d={dim}", bits, partial(noisy_class, pixels, classes, flip, dim)
        yield "pairs of images 0 or 1 d=8", bits, partial(noisy_pairs, pixels, digits, flip)


def spiralled(benchmark: Discretised, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs with t rotated by an angle that grows with its norm."""
    t, label = benchmark.sample(N, rng)
    return spiral(t), label


def noisy_class(pixels, classes, flip, dim, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of two classes of equal size, and their classes through a binary symmetric channel."""
    rows = np.concatenate([rng.choice(np.flatnonzero(classes == c), N // 2, replace=False) for c in (0, 1)])
    rows = rng.permutation(rows)
    label = classes[rows] ^ (rng.random(N) < flip)
    return leading(pixels[rows], dim), label.astype(int)


def noisy_pairs(pixels, digits, flip, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs of images of digits 0 and 1, of the same class but for a binary symmetric channel."""
    of_class = [rng.permutation(np.flatnonzero(digits == c)) for c in (0, 1)]
    first = rng.permutation(np.repeat([0, 1], N // 2))
    second = first ^ (rng.random(N) < flip)
    both = []
    for side, start in ((first, 0), (second, 490)):
        rows = np.empty(N, dtype=int)
        for c in (0, 1):
            here = np.flatnonzero(side == c)
            rows[here] = of_class[c][start : start + len(here)]
        both.append(leading(pixels[rows], 8))
    return both[0], both[1]


def leading(columns: np.ndarray, dim: int) -> np.ndarray:
    """Return the leading principal coordinates, or all columns."""
    return columns if dim >= columns.shape[1] else Variable.of(columns).coordinates(dim)


def main(folder: Path, draws: int, first: int = 0) -> None:
    """Print the scores of the raw excess and of the calibrated bits, by estimator and variant."""
    estimators = {"ksg_mixture": KSG("mixture", k=5), "probe": VInformation()}
    rows = []
    for family, bits, draw in questions(folder):
        for repeat in range(first, first + draws):
            for name, estimator in estimators.items():
                seed = np.random.SeedSequence([*family.encode(), round(bits * 1000), repeat])
                rng = np.random.default_rng(seed)
                t, target = (Variable.of(side) for side in draw(rng))
                try:
                    found = estimator.estimate(t, target, rng=rng)
                except EstimationError:
                    continue
                started = time.perf_counter()
                curves = dose_response(estimator, t, target, rng)
                cost = 1 + (time.perf_counter() - started) / found.seconds
                error = max((found.interval[1] - found.interval[0]) / 3.92, found.null.spread)
                row = {"family": family, "truth": bits, "estimator": name, "excess": found.excess, "cost": cost}
                row |= {"error": error, "significant": found.significant}
                row |= {"forms": curves.forms, "doses": curves.doses.tolist(), "curves": curves.responses.tolist()}
                rows.append(row | {"weights": curves.weights.tolist(), "bound": curves.bound, "repeat": repeat})
    frame = pd.DataFrame(rows)
    frame.to_pickle(f"curves{first}.pkl")


def usable(bits: pd.Series, truth: pd.Series) -> pd.Series:
    """Return whether bits are within a factor of 2 or 0.1 bits of the truth."""
    return ((bits >= truth / 2) & (bits <= truth * 2)) | ((bits - truth).abs() <= 0.1)


def scores(cell: pd.DataFrame) -> pd.Series:
    """Summarise estimates with known truth."""
    known = cell[cell["bits"].notna()]
    right, zero = usable(cell["bits"], cell["truth"]), cell[cell["truth"] == 0]
    reliable = cell["reliable"].astype(bool)
    error = known["bits"] - known["truth"]
    raw = known["excess"] - known["truth"]
    return pd.Series(
        {
            "cases": len(cell),
            "identified": len(known) / len(cell),
            "raw rmse": np.sqrt((raw**2).mean()),
            "rmse": np.sqrt((error**2).mean()),
            "coverage": ((cell["low"] <= cell["truth"] + 1e-9) & (cell["truth"] <= cell["high"] + 1e-9)).mean(),
            "raw usable": usable(cell["excess"], cell["truth"]).mean(),
            "usable": right.mean(),
            "precision": right[reliable].mean(),
            "recall": reliable[right].mean(),
            "false positives": (zero["low"] > 0).mean(),
            "cost": cell["cost"].mean(),
        }
    )


def report(frame: pd.DataFrame) -> str:
    """Tabulate the scores by estimator, and by family."""
    whole = frame.groupby(["estimator", "variant"], sort=False).apply(scores)
    families = frame.groupby(["variant", "estimator", "family"], sort=False).apply(scores)
    return f"{whole.round(3).to_string()}\n\n{families.round(3).to_string()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:]))
