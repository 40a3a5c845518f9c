"""How many samples show planted information: shares of draws that are significant, and within a factor of 2.

    python tests/studies/power.py image DATA/mednist/mednist.npz OUT.csv
    python tests/studies/power.py pixel DATA/nuclei OUT.csv

Activations are of a network that the script trains: for images a CNN on MedNIST, and for pixels a U-Net on nuclei. A
label of 4 equal classes (2 bits) is planted along a random direction of a layer. The row `oracle` of the tables knows
this direction: it is `ksg_mixture` on the projection alone, so that it shows what the noise of the label costs.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from bench import datasets
from bench.estimators import KSG, Estimator, Gaussian, Renyi, Variates, VInformation
from bench.estimators.base import null_of
from bench.information.reductions import Distances
from bench.information.variables import Variable
from bench.known_truth.planted import COORDINATES, Channel
from bench.layers.probe import Probe
from bench.training.train import fit, loss_function
from models import CNN, UNet

DOSES = (0.0, 0.1, 0.25, 0.5, 1.0)  # bits
SIZES = (64, 128, 256, 500, 1000, 2000, 5000)
CLASSES = 4
PERMUTATIONS = 20
ENOUGH = 0.8  # share of draws
LAYERS = {"image": ("conv1", "conv3", "fc1"), "pixel": ("enc1.conv2", "enc3.conv2", "bottleneck.conv2")}
ESTIMATORS: dict[str, Estimator] = {
    "ksg_mixture": KSG("mixture", k=5),
    "probe": VInformation(),
    "renyi_2": Renyi(alpha=2, width="median", batch_size=None),
    "gaussian": Gaussian(),
}
FURTHER: dict[str, Estimator] = {"variates": Variates()}  # measured in the image view alone


def activations(view: str, source: Path, seed: int) -> dict[str, Variable]:
    """Train a network and return the Variable of each layer, for the most samples of the study."""
    if view == "image":
        data = datasets.medmnist(file=str(source))
        network, epochs = cnn(), 1
    else:
        data = datasets.image_folder(root=str(source), size=64, channels=3)
        torch.manual_seed(seed)
        network, epochs = UNet(3, 1, [8, 16, 32, 64, 128], norm="batch"), 4
    adam = torch.optim.Adam(network.parameters(), 1e-3)
    loss = loss_function("auto", data)
    settings = {"epochs": epochs, "batch_size": 16, "optimizer": adam, "schedule": None, "loss": loss, "amp": "off"}
    fit(network, data, **settings, seed=seed, on_epoch=lambda *_: None)
    most = {"n": max(SIZES)} if view == "image" else {"pixels": 9 * sum(map(len, data.splits.values()))}
    probe = Probe(network, data, ESTIMATORS, seed=seed, split="all", taps=LAYERS[view], views=[view], **most)
    return {captured.tap.name: captured.present for captured in probe.captured(network, view)}


def cnn(seed: int = 0) -> CNN:
    """Build the CNN of the suite for MedNIST, with the weights of a seed."""
    torch.manual_seed(seed)
    settings = {"kernel_size": 3, "padding": "same", "global_pool": "avg", "norm": "batch", "hidden": [64]}
    return CNN(1, 6, [16, 32, 64], input_size=[64, 64], **settings)


def subset(whole: Variable, n: int, rng: np.random.Generator) -> Variable:
    """Draw n samples. In the pixel view there are locations of as many images as possible."""
    if whole.samples is None:
        rows = rng.permutation(whole.n)[:n]
        return Variable(n, whole.dim, np.arange(n), {Distances(): whole.read(Distances())[np.ix_(rows, rows)]})
    turn = pd.Series(rng.random(whole.n)).groupby(whole.groups).rank().to_numpy()
    rows = np.lexsort((rng.random(whole.n), turn))[:n]
    return Variable(n, whole.dim, whole.groups[rows], samples=whole.samples[rows])


def estimates(t: Variable, draws: int, names: Sequence[str], rng: np.random.Generator) -> Iterator[dict]:
    """Plant every dose `draws` times along directions of their own; yield the answer of each estimator."""
    label = Variable.of(np.arange(t.n) * CLASSES // t.n)
    columns = t.coordinates(COORDINATES)
    nulls, planted = [rng.permutation(t.n) for _ in range(PERMUTATIONS)], []
    for dose in DOSES:
        for _ in range(draws):
            across = columns @ rng.normal(size=columns.shape[1])
            order, bits = Channel.of(across, label.labels, label, rng).order(dose, rng)
            planted.append((dose, bits, across, order))
    orders = nulls + [order for *_, order in planted]
    for name in names:
        started = time.perf_counter()
        found = (ESTIMATORS | FURTHER)[name].reordered(t, label, orders, np.random.default_rng(rng.integers(2**63)))
        seconds = (time.perf_counter() - started) / len(orders)
        for (dose, bits, *_), value in zip(planted, found[PERMUTATIONS:], strict=True):
            yield answer(name, dose, bits, value, found[:PERMUTATIONS]) | {"seconds": seconds}
    oracle = ESTIMATORS["ksg_mixture"]
    for dose, bits, across, order in planted:
        found = oracle.reordered(Variable.of(across[:, None]), label, [*nulls, order], rng)
        yield answer("oracle", dose, bits, found[-1], found[:-1])


def answer(name: str, dose: float, bits: float, found: float, draws: np.ndarray) -> dict:
    """Return the row of an estimate: its excess, whether it is significant, and whether it is within a factor of 2."""
    null = null_of(draws)
    excess = found - null.mean
    right = bits / 2 <= excess <= 2 * bits if dose else abs(excess) <= 0.1
    return {
        "estimator": name, "dose": dose, "bits": bits, "excess": excess, "significant": found > null.quantile,
        "p_value": null.p_value(found), "right": right,
    }  # fmt: skip


def needed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the least n from which on every n of the study has enough draws that are seen, and that are also right."""
    rows = []
    for keys, cell in frame[frame["dose"] > 0].groupby(["view", "dim", "estimator", "dose"], sort=False):
        by_size = cell.groupby("n")[["significant", "right"]].mean() >= ENOUGH
        both = by_size.assign(right=by_size.all(axis=1)).iloc[::-1].cummin()
        first = {column: both.index[both[column]].min() for column in both}
        rows.append(dict(zip(["view", "dim", "estimator", "dose"], keys, strict=True)) | first)
    table = pd.DataFrame(rows)
    return table.pivot_table(
        index=["view", "dim", "estimator"], columns="dose", values=["significant", "right"], sort=False
    )


