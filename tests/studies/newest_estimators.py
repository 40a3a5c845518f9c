"""Estimators that compress first, beside the others, on known truth of few and of many columns.

    python tests/studies/newest_estimators.py FILE.csv --n 500 --seeds 0 1 --bits 0 1 2

Each row of the file is one estimate. Rows that the file has are not computed again. `--report` prints the tables of the
file. The samples of `hidden`, `waves` and `copies` have 2 informative columns on each side among many others:

- `waves`: the target's columns are noisy waves of the columns of t, which no line fits, and the rest is as in `hidden`;
- `hidden`: the other columns are independent noise of the same variance, and all columns are rotated;
- `copies`: half of the columns are the informative ones and copies of them, half are noise, and all are rotated. Gowri
  et al. 2024, arXiv 2409.02732, have such columns, without the rotation.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.optimize import brentq
from scipy.special import entr, ndtri
from scipy.stats import norm

from bench.estimators import KSG, Critic, Estimator, Gaussian, Latent, Variates
from bench.information.variables import Variable
from bench.known_truth import AdditiveUniform, Benchmark, Blob, Student, Transformed
from bench.known_truth import Gaussian as GaussianPairs
from bench.known_truth.scores import usable
from bench.known_truth.transformed import random_rotation

COORDINATES = 4  # of the compression by principal coordinates


class Hidden(GaussianPairs):
    """Gaussian pairs among columns of noise or of copies, rotated. I(t; target) does not change."""

    def __init__(self, bits: float, dim: int, columns: int, copies: int = 0):
        super().__init__(bits, dim)
        self.columns, self.copies = columns, copies

    def sample(self, n, rng):
        return tuple(hidden(side, self.columns, self.copies, rng) for side in super().sample(n, rng))


class Waves(Benchmark):
    """Normal columns x and columns √2 sin(3 x) with normal noise, among columns of noise, rotated."""

    def __init__(self, bits: float, dim: int, columns: int):
        super().__init__(bits, dim)
        self.columns = columns
        self.scale = brentq(lambda scale: wave_bits(scale) - bits / dim, 0.05, 100) if bits else np.inf

    def sample(self, n, rng):
        x, noise = rng.normal(size=(2, n, self.dim))
        wave = 2**0.5 * np.sin(3 * x) + self.scale * noise if self.bits else noise
        return tuple(hidden(side, self.columns, 0, rng) for side in (x, wave / wave.std(axis=0)))


def wave_bits(scale: float) -> float:
    """Compute I(x; √2 sin(3 x) + scale e) in bits: the entropy of the sum, by a grid, minus that of the noise."""
    waves = 2**0.5 * np.sin(3 * ndtri((np.arange(2000) + 0.5) / 2000))
    grid = np.linspace(-2 - 6 * scale, 2 + 6 * scale, 2001)
    density = norm.pdf(grid[:, None], waves, scale).mean(axis=1)
    return float((entr(density).sum() * (grid[1] - grid[0]) - norm.entropy(0, scale)) / np.log(2))


def hidden(side: np.ndarray, columns: int, copies: int, rng: np.random.Generator) -> np.ndarray:
    """Add copies of the columns and columns of normal noise, and rotate all of them."""
    n, dim = side.shape
    noise = rng.normal(size=(n, columns - dim - copies))
    return np.hstack([side, side[:, np.arange(copies) % dim], noise]) @ random_rotation(columns, rng)


FAMILIES: dict[str, Callable[[float], Benchmark]] = {
    "gaussian": lambda bits: GaussianPairs(bits, 2),
    "half_cube": lambda bits: Transformed(bits, 2, "half_cube"),
    "student": lambda bits: Student(bits, 2),
    "uniform": lambda bits: AdditiveUniform(bits, 2),
    "blob": lambda bits: Blob(bits, 2),
    "hidden 10": partial(Hidden, dim=2, columns=10),
    "hidden 20": partial(Hidden, dim=2, columns=20),
    "hidden 100": partial(Hidden, dim=2, columns=100),
    "hidden 1000": partial(Hidden, dim=2, columns=1000),
    "copies 100": partial(Hidden, dim=2, columns=100, copies=48),
    "copies 1000": partial(Hidden, dim=2, columns=1000, copies=498),
    "waves 6": partial(Waves, dim=2, columns=6),
    "waves 10": partial(Waves, dim=2, columns=10),
}
NEIGHBOURS = {"permutations": 5, "subsamples": 2}
ESTIMATORS: dict[str, Estimator] = {
    "ksg": KSG(**NEIGHBOURS),
    "ksg_mixture": KSG("mixture", k=5, **NEIGHBOURS),
    "ksg_mixture, compressed": KSG("mixture", k=5, **NEIGHBOURS),
    "gaussian": Gaussian(**NEIGHBOURS),
    "latent": Latent(**NEIGHBOURS),
    "infonce": Critic("infonce", permutations=2),
    "variates": Variates(**NEIGHBOURS),
}


def compressed(side: Variable) -> Variable:
    """Return the leading principal coordinates of a variable."""
    return Variable.of(side.coordinates(COORDINATES), side.groups)


def measure(path: Path, families, estimators, n: int, seeds, bits) -> None:
    """Estimate each family, truth and seed that the file lacks."""
    done = (
        set()
        if not path.exists()
        else set(pd.read_csv(path)[["family", "truth", "n", "seed", "estimator"]].itertuples(index=False, name=None))
    )
    for seed in seeds:
        for family in families:
            for truth in bits:
                try:
                    benchmark = FAMILIES[family](truth)
                except ValueError:  # no such distribution
                    continue
                t, target = benchmark.sample(n, np.random.default_rng([*family.encode(), round(truth * 1000), n, seed]))
                for name in estimators:
                    key = {"family": family, "truth": truth, "n": n, "seed": seed, "estimator": name}
                    if tuple(key.values()) in done:
                        continue
                    sides = Variable.of(t), Variable.of(target)
                    started = time.process_time()
                    if name.endswith("compressed"):
                        sides = compressed(sides[0]), compressed(sides[1])
                    found = ESTIMATORS[name].estimate(*sides, rng=np.random.default_rng(seed))
                    row = key | {"bits": found.bits, "excess": found.excess, "seconds": time.process_time() - started}
                    pd.DataFrame([row]).to_csv(path, mode="a", header=not path.exists(), index=False)


def report(path: Path) -> str:
    """Tabulate the share of usable excesses, the RMSE and the seconds of the processor, by n, family and estimator."""
    rows = pd.read_csv(path)
    right = [bool(usable(rows["excess"].iloc[[at]], truth).iloc[0]) for at, truth in enumerate(rows["truth"])]
    rows = rows.assign(usable=right, squared=(rows["excess"] - rows["truth"]) ** 2)
    tables = []
    for n, here in rows.groupby("n"):
        cells = here.groupby(["family", "estimator"], sort=False)
        table = (
            cells["usable"].mean().map("{:.2f}".format)
            + " ("
            + cells["squared"].mean().pow(0.5).map("{:.2f}".format)
            + ")"
        )
        summary = here.groupby("estimator", sort=False)
        means = pd.DataFrame(
            {
                "usable": summary["usable"].mean(),
                "rmse": summary["squared"].mean() ** 0.5,
                "seconds": summary["seconds"].mean(),
                "estimates": summary.size(),
            }
        )
        tables += [f"n = {n}: usable (RMSE in bits)", table.unstack().to_string(), means.round(2).to_string()]
    return "\n\n".join(tables)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--n", type=int, default=500)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--bits", type=float, nargs="+", default=[0, 1, 2])
    parser.add_argument("--families", nargs="+", choices=FAMILIES, default=[*FAMILIES])
    parser.add_argument("--estimators", nargs="+", choices=ESTIMATORS, default=[*ESTIMATORS])
    parser.add_argument("--report", action="store_true")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    if not asked.report:
        measure(asked.file, asked.families, asked.estimators, asked.n, asked.seeds, asked.bits)
    sys.stdout.write(report(asked.file) + "\n")


if __name__ == "__main__":
    main()
