"""What a page of the documentation may use without defining it: placeholders of its commands, data, names of Python."""

import re
from pathlib import Path

import numpy as np
import torch
from nnunet_files import plans_content, write_checkpoint, write_plans
from running import runs, tiny
from small_data import disc, write_data

from bench.config.chosen import choices_in, split_override
from bench.tracking import DESIGN
from bench.tracking.views import KIND, RUN
from bench.training.collapse import SHORT
from models import NnUnet, UNet


def filled_in(folder, text: str) -> str:
    """Replace the placeholders of a command."""
    text = re.sub(r"\bRUN_ID\b|<run id>", lambda _: newest_run(folder), text)
    text = re.sub(r"(?<=sweep=)(NAME|SLUG|ID)\b|<sweep>", lambda _: newest_sweep(folder), text)
    return re.sub(r"(\w+)/(ID\b|<id>)", lambda found: str(newest_folder(folder, found[1])), text)


def newest_run(folder) -> str:
    """Return the id of the newest finished training run that may be a base of `propose`; train one if there is none.

    The runs of a sweep end in any order, and on a page's small data the training of some seeds collapses.
    """
    for _ in range(2):
        trained = [run for run in runs(folder) if DESIGN in run.data.tags and run.data.tags[KIND] == RUN]
        done = [run for run in trained if run.info.status == "FINISHED"]
        bases = [
            run.info.run_id
            for run in done
            if run.data.metrics.get("summary/collapsed") != 1 or int(run.data.params["train.epochs"]) < SHORT
        ]
        if bases:
            return bases[-1]
        assert tiny(folder).code == 0
    raise AssertionError("no finished run")


def newest_sweep(folder) -> str:
    """Return the id of the newest sweep; run one if there is none."""
    for _ in range(2):
        found = [run.info.run_id for run in runs(folder) if run.data.tags.get("sweep") == "parent"]
        if found:
            return found[-1]
        ended = tiny(folder, "-m", "model.skips=all,none")
        assert ended.code == 0, ended.err
    raise AssertionError("no sweep")


def newest_folder(folder, parent: str) -> Path:
    return max((folder / parent).iterdir(), key=lambda path: path.stat().st_mtime).relative_to(folder)


def write_missing_data(folder, line):
    """Write small data to the paths that a command names and that have none."""
    values = dict(split_override(override) for override in line.overrides)
    for dataset in choices_in(line.command, line.overrides).get("dataset", []):
        for key in ("dataset.root", "dataset.file"):
            marker = (
                folder / f".{dataset}.{values.get(key, '').replace('/', '_')}"
            )  # DIR may stand for several datasets
            if key in values and not marker.exists():
                write_data(dataset, folder / values[key])
                marker.touch()


def write_missing_plans(folder, line):
    """Write small plans of nnU-Net, and a checkpoint with these plans, to the paths that a command names."""
    values = dict(split_override(override) for override in line.overrides)
    if "model.plans" not in values:
        return
    plans, content = folder / values["model.plans"], plans_content()
    if not plans.exists():
        write_plans(plans.parent, content, plans.name)
    if "weights" in values and not (folder / values["weights"]).exists():
        network = NnUnet(plans, values["model.configuration"], out_channels=3)
        write_checkpoint(folder / values["weights"], network, content, values["model.configuration"])


def prepared(folder) -> dict:
    """Return the names that the Python code of a page may use without defining them."""
    rng = np.random.default_rng(0)
    drawn = [disc(rng, (32, 32)) for _ in range(24)]
    images = torch.tensor(np.array([image for image, _ in drawn])[:, None] / 255, dtype=torch.float32)
    masks = torch.tensor(np.array([mask for _, mask in drawn]), dtype=torch.long)
    y = rng.normal(size=200)
    return {
        "network": UNet(1, 2, widths=[4, 8]),
        "images": images,
        "masks": masks,
        "loader": [(images[:12], masks[:12]), (images[12:], masks[12:])],
        "t": y[:, None] + rng.normal(size=(200, 1)),
        "y": y,
        "RUN_ID": newest_run(folder),
    }
