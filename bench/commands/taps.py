"""The command `taps`: list the modules of a network and their outputs, to choose which to tap."""

from __future__ import annotations

import sys

import pandas as pd
import torch
from omegaconf import DictConfig

from bench.config.build import build, build_network, fill_in
from bench.datasets.data import Data
from bench.errors import InputError
from bench.layers.selection import taps_of
from models import Custom
from models.tracing import calls


def taps(config: DictConfig) -> pd.DataFrame:
    """Write a table of the modules that the forward pass calls, in the order in which their calls end.

    Returns:
        The table, one row for each module.

    Raises:
        InputError: If the network can't be traced.
    """
    data = build(config.dataset, "dataset", Data)
    fill_in(config.model, data)
    model = build_network(config.model, config.seed)
    network = model.network if isinstance(model, Custom) else model  # the yaml has paths in the network inside Custom
    try:
        called = calls(network, torch.zeros(1, data.channels, *data.image_size))
    except ValueError as error:
        raise InputError(f"model: {error}") from error
    tapped: dict[str, list[str]] = {}
    for tap in taps_of(model):
        module = tap.module.removeprefix("network.") if isinstance(model, Custom) else tap.module
        tapped.setdefault(module, []).append(f"{tap.name} ({tap.role}, level {tap.level})")
    table = pd.DataFrame(
        {
            "module": call.module,
            "class": call.kind,
            "output": "no tensor" if call.shape is None else " × ".join(map(str, call.shape)),
            "runs": call.times,
            "parameters": sum(parameter.numel() for parameter in network.get_submodule(call.module).parameters()),
            "tap": ", ".join(tapped.get(call.module, [])),
        }
        for call in called.values()
        if config.depth is None or call.module.count(".") < config.depth
    )
    sys.stdout.write(modules_report(table))
    return table


def modules_report(modules: pd.DataFrame) -> str:
    """Format the modules of a network as a table, with text on the left and numbers on the right."""
    shown = modules.assign(parameters=modules["parameters"].map("{:,}".format))
    for name in ("module", "class", "output", "tap"):
        shown[name] = shown[name].str.ljust(shown[name].str.len().max())
    return "".join(f"{line.rstrip()}\n" for line in shown.to_string(index=False, justify="left").splitlines())
