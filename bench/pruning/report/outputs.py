"""Results of `propose`: yaml files of the proposals, the chosen network as ONNX and its information."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bench import plots, tracking
from bench.config.build import build_data, build_network, build_stored
from bench.config.load import load
from bench.estimators import Estimator
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.probe import Probe
from bench.pruning.designs.baselines import BaselineKind
from bench.pruning.judging.results import best_run
from bench.pruning.report.export import to_onnx
from bench.pruning.retraining.nnunet import write_lean_plans
from bench.pruning.retraining.protocol import metric_of
from bench.pruning.retraining.training import Retraining
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal
from bench.pruning.verify import Verified
from bench.sweeps.summary import colour_runs
from bench.tracking import records
from models import NnUnet

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_proposals(retraining: Retraining, proposals: Sequence[Proposal]) -> None:
    """Write the yaml of each proposal into the folder and into the run."""
    named = {proposal.name: proposal.design for proposal in proposals}
    retraining.write(named)
    for proposal in proposals:
        path = f"model/{proposal.name}.yaml"
        retraining.tracked.text((retraining.folder / path).read_text(), f"proposals/{path}")
    if isinstance(retraining.base.network, NnUnet):
        for plans in write_lean_plans(retraining.base, named, retraining.folder / "plans"):
            retraining.tracked.text(plans.read_text(), f"proposals/plans/{plans.name}")


def log_chosen(tracked: tracking.Run, base: Base, verified: Verified) -> None:
    """Log the best network of the chosen proposal as ONNX, and the id of its run for `bench.load`. Colour all runs.

    The best network has the highest validation score of all seeds.
    """
    colour_runs(tracked.store, dict(zip(verified.runs["run"], verified.runs["design"], strict=True)))
    run = best_run(verified.runs, verified.chosen.name)
    tracked.tag("proposal", run)
    tracked.file(to_onnx(load(run, tracked.store.uri, base.trust), base.data.val.images[:2]), "proposal.onnx")


def plot_kept_information(
    base: Base, verified: Verified, estimators: Mapping[str, Estimator], samples: int, seed: int, tracked: tracking.Run
) -> tuple[Figure, dict[str, pd.DataFrame]]:
    """Plot I(T;Y) above its null of the base, the chosen proposal and a baseline design, with untrained references.

    The baseline design is the flat design of as many parameters as the proposal. With folds, the networks are those of
    the first fold.

    Args:
        base: The trained base.
        verified: The results of retraining.
        estimators: Estimators by name. The first one is used.
        samples: Largest number of images to measure on.
        seed: Seed of the measurement.
        tracked: The run to which the tables of layers are logged.

    Returns:
        The figure; and the information in each layer of these networks, as rows of a LayerTable by design.
    """
    flat = [each.name for each in verified.baselines if each.kind == BaselineKind.FLAT and each.cost == "params"]
    shown = ["base", verified.chosen.name, *(name for name in flat if name in verified.designs["design"].values)]
    first, view = next(iter(estimators)), "pixel" if base.data.task == "segmentation" else "image"
    runs, data = verified.runs, base.data
    if "fold" in runs:
        runs = runs[runs["fold"] == runs["fold"].min()]
        data = build_data(records.saved_network(best_run(runs, "base"), tracked.store.uri, base.trust)[0])
    images = min(samples, len(data.split("trainval")))
    profiles, measured = {}, {}
    for name in shown:
        run = best_run(runs, name)
        config, weights = records.saved_network(run, tracked.store.uri, base.trust)
        network = build_stored(config, weights, run, base.trust)
        table = LayerTable()
        chosen = {first: estimators[first]}
        probe = Probe(network, data, chosen, seed=seed, split="trainval", n=images, views=[view])
        table.extend(probe.measure(build_network(config.model, config.seed), Moment(0, Weights.UNTRAINED, config.seed)))
        table.extend(probe.measure(network, Moment(1, Weights.BEST, config.seed)))
        tracked.table(table.frame, f"layers/{name}.csv")
        profiles[name], measured[name] = table.profile_and_untrained(first), table.best(first)
    scores = verified.designs.set_index("design")["score"]
    score = ", ".join(f"{name} {scores[name]:.3f}" for name in shown if name in scores)
    title = plots.heading(
        f"{base.data.name} · test {metric_of(base.data.task)}: {score}",
        f"estimator {first}, {view} view, {images} training and validation images",
    )
    return plots.overlaid(profiles, title), measured
