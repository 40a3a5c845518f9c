"""Short trainings of designs around a base on eight data sets: the table from which losses of score are predicted.

    python tests/studies/retrained_designs.py TABLE.csv DATA [--sets nuclei fashion] [--minutes 15] [--epochs 7]

For each data set a base is trained, and designs of the study set of `python -m bench validity` in random order, each
from 2 seeds or `--seeds`, until the minutes of the data set are spent. Then the features of these designs are measured
in the base of the first seed. Losses of score are on validation data. The images are small and few, so that the table
takes an hour or two of one core. A base whose seeds differ much has not learned, and its data set needs more epochs.
`validity` gives the same columns for other data, with all of its records.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from bench.config import CONF
from bench.config.build import build_each, build_network
from bench.config.prepare import prepare, prepare_training
from bench.config.settings import register
from bench.datasets.progress import say
from bench.estimators import Estimator
from bench.pruning.designs import Design
from bench.pruning.designs.study import study_set
from bench.pruning.search.asker import Asker
from bench.pruning.search.base import Base, build_base
from bench.pruning.search.predictor import features_of
from bench.training.state import Fitted
from bench.training.train import fit

SEED = 1000  # the first
U_NET = ("model.widths=[6,12,24]", "train.batch_size=4", "train.epochs=20", "ask.views=[pixel]")
CNN = ("model=cnn", "model.filters=[8,16,32]", "model.hidden=[32]", "train.batch_size=16")
SLICES = ("dataset.size=32", "dataset.channels=1", "dataset.split=null", "dataset.augment=[flips]")
FOLDER = ("dataset=image_folder", *SLICES, "dataset.n=[112,72,8]", *U_NET)
PHANTOMS = ("dataset=phantoms", "dataset.size=32", "dataset.n=[112,72,8]", *U_NET)
VOLUMES = ("dataset=decathlon", "dataset.spacing=2", "dataset.n=[64,14,2]", *U_NET, "dataset.cache=memory")
FASHION = ("dataset=fashion_mnist", "dataset.n=[800,400,8]", *CNN, "train.epochs=10")
ARRAYS = ("dataset=medmnist", *CNN)
SETS = {
    "fashion": ("dataset.root={}/fashion_mnist", *FASHION),
    "nuclei": ("dataset.root={}/nuclei", *FOLDER),
    "cardiac": ("dataset.root={}/cardiac", *FOLDER, "dataset.group=patient", "dataset.crop=120"),
    "phantoms 0.5": ("dataset.difficulty=0.5", *PHANTOMS),
    "hippocampus": ("dataset.root={}/decathlon", *VOLUMES, "train.loss=dice_ce"),  # as in reach.md
    "phantoms 0.9": ("dataset.difficulty=0.9", *PHANTOMS),
    "mednist": ("dataset.file={}/mednist/mednist.npz", *ARRAYS, "dataset.n=[320,200,8]", "train.epochs=10"),
    "phantoms 0.1": ("dataset.difficulty=0.1", *PHANTOMS),
}


def config_of(name: str, data: str, epochs: int | None) -> DictConfig:
    """Compose the config of `validity` for a data set."""
    settings = ["estimator=[probe]", "ask.samples=1600", "ask.permutations=3", "train.amp=off", "device=cpu"]
    settings += [f"seed={SEED}"] + ([f"train.epochs={epochs}"] if epochs else [])
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("validity", [*(setting.format(data) for setting in SETS[name]), *settings])


def trained(base: Base, design: Design, seed: int) -> tuple[torch.nn.Module, Fitted]:
    """Train a design as `python -m bench` does."""
    network = build_network(base.pricing.config(design), seed)
    training = prepare_training(base.config.train, network, base.data)
    return network, fit(network, base.data, **training, seed=seed, on_epoch=lambda *_: None)


def rows_of(name: str, data: str, minutes: float, epochs: int | None, seeds: int) -> pd.DataFrame:
    """Train the designs of a data set until the minutes are spent, and measure their features."""
    started = time.monotonic()
    config = config_of(name, data, epochs)
    prepare(config)
    base = build_base(config)
    named = study_set(base.design, config.seed)
    designs = list(dict.fromkeys(named.values()))  # equal designs are trained once
    rng = np.random.default_rng(config.seed)
    order = [base.design, *(designs[at] for at in 1 + rng.permutation(len(designs) - 1))]
    networks, scores = {}, {}
    for design in order:
        if time.monotonic() - started > 60 * minutes:
            break
        found = [trained(base, design, seed) for seed in range(SEED, SEED + seeds)]
        networks[design] = found[0][0]
        scores[design] = [best.val_score for _, best in found], [best.collapse is not None for _, best in found]
    estimators = build_each(config.estimator, "estimator", Estimator)
    for estimator in estimators.values():
        estimator.permutations = config.ask.permutations
    ask = {"seed": config.seed, "views": config.ask.views, "samples": config.ask.samples}
    say(f"{name}: base {', '.join(f'{score:.3f}' for score in scores[base.design][0])} by seed, {len(scores)} designs")
    asker = Asker(networks[base.design], base.data, base.design, estimators, **ask)
    by = next(iter(asker.diagnostics()))
    rows, whole = [], np.array(scores[base.design][0])
    for design, (reached, collapsed) in scores.items():
        if design == base.design:
            continue
        losses = whole - np.array(reached)
        rows.append(
            {
                "set": name,
                "design": next(word for word, each in named.items() if each == design),
                "arguments": str(design.arguments()),
                **features_of(design, base.design, base.pricing, asker, *by),
                "loss": losses.mean(),
                "standard_error": losses.std(ddof=1) / np.sqrt(len(losses)),
                "seeds": len(losses),
                "collapsed": np.mean(collapsed),
            }
        )
    return pd.DataFrame(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("data", help="folder of the data sets")
    parser.add_argument("--sets", nargs="+", choices=SETS, default=[*SETS])
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--epochs", type=int, help="epochs of every data set, in place of its own")
    parser.add_argument("--seeds", type=int, default=2, help="trainings of each design")
    asked = parser.parse_args()
    register()
    for name in asked.sets:
        began = time.monotonic()
        new = rows_of(name, asked.data, asked.minutes, asked.epochs, asked.seeds)
        old = [pd.read_csv(asked.table)] if asked.table.exists() else []
        table = pd.concat([*(each[each["set"] != name] for each in old), new], ignore_index=True)
        table.to_csv(asked.table, index=False, float_format="%.5g")
        say(f"{name}: {len(new)} designs in {(time.monotonic() - began) / 60:.1f} minutes")


if __name__ == "__main__":
    main()
