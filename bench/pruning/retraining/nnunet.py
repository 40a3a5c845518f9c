"""Retraining by nnU-Net itself: plans of the designs, `nnUNetv2_train`, and its summary.json."""

from __future__ import annotations

import json
import logging
import os
import shlex
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from subprocess import STDOUT

import numpy as np
import pandas as pd
from omegaconf import DictConfig

from bench import tracking
from bench.errors import InputError
from bench.pruning.designs import Design
from bench.pruning.retraining.processes import finish
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.base import Base
from bench.sweeps import jobs
from models import NnUnet
from models.nnunet_checkpoint import read_checkpoint
from models.nnunet_lean import data_folder, lean, write_plans
from models.nnunet_plans import Plans, read_plans
from models.tracing import device_of

# of a preprocessed dataset, beside the folder of its cases
LINKED = ("dataset.json", "dataset_fingerprint.json", "splits_final.json", "gt_segmentations")

log = logging.getLogger(__name__)


class NnunetRetraining(Retraining):
    """Train designs by nnU-Net's own trainer, one after the other, as children of one run.

    nnU-Net trains on all training cases of the fold, and predicts its validation cases. These are the test cases of
    `dataset=nnunet`, and the scores are those of summary.json. nnU-Net has no seed: a seed here numbers a repetition,
    which can't be repeated exactly.

    The folders of nnU-Net do not change: plans, results and links to the preprocessed data are in `folder/nnunet`.

    `check_nnunet` says what it needs.
    """

    def __init__(self, config: DictConfig, base: Base, tracked: tracking.Run, folder: Path, seed: int):
        super().__init__(config, base, tracked, folder, seed)
        self.plans = plans_of(base)
        self.source = Path(self.plans.path).absolute().parent
        self.preprocessed = folder.absolute() / "nnunet" / "preprocessed" / self.source.name
        self.designs: dict[str, Design] = {}

    @property
    def at_once(self) -> int:
        return 1

    def plan(self, trainings: int) -> str:
        self.planned = trainings if self.budget.runs is None else min(trainings, self.budget.runs)
        return f"retraining: at most {self.planned} trainings by {self.config.trainer} of nnU-Net, one at a time"

    def write(self, designs: Mapping[str, Design]) -> None:
        super().write(designs)
        self.designs |= designs
        self.preprocessed.mkdir(parents=True, exist_ok=True)
        for name in (*LINKED, data_folder(self.plans)):
            link = self.preprocessed / name
            if (self.source / name).exists() and not link.exists():
                link.symlink_to(self.source / name)
        write_lean_plans(self.base, designs, self.preprocessed)

    def train(self, names: Sequence[str], seeds: Sequence[int], overrides: Sequence[str] = ()) -> None:
        assert not overrides  # nnU-Net does not read them
        done = {(row.design, row.seed) for row in self.read(names, test=False).runs.itertuples()}
        for seed in seeds:
            for name in names:
                if (name, seed) not in done and (self.budget.left is None or self.budget.left > 0):
                    with self.budget.timed():
                        self._train(name, seed)

    def _train(self, name: str, seed: int) -> None:
        """Train a design by nnU-Net, and track the result."""
        dataset, configuration = self.source.name, self.plans.configuration
        results, fold = self.preprocessed.parents[1] / f"results_{seed}", self.base.config.dataset.fold
        command = ["nnUNetv2_train", dataset, configuration, str(fold), "-p", plans_name(name)]
        command += ["-tr", self.config.trainer, "-device", device_of(self.base.network).type]
        environment = os.environ | {
            "nnUNet_raw": str(Path(self.base.data.source).absolute().parent),
            "nnUNet_preprocessed": str(self.preprocessed.parent),
            "nnUNet_results": str(results),
        }
        written = results / f"{name}.log"
        written.parent.mkdir(parents=True, exist_ok=True)
        with written.open("w") as output:
            code = finish(command, self.budget.left, env=environment, stdout=output, stderr=STDOUT)
        if code is None:
            return  # the time is spent
        if code:
            last = "".join(written.read_text(errors="replace").splitlines()[-1:])[:200]
            raise InputError(f"retrain.by: {' '.join(command)} failed ({last}); its output is in {written}")
        trained = results / dataset / f"{self.config.trainer}__{plans_name(name)}__{configuration}" / f"fold_{fold}"
        tags = {tracking.DESIGN: f"model={name}"}
        with tracking.started(self.tracked.store, f"{name} seed={seed}", tags, self.tracked.id) as run:
            self._log(run, name, seed, trained)
        jobs.note_success(self.tracked.store, self.tracked.id, [f"model={name}", f"seed={seed}"])

    def _log(self, run: tracking.Run, name: str, seed: int, trained: Path) -> None:
        """Log the config, the weights, the scores of the test cases and the costs of a trained design."""
        design = self.designs[name]
        config = self.base.config.copy()
        config.model, config.seed = self.base.pricing.config(design), seed
        run.config(config)
        checkpoint = read_checkpoint(trained / "checkpoint_final.pth")
        run.weights(checkpoint["network_weights"])
        scores = read_summary(trained / "validation" / "summary.json")
        run.table(scores, "test.csv")
        run.text((trained / "validation" / "summary.json").read_text(), "summary.json")
        course = [float(dice) for dice in checkpoint["logging"]["mean_fg_dice"]]
        run.curves([("val/score", dice, epoch) for epoch, dice in enumerate(course, 1)])
        costs, mean = self.base.pricing(design), scores["dice"].mean()
        run.metrics(
            {
                "test/dice": mean,
                "cost/params": costs.params,
                "cost/flops": costs.flops,
                "cost/latency_ms": self.base.latency_ms(design),
                "summary/val_score": course[-1],
                "summary/best_epoch": len(course),
                "summary/collapsed": float(mean == 0),
            }
        )


