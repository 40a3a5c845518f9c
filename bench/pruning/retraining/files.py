"""Files of designs: a folder for Hydra's `--config-dir`, whose yaml files train designs as their base was trained."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from omegaconf import DictConfig, OmegaConf

from bench.pruning.designs import Design
from bench.pruning.designs.costs import Pricing

HEADER = "# @package _global_\n# Data and training of the base. Only accuracy and cost are measured.\n"
SILENT = {
    "calibration": False,
    "probe": {"epochs": [], "untrained_seeds": 0},
}


def write_designs(folder: Path, designs: Mapping[str, Design], pricing: Pricing, base: DictConfig) -> None:
    """Write a folder for Hydra's `--config-dir`: a model yaml for each design, and data and training of the base.

    `python -m bench --config-dir FOLDER +experiment=retrain model=NAME` then trains a design as the base was trained.
    """
    for name, design in designs.items():
        config = pricing.config(design)
        with_line = f"# {name}: {', '.join(f'{key} {value}' for key, value in design.arguments().items())}\n"
        _write(folder / "model" / f"{name}.yaml", with_line + OmegaConf.to_yaml(config))
    _write(folder / "dataset" / "of_base.yaml", "# The base's data.\n" + OmegaConf.to_yaml(base.dataset))
    retrain = {
        "defaults": [
            {"override /dataset": "of_base"},
            {"override /estimator": []},
            {"override /diagnostic": []},
            "_self_",
        ],
        "device": base.device,
        "threads": base.get("threads", 1),
        "folds": base.get("folds"),
        "fold": base.get("fold"),
        "train": {**cast(dict, OmegaConf.to_container(base.train, resolve=True)), "start": None},
        **SILENT,
    }
    _write(folder / "experiment" / "retrain.yaml", HEADER + OmegaConf.to_yaml(OmegaConf.create(retrain)))


def training_command(folder: Path, name: str) -> str:
    """Return the command that trains a design of a folder of `write_designs`."""
    return f"python -m bench --config-dir {shlex.quote(str(folder))} +experiment=retrain model={name}"


def _write(path: Path, text: str) -> None:
    """Write a file, and create its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
