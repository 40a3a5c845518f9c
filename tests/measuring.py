"""Helpers for tests of `python -m bench measure` with small settings, on weights of other libraries."""

import torch
from running import QUIET, assert_refused, command, runs, with_store

SMALL = (
    *QUIET,
    "device=cpu",
    "dataset.n=[16,16,8]",
    "dataset.size=32",
    "estimator=[kde]",
    "diagnostic=[]",
    "probe.pixels=64",
)


def measured(folder, *arguments):
    """Measure with small settings; return what was printed and the run."""
    with_store(folder)
    ended = command(folder, "measure", *SMALL, *arguments)
    assert ended.code == 0, ended.err
    run = runs(folder)[-1]
    assert run.info.status == "FINISHED"
    assert run.data.tags["kind"] == "measure"
    return ended.out, run


def refused(folder, *arguments):
    with_store(folder)
    ended = command(folder, "measure", *SMALL, *arguments)
    assert_refused(ended)
    assert runs(folder) == []
    return ended.err


def save(network, path, prefix=""):
    """Save the weights as Lightning does, or plain without a prefix."""
    state = {f"{prefix}{name}": tensor for name, tensor in network.state_dict().items()}
    torch.save({"state_dict": state, "epoch": 3, "hyper_parameters": {"lr": 0.1}} if prefix else state, path)
    return path
