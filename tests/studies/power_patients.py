"""How many patients show information about a label of the patient: shares of draws that are significant.

    python tests/studies/power_patients.py cardiac DATA/cardiac OUT.csv
    python tests/studies/power_patients.py similar DATA/mednist/mednist.npz OUT.csv

`cardiac` has 44 patients, and the script trains a U-Net on them. `similar` has 1,000 groups of similar images, as
if each group were a patient: a random image of MedNIST, and the images nearest to it that no group has. Its network is
the CNN of `power.py`. The label has 4 equal classes, and is the same for all images of a patient. It is planted along a
random direction of the mean activations of patients, so that it has the planted bits about these means. Permutations
keep patients together. The row `oracle` knows the direction, and reads one number of each patient.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from power import CLASSES, DOSES, ENOUGH, ESTIMATORS, PERMUTATIONS, answer, cnn, kept

from bench import datasets
from bench.information.permutations import permuted_groups
from bench.information.reductions import MOST_IN_MATRIX, Distances
from bench.information.variables import Variable
from bench.known_truth.planted import COORDINATES, Channel
from bench.layers.probe import Probe
from bench.training.train import fit, loss_function
from models import UNet

LAYERS = {"cardiac": ("bottleneck.conv2", "dec1.conv2"), "similar": ("fc1", "conv3", "conv1")}
MEMBERS = {"cardiac": 12, "similar": 5}  # images of each patient; 12 are the fewest that a patient has
SIZES = {"cardiac": (44,), "similar": (32, 64, 128, 256, 500)}


def activations(name: str, source: Path) -> dict[str, Variable]:
    """Train a network and return the Variable of each layer, with the patients as groups."""
    if name == "cardiac":
        data = datasets.image_folder(root=str(source), size=64, channels=1, group="patient", val_share=0.2)
        torch.manual_seed(0)
        network, epochs = UNet(1, 1, [8, 16, 32, 64, 128], norm="batch"), 4
    else:
        data = datasets.medmnist(file=str(source))
        network, epochs = cnn(), 1
    adam = torch.optim.Adam(network.parameters(), 1e-3)
    settings = {"epochs": epochs, "batch_size": 16, "optimizer": adam, "schedule": None, "amp": "off", "seed": 0}
    fit(network, data, **settings, loss=loss_function("auto", data), on_epoch=lambda *_: None)
    n = min(MOST_IN_MATRIX, sum(map(len, data.splits.values())))
    probe = Probe(network, data, ESTIMATORS, seed=0, split="all", n=n, taps=LAYERS[name], views=["image"])
    layers = {captured.tap.name: captured.present for captured in probe.captured(network, "image")}
    groups = np.unique(layers["input"].groups, return_inverse=True)[1]
    if name == "similar":
        groups = similar(layers["input"].read(Distances()), MEMBERS[name], np.random.default_rng(0))
    return {tap: replace(layers[tap], groups=groups) for tap in ("input", *LAYERS[name])}


def similar(distances: np.ndarray, members: int, rng: np.random.Generator) -> np.ndarray:
    """Return groups (n,) of equal size: a random image, and those nearest to it among the images without a group."""
    groups, free = np.full(len(distances), -1), np.arange(len(distances))
    for group in range(len(distances) // members):
        first = rng.choice(free)
        nearest = free[np.argsort(distances[first, free], kind="stable")[:members]]
        groups[nearest] = group
        free = np.setdiff1d(free, nearest, assume_unique=True)
    return groups


def share_between(t: Variable) -> float:
    """Compute the share of the variance of a layer that is between patients, by an analysis of variance (ICC)."""
    distances, n = t.read(Distances()), t.n
    _, group, counts = np.unique(t.groups, return_inverse=True, return_counts=True)
    inside = (distances * (group[:, None] == group) / counts[group]).sum() / 2  # sums of squares
    total = distances.sum() / (2 * n)
    within, between = inside / (n - len(counts)), (total - inside) / (len(counts) - 1)
    return (between - within) / (between + (n / len(counts) - 1) * within)


def subset(whole: Variable, patients: int, members: int, rng: np.random.Generator) -> Variable:
    """Draw patients, and `members` images of each, one patient after the other."""
    drawn = rng.permutation(np.unique(whole.groups))[:patients]
    rows = np.concatenate([rng.permutation(np.flatnonzero(whole.groups == group))[:members] for group in drawn])
    distances = whole.read(Distances())[np.ix_(rows, rows)]
    return Variable(len(rows), whole.dim, np.repeat(np.arange(patients), members), {Distances(): distances})


def estimates(t: Variable, patients: int, draws: int, rng: np.random.Generator) -> Iterator[dict]:
    """Plant every dose `draws` times along directions of their own; yield the answer of each estimator."""
    members = t.n // patients
    of_patient = Variable.of(np.arange(patients) * CLASSES // patients)
    label = Variable(t.n, 1, t.groups, labels=np.repeat(of_patient.labels, members))
    means = t.coordinates(COORDINATES).reshape(patients, members, -1).mean(axis=1)
    nulls, planted = [permuted_groups(np.arange(patients), rng) for _ in range(PERMUTATIONS)], []
    for dose in DOSES:
        for _ in range(draws):
            across = means @ rng.normal(size=means.shape[1])
            order, bits = Channel.of(across, of_patient.labels, of_patient, rng).order(dose, rng)
            planted.append((dose, bits, across, order))
    orders = nulls + [order for *_, order in planted]
    of_images = [(order[:, None] * members + np.arange(members)).ravel() for order in orders]
    for name, estimator in ESTIMATORS.items():
        found = estimator.reordered(t, label, of_images, np.random.default_rng(rng.integers(2**63)))
        for (dose, bits, *_), value in zip(planted, found[PERMUTATIONS:], strict=True):
            yield answer(name, dose, bits, value, found[:PERMUTATIONS])
    oracle = ESTIMATORS["ksg_mixture"]
    for dose, bits, across, order in planted:
        found = oracle.reordered(Variable.of(across[:, None]), of_patient, [*nulls, order], rng)
        yield answer("oracle", dose, bits, found[-1], found[:-1])


def needed(frame: pd.DataFrame) -> pd.DataFrame:
    """Return the least number of patients from which on every number of the study shows a dose in enough draws."""
    shares = frame[frame["dose"] > 0].groupby(["layer", "estimator", "dose", "patients"], sort=False)["significant"]
    enough = shares.mean().unstack("patients").sort_index(axis=1, ascending=False) >= ENOUGH
    least = enough.cummin(axis=1).apply(lambda row: row.index[row].min(), axis=1)
    return least.unstack("dose")


def main() -> None:
    """Measure one data set, append the rows to a csv file as they come, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", choices=LAYERS)
    parser.add_argument("source", type=Path, help="the folder of cardiac MRI, or mednist.npz")
    parser.add_argument("out", type=Path, help="csv file of all draws")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2], help="seeds of patients and directions")
    parser.add_argument("--draws", type=int, default=5, help="directions of each seed")
    parser.add_argument("--patients", type=int, nargs="+", help="numbers of patients")
    parser.add_argument("--keep", type=Path, help="a file in which the activations are kept for another call")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    layers = kept(asked.keep, lambda: activations(asked.data, asked.source))
    for layer, t in layers.items():
        sys.stdout.write(f"{layer}: {share_between(t):.2f} of the variance is between patients\n")
    sys.stdout.flush()
    rows: list[dict] = []
    for patients in asked.patients or SIZES[asked.data]:
        for layer in LAYERS[asked.data]:
            for seed in asked.seeds:
                rng = np.random.default_rng([seed, patients, *layer.encode()])
                t = subset(layers[layer], patients, MEMBERS[asked.data], rng)
                here = {"data": asked.data, "layer": layer, "dim": t.dim, "patients": patients, "seed": seed}
                rows += [here | row for row in estimates(t, patients, asked.draws, rng)]
                pd.DataFrame(rows).to_csv(asked.out, index=False)
    frame = pd.DataFrame(rows)
    shares = frame.groupby(["layer", "estimator", "dose", "patients"], sort=False)["significant"].mean()
    sys.stdout.write(f"{shares.unstack('patients').round(2).to_string()}\n\n{needed(frame).to_string()}\n")


if __name__ == "__main__":
    main()
