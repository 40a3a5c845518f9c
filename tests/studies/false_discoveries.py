"""How often layers of noise have a small p value: Gaussian columns cubed, which have heavy tails, and shuffled labels.

    python tests/studies/false_discoveries.py [DRAWS]

Every draw has 48 samples in 3 classes and its own 20 permutations.
"""

from __future__ import annotations

import sys

import numpy as np
import pandas as pd

from bench.estimators import KSG, Gaussian, Renyi

N, CLASSES = 48, 3
COLUMNS = (1, 4, 64)
LEVELS = (0.05, 0.01, 0.0025)
ESTIMATORS = {
    "ksg_mixture": KSG("mixture", k=5, subsamples=2),
    "renyi_2": Renyi(alpha=2, width="median", batch_size=None, subsamples=2),
    "gaussian": Gaussian(subsamples=2),
}


def main(draws: int = 400) -> None:
    """Print the shares of draws that are significant, and that have a p value of at most each level."""
    rows = []
    for columns in COLUMNS:
        for name, estimator in ESTIMATORS.items():
            found = []
            for draw in range(draws):
                rng = np.random.default_rng([columns, draw])
                label = rng.permutation(np.arange(N) % CLASSES)
                found.append(estimator.estimate(rng.normal(size=(N, columns)) ** 3, label, rng=rng))
            p_values = np.array([estimate.p_value for estimate in found])
            shares = {f"p <= {level:g}": (p_values <= level).mean() for level in LEVELS}
            significant = np.mean([estimate.significant for estimate in found])
            rows.append({"columns": columns, "estimator": name, "significant": significant} | shares)
    sys.stdout.write(f"{draws} draws\n{pd.DataFrame(rows).round(4).to_string(index=False)}\n")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
