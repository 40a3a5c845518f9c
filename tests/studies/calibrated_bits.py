"""Calibrated bits against truth that is not planted: families of known truth, and images with noisy classes.

    python tests/studies/calibrated_bits.py MNIST_FOLDER [DRAWS [FIRST [N [FAMILY]]]]

MNIST_FOLDER has the files `t10k-images-idx3-ubyte.gz` and `t10k-labels-idx1-ubyte.gz`. The targets are labels. The
classes of images are sent through a symmetric channel, as in Lee & Rhee 2024, arXiv 2410.10924: with k classes of equal
size, I = log2 k - H(flip) - flip log2(k - 1), because an image shows its class. Only families
whose name contains FAMILY are drawn.
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
from scipy.stats import chi2
from sklearn.neural_network import MLPClassifier

from bench.datasets.mnist import read_idx
from bench.estimators import KSG, VInformation
from bench.information.variables import Variable
from bench.known_truth import Discretised, with_calibrated_bits
from bench.known_truth.mixture import binary_entropy
from bench.known_truth.transformed import spiral

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def questions(folder: Path, n: int) -> Iterator[tuple[str, float, Draw]]:
    """Yield the family, the truth in bits and a function that draws n pairs."""
    for bits in (0.0, 0.25, 0.5, 1.0):
        for dim in (2, 8, 32):
            yield f"discretised d={dim}", bits, partial(Discretised(bits, dim).sample, n)
        yield "discretised, spiral d=2", bits, partial(_spiral, Discretised(bits, 2), n)
    images = read_idx(folder / "t10k-images-idx3-ubyte.gz", 3)
    digits = read_idx(folder / "t10k-labels-idx1-ubyte.gz", 1).astype(int)
    pixels = images.reshape(len(images), -1) / 255.0
    for bits in (0.0, 0.1, 0.25, 0.5, 0.9):
        for dim in (16, 784):
            yield f"images 0 or 1 d={dim}", bits, partial(_noisy_classes, pixels, digits, 2, bits, dim, n)
        yield "images odd or even d=784", bits, partial(_noisy_classes, pixels, digits % 2, 2, bits, 784, n)
        yield "images below 5 d=784", bits, partial(_noisy_classes, pixels, digits // 5, 2, bits, 784, n)
        yield "images of 4 digits d=784", 2 * bits, partial(_noisy_classes, pixels, digits, 4, 2 * bits, 784, n)
        yield "images of 10 digits d=784", 3 * bits, partial(_noisy_classes, pixels, digits, 10, 3 * bits, 784, n)

    half = len(pixels) // 2
    features, known = learned_features(pixels, digits, half), digits[half:]
    for bits in (0.0, 0.1, 0.25, 0.5, 0.9):
        yield "features 0 or 1 d=64", bits, partial(_noisy_classes, features, known, 2, bits, 64, n)
        yield "features odd or even d=64", bits, partial(_noisy_classes, features, known % 2, 2, bits, 64, n)
        yield "features of 10 digits d=64", 3 * bits, partial(_noisy_classes, features, known, 10, 3 * bits, 64, n)

    for bits in (0.0, 0.1, 0.3):
        yield "images 0 or 1, one in ten d=784", bits, partial(_rare_class, pixels, digits, bits, n)
        for dim in (2, 8):
            yield f"shells d={dim}", 3 * bits, partial(_shells, 3 * bits, dim, n)


def learned_features(pixels: np.ndarray, digits: np.ndarray, half: int) -> np.ndarray:
    """Train a network of one hidden layer on the first half; return its 64 hidden units for the other images."""
    network = MLPClassifier(hidden_layer_sizes=(64,), early_stopping=True, random_state=0)
    network.fit(pixels[:half], digits[:half])
    sys.stdout.write(f"accuracy on the other half: {network.score(pixels[half:], digits[half:]):.3f}\n")
    return np.maximum(0, pixels[half:] @ network.coefs_[0] + network.intercepts_[0])


def _rare_class(pixels, digits, bits, n, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of 0 and, one in ten, of 1, and their classes through a binary symmetric channel."""
    counts = (n - n // 10, n // 10)
    rows = [rng.choice(np.flatnonzero(digits == c), count, replace=False) for c, count in enumerate(counts)]
    here = rng.permutation(np.concatenate(rows))
    flip = brentq(lambda q: binary_entropy(0.1 + 0.8 * q) - binary_entropy(q) - bits, 0, 0.5)
    return pixels[here], (digits[here] + (rng.random(n) < flip)) % 2


def _shells(bits, dim, n, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw normal samples, and whether they are in the inner half, through a binary symmetric channel."""
    t = rng.normal(size=(n, dim))
    inner = (t**2).sum(axis=1) < chi2.ppf(0.5, dim)
    flip = brentq(lambda q: channel_bits(q, 2) - bits, 0, 0.5)
    return t, (inner ^ (rng.random(n) < flip)).astype(int)


def _spiral(benchmark: Discretised, n: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw pairs with t rotated by an angle that grows with its norm."""
    t, label = benchmark.sample(n, rng)
    return spiral(t), label


def _noisy_classes(pixels, classes, count, bits, dim, n, rng) -> tuple[np.ndarray, np.ndarray]:
    """Draw images of classes of equal size, and their classes through a symmetric channel."""
    rows = [rng.choice(np.flatnonzero(classes == c), n // count, replace=False) for c in range(count)]
    here = rng.permutation(np.concatenate(rows))
    flip = brentq(lambda q: channel_bits(q, count) - bits, 0, (count - 1) / count)
    flipped = (classes[here] + rng.integers(1, count, len(here))) % count
    label = np.where(rng.random(len(here)) < flip, flipped, classes[here])
    t = pixels[here]
    return (t if dim == pixels.shape[1] else Variable.of(t).coordinates(dim)), label


def channel_bits(flip: float, count: int) -> float:
    """Compute the information through a symmetric channel that changes one of `count` classes with probability flip."""
    return np.log2(count) - binary_entropy(flip) - flip * np.log2(max(count - 1, 1))


def main(folder: Path, draws: int = 2, first: int = 0, n: int = 400, part: str = "") -> None:
    """Print the scores of the raw excess and of the calibrated bits, by estimator and by family."""
    estimators = {"ksg_mixture": KSG("mixture", k=5), "probe": VInformation()}
    rows = []
    for family, truth, draw in questions(folder, n):
        if part not in family:
            continue
        for repeat in range(first, first + draws):
            for name, estimator in estimators.items():
                rng = np.random.default_rng([*family.encode(), round(truth * 1000), repeat, n])
                t, target = (Variable.of(side) for side in draw(rng))
                found = estimator.estimate(t, target, rng=rng)
                started = time.perf_counter()
                found = with_calibrated_bits(found, estimator, t, target, rng)
                cost = 1 + (time.perf_counter() - started) / found.seconds
                row = {"family": family, "truth": truth, "estimator": name, "repeat": repeat, "cost": cost}
                rows.append(row | found.row())
    frame = pd.DataFrame(rows)
    sys.stdout.write(f"{draws} draws from {first}, n = {n}\n\n{report(frame)}\n")


def usable(bits: pd.Series, truth: pd.Series) -> pd.Series:
    """Return whether bits are within a factor of 2 or 0.1 bits of the truth."""
    return ((bits >= truth / 2) & (bits <= truth * 2)) | ((bits - truth).abs() <= 0.1)


def scores(cell: pd.DataFrame) -> pd.Series:
    """Summarise estimates of known truth. Bits that are not identifiable count as not usable."""
    known = cell[cell["calibrated"].notna()]
    right, reliable = usable(cell["calibrated"], cell["truth"]), cell["reliable"].astype(bool)
    zero = cell[cell["truth"] == 0]
    inside = (cell["calibrated_low"] <= cell["truth"] + 1e-9) & (cell["truth"] <= cell["calibrated_high"] + 1e-9)
    return pd.Series(
        {
            "cases": len(cell),
            "identified": len(known) / len(cell),
            "rmse raw": np.sqrt(((known["excess"] - known["truth"]) ** 2).mean()),
            "rmse": np.sqrt(((known["calibrated"] - known["truth"]) ** 2).mean()),
            "bias raw": (known["excess"] - known["truth"]).mean(),
            "bias": (known["calibrated"] - known["truth"]).mean(),
            "coverage": inside.mean(),
            "usable raw": usable(cell["excess"], cell["truth"]).mean(),
            "usable": right.mean(),
            "precision": right[reliable].mean(),
            "recall": reliable[right].mean(),
            "false positives": (zero["calibrated_low"] > 0).mean(),
            "cost": cell["cost"].median(),
        }
    )


def report(frame: pd.DataFrame) -> str:
    """Tabulate the scores by estimator, and by family."""
    tables = [frame.groupby(keys, sort=False).apply(scores) for keys in (["estimator"], ["estimator", "family"])]
    return "\n\n".join(table.round(3).to_string() for table in tables)


if __name__ == "__main__":
    main(Path(sys.argv[1]), *map(int, sys.argv[2:5]), *sys.argv[5:])
