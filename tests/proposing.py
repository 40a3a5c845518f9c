"""Helpers for tests of `python -m bench propose` on very small networks and images."""

from running import QUICK_SEARCH, command, runs, with_store

SMALL = (
    *QUICK_SEARCH,
    "estimator.probe.steps=20",
    "ask.samples=160",
    "ask.margin=100",
)
MASKS = ("dataset.size=16", "dataset.n=[24,16,8]", "model.widths=[3,4]")
CLASSES = ("dataset.task=classification", "dataset.size=16", "dataset.n=[56,16,16]", "model=cnn", "model.filters=[3,4]")


def propose(folder, *overrides):
    with_store(folder)
    return command(folder, "propose", *SMALL, *overrides)


def parent_of(folder):
    return next(run for run in runs(folder, "propose") if run.data.tags.get("sweep") == "parent")


def assert_verdicts(compared):
    same = compared["verdict"] == "same design"
    assert set(compared[~same]["verdict"]) <= {"better", "no worse", "worse", "undecided"}
    assert (compared[same][["gain", "low", "high"]] == 0).all(axis=None)
    assert (compared[same][["params_ratio", "flops_ratio"]] == 1).all(axis=None)
