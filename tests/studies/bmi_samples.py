"""Draw samples of the tasks of benchmark-mi, for other studies to read.

    python tests/studies/bmi_samples.py OUTPUT.npz [--n 500] [--draws 5] [--first 0]

benchmark-mi 0.1.3 needs NumPy 1, pandas 1 and pydantic 1, so that it runs in an environment of its own:

    python -m venv bmi && bmi/bin/pip install benchmark-mi jax==0.4.28 jaxlib==0.4.28 'scipy<1.13'

For each of the 40 tasks of Czyż et al. 2023 (arXiv 2306.11078), the file has `NAME/bits`, its information, and for each
draw the arrays `NAME/DRAW/t` and `NAME/DRAW/y`, (n, columns) float32.
"""

import argparse

import numpy as np


def main() -> None:
    """Draw the samples and write the file."""
    import bmi  # here, because pytest imports this file where the package is absent

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output")
    parser.add_argument("--n", type=int, default=500, help="samples of a draw")
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="seed of the first draw")
    wanted = parser.parse_args()
    arrays = {}
    for name, task in bmi.benchmark.BENCHMARK_TASKS.items():
        arrays[f"{name}/bits"] = np.array(task.mutual_information / np.log(2))
        for draw in range(wanted.first, wanted.first + wanted.draws):
            t, y = task.sample(wanted.n, draw)
            arrays[f"{name}/{draw}/t"], arrays[f"{name}/{draw}/y"] = (np.asarray(side, np.float32) for side in (t, y))
    np.savez_compressed(wanted.output, **arrays)


if __name__ == "__main__":
    main()
