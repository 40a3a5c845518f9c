"""Hand-over: yamls of the proposals, the chosen network as ONNX, and what it keeps of the base's information."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from bench import plots, tracking
from bench.config.build import build_network, build_stored
from bench.config.load import load
from bench.estimators import Estimator
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.probe import Probe
from bench.pruning.retraining.export import to_onnx
from bench.pruning.retraining.training import Retraining
from bench.pruning.retraining.verify import Verified
from bench.pruning.search.base import Base
from bench.pruning.search.proposals import Proposal
from bench.sweeps.summary import profile
from bench.tracking import records


def hand_out(retraining: Retraining, proposals: Sequence[Proposal]) -> None:
    """The yaml of every proposal in the folder and with the run."""
    retraining.write({proposal.name: proposal.design for proposal in proposals})
    for proposal in proposals:
        path = f"model/{proposal.name}.yaml"
        retraining.tracked.text((retraining.folder / path).read_text(), f"proposals/{path}")


def hand_over(tracked: tracking.Run, base: Base, verified: Verified) -> None:
    """The chosen proposal's best network by validation, as ONNX beside the id of its run, for `bench.load`."""
    run = best_run(verified, verified.chosen.name)
    tracked.tag("proposal", run)
    tracked.file(to_onnx(load(run, tracked.store.uri, base.trust), base.data.val.images[:2]), "proposal.onnx")


def best_run(verified: Verified, design: str) -> str:
    runs = verified.runs[verified.runs["design"] == design]
    return runs.loc[runs["val_score"].idxmax(), "run"]


def what_is_kept(
    base: Base, verified: Verified, estimators: Mapping[str, Estimator], samples: int, seed: int, tracked: tracking.Run
) -> Figure:
    """I(T;Y) along base, chosen proposal and a control of as many parameters, each with its untrained network.

    samples: images to measure on, at most.
    """
    shown = ["base", verified.chosen.name]
    shown += [name for name in verified.designs["design"] if name.startswith("flat_at_params")]
    first, view = next(iter(estimators)), "pixel" if base.data.task == "segmentation" else "image"
    images = min(samples, len(base.data.split("trainval")))
    profiles = {}
    for name in shown:
        run = best_run(verified, name)
        config, weights = records.saved_network(run, tracked.store.uri, base.trust)
        network = build_stored(config, weights, run, base.trust)
        table = LayerTable()
        options = {"seed": seed, "split": "trainval", "n": images, "views": [view]}
        probe = Probe(network, base.data, {first: estimators[first]}, **options)
        table.extend(probe.measure(build_network(config.model, config.seed), Moment(0, Weights.UNTRAINED, config.seed)))
        table.extend(probe.measure(network, Moment(1, Weights.BEST, config.seed)))
        tracked.table(table.frame, f"layers/{name}.csv")
        profiles[name] = profile(table, first)
    return plots.overlaid(profiles, f"{first}, {view} view, training and validation images")