def check_nnunet(config: DictConfig, base: Base) -> None:
    """Check that nnU-Net can train the designs of a base.

    Raises:
        InputError: The base is no network of nnU-Net, its plans are not in the folder of the preprocessed data, the
            dataset has a test set, `retrain.folds`, `retrain.epochs` or `retrain.rivals` is set, or nnU-Net is not
            installed.
    """
    if not isinstance(base.network, NnUnet) or base.config.dataset.get("fold") is None:
        raise InputError(
            f"retrain.by: got nnunet for a base of {type(base.network).__name__} on {base.data.name}, wanted a base of "
            "model=nnunet on dataset=nnunet; set retrain.by=bench"
        )
    if (folds := config.get("folds") or base.config.get("folds")) is not None:
        raise InputError(
            f"retrain.folds: got {folds} with retrain.by=nnunet, which trains the fold dataset.fold of its own; leave "
            "folds out, for the base too"
        )
    if config.epochs is not None:
        raise InputError(
            f"retrain.epochs: got {config.epochs} with retrain.by=nnunet, where the trainer's class sets the epochs; "
            "set retrain.trainer, such as nnUNetTrainer_50epochs"
        )
    if config.get("rivals"):
        raise InputError(
            f"retrain.rivals: got {list(config.rivals)} with retrain.by=nnunet, where no validation scores can select "
            "among designs; leave rivals out"
        )
    if any((Path(base.data.source) / "labelsTs").glob("*")):
        raise InputError(
            "retrain.by: got nnunet for a dataset with labelsTs, where the information was measured on the cases that "
            "nnU-Net predicts; measure the base without labelsTs, or set retrain.by=bench"
        )
    plans = plans_of(base)
    folder = Path(plans.path).absolute().parent
    needed = ("dataset.json", "gt_segmentations", data_folder(plans))
    if missing := [name for name in needed if not (folder / name).exists()]:
        raise InputError(
            f"model.plans: got a file in {folder}, which has no {missing[0]}, wanted the plans in the folder of the "
            "preprocessed dataset; give nnUNet_preprocessed/DATASET/nnUNetPlans.json"
        )
    if shutil.which("nnUNetv2_train") is None:
        raise InputError(
            "retrain.by: got nnunet, and there is no program nnUNetv2_train; install nnunetv2, also in another "
            "environment, and add its folder to PATH"
        )


def plans_of(base: Base) -> Plans:
    """Return the original plans of a base, without its changes."""
    return read_plans(base.config.model.plans, base.config.model.configuration)


def plans_name(design: str) -> str:
    """Return the name of the plans of a design.

    Examples:
        >>> plans_name("lean_1"), plans_name("uniform_at_params"), plans_name("base")
        ('nnUNetLeanPlans_1', 'nnUNetUniformPlans_at_params', 'nnUNetBasePlans')
    """
    kind, _, rest = design.partition("_")
    return f"nnUNet{kind.capitalize()}Plans{f'_{rest}' if rest else ''}"


def write_lean_plans(base: Base, designs: Mapping[str, Design], folder: Path) -> list[Path]:
    """Write the plans of designs, for `nnUNetv2_train … -p NAME`; return the files."""
    plans = plans_of(base)
    return [
        write_plans(lean(plans, **design.arguments()), plans_name(name), folder) for name, design in designs.items()
    ]


def training_by_nnunet(base: Base, designs: Iterable[str], folder: Path) -> str:
    """Format the commands that train designs by nnU-Net, ready to paste."""
    plans = plans_of(base)
    dataset, fold = plans.dataset or Path(base.data.source).name, base.config.dataset.get("fold", 0)
    where = f'"$nnUNet_preprocessed"/{dataset}'
    commands = [f"  nnUNetv2_train {dataset} {plans.configuration} {fold} -p {plans_name(name)}\n" for name in designs]
    return "".join([f"\nplans for nnU-Net:\n  cp {shlex.quote(str(folder))}/*.json {where}\n", *commands])


def read_summary(path: Path) -> pd.DataFrame:
    """Read the Dice of each case from a summary.json of nnU-Net.

    Returns:
        Columns name, group and dice: the mean over the labels (or regions) that are in the case or its prediction.
        Cases with none of them have no row.
    """
    cases = json.loads(path.read_text(encoding="utf-8"))["metric_per_case"]
    found = [(Path(case["reference_file"]).name.partition(".")[0], _dice(case["metrics"].values())) for case in cases]
    rows = [{"name": name, "group": name, "dice": dice} for name, dice in found if not np.isnan(dice)]
    if len(rows) < len(cases):
        log.warning("%s: %d of %d cases have no label, and no score", path, len(cases) - len(rows), len(cases))
    return pd.DataFrame(rows, columns=["name", "group", "dice"])


def _dice(labels: Iterable[Mapping[str, float]]) -> float:
    """Return the mean Dice of the labels that have one."""
    values = np.array([label["Dice"] for label in labels], dtype=float)
    return float(values[~np.isnan(values)].mean()) if (~np.isnan(values)).any() else float("nan")
