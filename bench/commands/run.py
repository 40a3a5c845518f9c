"""The command `run`: train a network, measure the information in its layers, and track the results."""

from __future__ import annotations

from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from torch.nn import Module

from bench import tracking
from bench.commands.report import failures_of_parts, report, report_of_job, sentences
from bench.config.build import build, build_each, build_network, check_output, fill_in
from bench.config.objectives import check_objectives
from bench.config.prepare import fingerprint_of, prepare, prepare_training
from bench.datasets.data import Data
from bench.datasets.progress import say
from bench.diagnostics import Diagnostic
from bench.diagnostics.base import Failures, Findings
from bench.errors import InputError
from bench.estimators import Estimator
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.probe import Probe
from bench.layers.selection import taps_of
from bench.tracking import views
from bench.tracking.trust import trusted_by
from bench.training.collapse import describe
from bench.training.cost import cost
from bench.training.evaluate import evaluate
from bench.training.train import fit


def run(config: DictConfig) -> str | float | list[float]:
    """Train a network, measure the information about input and label in its layers, and track the results.

    Returns:
        The id of the run. If the config has objectives, the value of the only one, or a list of the values of several.
    """
    device = prepare(config)
    data = build(config.dataset, "dataset", Data)
    fill_in(config.model, data)
    model = build_network(config.model, config.seed).to(device)
    check_output(model, data)
    estimators = build_each(config.estimator, "estimator", Estimator)
    diagnostics = build_each(config.diagnostic, "diagnostic", Diagnostic)
    training = prepare_training(config.train, model, data, config.tracking.uri, trusted_by(config))
    asked = cast(dict[str, Any], OmegaConf.to_container(config.probe))  # a mapping in the schema of the config
    epochs, untrained_seeds = {0, *asked.pop("epochs")}, asked.pop("untrained_seeds")
    probe = Probe(model, data, estimators, seed=config.seed, loss=training["loss"], **asked) if estimators else None
    if probe:  # without estimators, a config has no diagnostics
        for diagnostic in diagnostics.values():
            diagnostic.check(probe)
    logged = [name for diagnostic in diagnostics.values() for name in diagnostic.logged]
    check_objectives(config.objectives, model, data, logged, config.train.epochs)

    from bench.sweeps import claims, jobs  # imported after all checks, because MLflow takes seconds to load

    store = tracking.connect(config.tracking.uri, config.tracking.experiment, config.tracking.parent)
    begun, finished = claims.begin(store, config, fingerprint_of(config, data))
    if finished:
        return answer(begun, config.objectives)

    with tracking.ended(begun) as tracked:
        tracked.config(config)
        tracked.param(tracking.DESIGN, jobs.short_design())  # charts of the UI can use parameters, but not tags
        tracked.dataset(data)
        table, failures = LayerTable(), Failures()

        def measure(network: Module, moment: Moment) -> None:
            if probe is None:
                return
            table.extend(probe.measure(network, moment, config.calibration and moment.weights == Weights.BEST))
            for name, diagnostic in failures.remaining(diagnostics):
                with failures.of(name):
                    for details, rows in diagnostic.measure(network, probe, moment).items():
                        table.extend(list(rows), details)

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            tracked.metrics(metrics, step=epoch)
            if epoch in epochs:
                measure(model, Moment(epoch, Weights.EPOCH, config.seed))
                tracked.curves(table.layer_points(epoch))

        try:
            best = fit(model, data, **training, seed=config.seed, on_epoch=on_epoch)
            tracked.weights(model.state_dict())
            measure(model, Moment(best.epoch, Weights.BEST, config.seed))
            for seed in range(config.seed + 1, config.seed + 1 + untrained_seeds):
                untrained = build_network(config.model, seed).to(device)
                measure(untrained, Moment(0, Weights.UNTRAINED, seed))
            table.share_responses()
        finally:
            tracked.table(table.frame, "layers.csv")
            for name, rows in table.details.items():
                if rows:
                    tracked.table(table.detail(name), f"tables/{name}.csv")
        tracked.curves(table.profile_points())

        test, images = evaluate(model, data, "test", seed=config.seed)
        tracked.table(images, "test.csv")
        main = "dice" if "dice" in test else "accuracy"
        table.skips = any(tap.role == "skip" for tap in taps_of(model))
        table.about = f"{data.name} · {jobs.short_design()} · test {main} {test[main]:.3f}"
        costs = cost(model, data.test.images[: config.train.batch_size])
        chosen = {"best_epoch": best.epoch, "val_score": best.val_score, "collapsed": float(best.collapse is not None)}
        for section, values in {"test": test, "cost": costs, "summary": chosen}.items():
            tracked.metrics({f"{section}/{name}": value for name, value in values.items()})
        if best.collapse:
            tracked.tag(tracking.COLLAPSED, best.collapse)
        for name, diagnostic in failures.remaining(diagnostics):
            found = Findings()
            with failures.of(name):
                found = diagnostic(table)
            tracked.findings(found)
        collapse = describe(best.collapse, config.train.epochs)
        tracked.note(views.note_of_run(table.about, costs, f"{collapse}\n{sentences(table) if table.rows else ''}"))
        if config.tracking.parent:
            text = report_of_job(jobs.name(config.seed), test, costs, tracked.id)
        else:
            text = report(table, test, costs, tracked.id, store)
        text += failures_of_parts(table.failed, failures.said) + collapse
        say(text.rstrip())  # also printed if a write can't be logged
    return answer(tracked, config.objectives)


def answer(tracked: tracking.Run, objectives: list[str] | None) -> str | float | list[float]:
    """Return the id of the run, or the values of its objectives: a number for one, a list for several.

    Raises:
        InputError: If the run does not have the metric of an objective.
    """
    if objectives is None:
        return tracked.id
    metrics = tracked.store.client.get_run(tracked.id).data.metrics
    if undefined := [name for name in objectives if name not in metrics]:
        raise InputError(
            f"objectives: got {undefined[0]!r}, which is undefined in run {tracked.id}, wanted a metric that this run "
            "has; the run itself is complete"
        )
    values = [metrics[name] for name in objectives]
    return values[0] if len(values) == 1 else values
