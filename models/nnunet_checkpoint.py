"""Checkpoints of nnU-Net v2: what they say about plans, configuration and data, read without running any code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from models.checkpoints import read_pickle
from models.nnunet_plans import Plans, plans_of

COMPARED = ("network", "arguments", "patch_size", "spacing", "normalization_schemes", "use_mask_for_norm",
            "transpose_forward", "intensities")  # fmt: skip
ENDINGS = (".pth", ".pt", ".ckpt")  # of files that torch.save wrote
ENTRIES = ("network_weights", "init_args", "trainer_name")


def read_checkpoint(path: str | Path) -> dict[str, Any]:
    """Read a checkpoint of nnU-Net, such as fold_0/checkpoint_final.pth. No code in the file runs.

    Returns:
        The checkpoint. `network_weights` is the state dict, and `init_args` has the plans, the configuration, the fold
        and the content of dataset.json.

    Raises:
        ValueError: The file is missing or damaged, holds other objects than tensors, numbers and texts, or is no
            checkpoint of nnU-Net v2.
    """
    content = read_pickle(path)
    missing = [key for key in ENTRIES if not isinstance(content, Mapping) or key not in content]
    if missing or not isinstance(content["init_args"], Mapping) or "plans" not in content["init_args"]:
        raise ValueError(
            f"weights: {path} lacks {', '.join(missing) or 'plans in init_args'}, wanted a checkpoint of nnU-Net v2; "
            "give fold_0/checkpoint_final.pth of a trained model"
        )
    return dict(content)


def check_file(path: str | Path, plans: Plans, channels: int, classes: int) -> None:
    """Check a file as `check_checkpoint` does, if it is a checkpoint of nnU-Net, and not weights alone."""
    if Path(path).suffix in ENDINGS:
        content = read_pickle(path)
        if isinstance(content, Mapping) and "init_args" in content:
            check_checkpoint(read_checkpoint(path), path, plans, channels, classes)


def check_checkpoint(content: Mapping[str, Any], path: str | Path, plans: Plans, channels: int, classes: int) -> None:
    """Check that a checkpoint was trained with these plans, this configuration and such data.

    Args:
        content: The checkpoint, as `read_checkpoint` returns it.
        path: The file, for messages.
        plans: The plans of the network.
        channels: Channels of the images.
        classes: Classes of the data, with the background; for regions, the number of regions.

    Raises:
        ValueError: The checkpoint is of another configuration, other plans, or other channels or classes.
    """
    init, where = content["init_args"], f"weights: {path}"
    configuration = init.get("configuration")
    if configuration != plans.configuration:
        raise ValueError(
            f"{where} is of configuration {configuration}, wanted {plans.configuration}; set "
            f"model.configuration={configuration}, or give the checkpoint of {plans.configuration}"
        )
    trained = plans_of(init["plans"], configuration, str(path))
    for name in COMPARED:
        ours, theirs = getattr(plans, name), getattr(trained, name)
        if ours != theirs:
            raise ValueError(
                f"{where} was trained with other plans than {plans.path}: {_difference(name, theirs, ours)}; set "
                "model.plans to the plans.json beside fold_0"
            )
    described = init.get("dataset_json") or {}
    if (got := len(described.get("channel_names") or ())) and got != channels:
        raise ValueError(
            f"{where} takes images of {got} channels ({', '.join(map(str, described['channel_names'].values()))}), and "
            f"the data have {channels}; choose the dataset that it was trained on"
        )
    heads = _heads(content["network_weights"])
    if heads is not None and heads != classes:
        raise ValueError(
            f"{where} has {heads} outputs ({', '.join(map(str, described.get('labels') or ()))}), and the data have "
            f"{classes}; choose the dataset that it was trained on"
        )


def _difference(name: str, theirs: Any, ours: Any) -> str:
    """Describe how two entries of plans differ."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        name = next(key for key in {**theirs, **ours} if theirs.get(key) != ours.get(key))
        theirs, ours = theirs.get(name), ours.get(name)
    return f"{name} is {theirs} in the checkpoint and {ours} in the file"


def _heads(weights: Mapping[str, Any]) -> int | None:
    """Return the number of outputs of a network, by its last head; None if it has no head of nnU-Net."""
    heads = [tensor for name, tensor in weights.items() if "seg_layers." in name and name.endswith(".bias")]
    return len(heads[-1]) if heads else None
