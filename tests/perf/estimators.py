"""Time of distances and of estimators, as ratios to a plain matrix product in the same run: `make perf`."""

import time
from dataclasses import replace

import numpy as np
import torch

from bench.estimators import KDE, KSG, Renyi
from bench.information.reductions import COLUMNS_PER_FOLD, Distances
from bench.information.variables import Variable

N, DIM = 2000, 50_000


def seconds(action, repeats: int = 3) -> float:
    """Return the shortest of several times, after one call to warm up."""
    action()
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        action()
        times.append(time.perf_counter() - started)
    return min(times)


def distances(slices: list[np.ndarray]) -> np.ndarray:
    total = None
    for columns in slices:
        total = Distances().fold(total, columns)
    return Distances().finish(total)


def fresh(variable: Variable) -> Variable:
    """Return the variable without cached values that were derived from its distances."""
    kept = {key: array for key, array in variable.reductions.items() if isinstance(key, Distances)}
    return replace(variable, reductions=kept)


def main() -> None:
    rng = np.random.default_rng(0)
    activations = torch.randn(N, DIM, generator=torch.Generator().manual_seed(0))
    slices = [np.ascontiguousarray(part.numpy()) for part in activations.split(COLUMNS_PER_FOLD, dim=1)]
    product = seconds(lambda: activations @ activations.T)
    streamed = seconds(lambda: distances(slices))
    print(f"N = {N}, d = {DIM}: float32 product {product:.2f} s, distances {streamed:.2f} s", end="")
    print(f", ratio {streamed / product:.2f} (wanted < 1.5)")

    t = Variable(N, DIM, np.arange(N), {Distances(): distances(slices)})
    labels = Variable.of(rng.integers(0, 8, N))
    x = Variable(N, 100, np.arange(N), {Distances(): distances([rng.normal(size=(N, 100))])})
    print("  one evaluation, wanted below 0.1 of the distances for KDE, Rényi(2) and KSG")
    rows = np.random.default_rng(2).permutation(N)
    batch = np.random.default_rng(1)
    for name, estimator in {
        "KDE": KDE(),
        "Rényi(2)": Renyi(alpha=2, width="median"),
        "KSG": KSG(),
        "Rényi(1.01), batches of 100": Renyi(width="median", batch_size=100),
    }.items():
        for about, target, own in (("X", x, rows), ("label", labels, labels.labels)):
            once = seconds(lambda e=estimator, y=target: e.statistic(fresh(t), fresh(y), None).observed())
            here = estimator.statistic(t, target, None).at(rows)
            moved = own[batch.permutation(N)]
            null = seconds(lambda here=here, moved=moved: here.bits(moved))
            line = f"  {name}, {about}: from distances {once:.3f} s, {once / streamed:.3f} of their time"
            print(f"{line}; one null {null:.3f} s" if estimator.pairs(target) else line)
    one, other = (np.exp(-side.read(Distances()) / side.read(Distances()).mean()) for side in (t, x))
    print(f"  one elementwise product of two N×N matrices {seconds(lambda: one * other):.3f} s")


if __name__ == "__main__":
    main()