def kept(file: Path | None, make: Callable[[], dict[str, Variable]]) -> dict[str, Variable]:
    """Return the activations that an earlier call of this script kept in a file, or make and keep them."""
    if file and file.exists():
        return pickle.loads(file.read_bytes())
    layers = make()
    if file:
        file.write_bytes(pickle.dumps(layers))
    return layers


def main() -> None:
    """Measure one view, append the rows to a csv file as they come, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("view", choices=LAYERS)
    parser.add_argument("source", type=Path, help="mednist.npz, or the folder of nuclei")
    parser.add_argument("out", type=Path, help="csv file of all draws")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of samples and directions")
    parser.add_argument("--draws", type=int, default=5, help="directions of each seed")
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES)
    parser.add_argument("--estimators", nargs="+", choices=[*ESTIMATORS, *FURTHER], default=list(ESTIMATORS))
    parser.add_argument("--keep", type=Path, help="a file in which the activations are kept for another call")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    layers = kept(asked.keep, lambda: activations(asked.view, asked.source, seed=0))
    rows: list[dict] = []
    for n in asked.sizes:
        for layer in LAYERS[asked.view]:
            for seed in asked.seeds:
                if n > layers[layer].n:
                    continue
                rng = np.random.default_rng([seed, n, *layer.encode()])
                t = subset(layers[layer], n, rng)
                here = {"view": asked.view, "layer": layer, "dim": t.dim, "n": n, "seed": seed}
                rows += [here | row for row in estimates(t, asked.draws, asked.estimators, rng)]
                pd.DataFrame(rows).to_csv(asked.out, index=False)
    frame = pd.DataFrame(rows)
    shares = frame.groupby(["dim", "estimator", "dose", "n"], sort=False)[["significant", "right"]].mean()
    sys.stdout.write(f"{shares.unstack('n').round(2).to_string()}\n\n{needed(frame).to_string()}\n")


if __name__ == "__main__":
    main()
