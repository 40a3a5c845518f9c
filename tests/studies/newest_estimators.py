"""Estimators that compress first, beside the others, on known truth of few and of many columns.

    python tests/studies/newest_estimators.py FILE.csv --n 500 --seeds 0 1 --bits 0 1 2

Each row of the file is one estimate. Rows that the file has are not computed again. `--report` prints the tables of the
file. The samples of `hidden` and `copies` have 2 informative columns on each side among many others:

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

from bench.estimators import KSG, Critic, Estimator, Gaussian, Latent, Variates
from bench.information.variables import Variable
from bench.known_truth import AdditiveUniform, Benchmark, Blob, Student, Transformed
from bench.known_truth import Gaussian as GaussianPairs
from bench.known_truth.scores import usable
from bench.known_truth.transformed import random_rotation

COORDINATES = 4  # of the compression by principal coordinates
Sampler = Callable[[int, np.random.Generator], tuple[np.ndarray, np.ndarray]]


class Hidden(GaussianPairs):
    """Gaussian pairs among columns of noise or of copies, rotated. I(t; target) does not change."""

    def __init__(self, bits: float, dim: int, columns: int, copies: int = 0):
        super().__init__(bits, dim)
        self.columns, self.copies = columns, copies

    def sample(self, n, rng):
        return tuple(self._hidden(side, rng) for side in super().sample(n, rng))

    def _hidden(self, side: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        copied = side[:, np.arange(self.copies) % self.dim]
        noise = rng.normal(size=(len(side), self.columns - self.dim - self.copies))
        return np.hstack([side, copied, noise]) @ random_rotation(self.columns, rng)


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
