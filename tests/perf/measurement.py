"""Compare the time and memory of measuring all 23 taps of the published U-Net with its training: `make perf`."""

import resource
import time

import numpy as np
import torch

from bench.datasets import phantoms
from bench.estimators import KDE, Binning, Renyi
from bench.information.tables import Moment
from bench.layers.probe import Probe
from bench.training.train import fit, loss_function
from models import UNet

N = 670


def peak_gb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def main() -> None:
    data = phantoms(size=128, channels=3, n=[N - 65, 33, 32], seed=0)
    torch.manual_seed(0)
    model = UNet(init="glorot")
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    ends = [time.perf_counter()]
    fit(
        model, data, epochs=2, batch_size=16, optimizer=optimizer, schedule=None, loss=loss_function("bce", data),
        amp=False, seed=0, on_epoch=lambda *_: ends.append(time.perf_counter()),
    )  # fmt: skip
    epochs = np.diff(ends)[-2:].sum()  # the first interval is epoch 0, which only validates

    estimators = {"kde": KDE(), "renyi": Renyi(alpha=2, width="median"), "binning": Binning()}
    probe = Probe(model, data, estimators, seed=0, split="all", views=["image"], budget_gb=1.5)
    before, started = peak_gb(), time.perf_counter()
    rows = list(probe.measure(model, Moment(0, "best", 0)))
    seconds = time.perf_counter() - started
    taps = len({row["tap"] for row in rows}) - 1
    estimating = sum(row.get("seconds", 0) for row in rows)
    print(f"{taps} taps, N = {N}, 128×128, KDE + Rényi(2) + binning, 20 nulls")
    print(
        f"  measuring {seconds:.1f} s, including estimation {estimating:.1f} s; two epochs of training {epochs:.1f} s"
    )
    print(f"  ratio {seconds / epochs:.2f} (wanted < 1); extra peak memory {peak_gb() - before:.2f} GB (wanted < 2)")


if __name__ == "__main__":
    main()
