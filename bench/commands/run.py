"""The command `run`: train a network, measure the information in its layers, and track the results."""

from __future__ import annotations

from omegaconf import DictConfig
from torch.nn import Module

from bench import tracking
from bench.commands.measurement import Measurement
from bench.config.build import build_data, build_network, check_output, fill_in
from bench.config.objectives import check_objectives
from bench.config.prepare import fingerprint_of, prepare, prepare_training
from bench.errors import InputError
from bench.information.tables import Moment, Weights
from bench.tracking.trust import trusted_by
from bench.training.collapse import describe
from bench.training.train import fit


def run(config: DictConfig) -> str | float | list[float]:
    """Train a network, measure the information about input and label in its layers, and track the results.

    Returns:
        The id of the run. If the config has objectives, the value of the only one, or a list of the values of several.
    """
    device = prepare(config)
    data = build_data(config)
    fill_in(config.model, data)
    model = build_network(config.model, config.seed).to(device)
    check_output(model, data)
    training = prepare_training(config.train, model, data, config.tracking.uri, trusted_by(config))
    measurement = Measurement(config, model, data, training["loss"])
    check_objectives(config.objectives, model, data, measurement.logged, config.train.epochs)

    from bench.sweeps import claims, jobs  # imported after all checks, because MLflow takes seconds to load

    store = tracking.connect(config.tracking.uri, config.tracking.experiment, config.tracking.parent)
    begun, checkpoint = claims.begin(store, config, fingerprint_of(config, data))
    if checkpoint is None:
        return answer(begun, config.objectives)

    with checkpoint, tracking.ended(begun) as tracked:
        if "measured" in checkpoint.state:
            measurement.load(checkpoint.state["measured"])
        tracked.config(config)
        tracked.param(tracking.DESIGN, jobs.short_design())  # charts of the UI can use parameters, but not tags
        tracked.dataset(data)

        def measure(network: Module, moment: Moment) -> None:
            measurement.measure(network, moment)
            checkpoint.save(measured=measurement.state())

        def on_epoch(epoch: int, metrics: dict[str, float]) -> None:
            tracked.metrics(metrics, step=epoch)
            if epoch in measurement.epochs:
                measurement.measure(model, Moment(epoch, Weights.EPOCH, config.seed))
                tracked.curves(measurement.table.layer_points(epoch))
            checkpoint.state["measured"] = measurement.state()  # `fit` saves it with its own state

        try:
            best = fit(model, data, **training, seed=config.seed, on_epoch=on_epoch, checkpoint=checkpoint)
            tracked.weights(model.state_dict())
            measure(model, Moment(best.epoch, Weights.BEST, config.seed))
            for seed in range(config.seed + 1, config.seed + 1 + measurement.untrained_seeds):
                measure(build_network(config.model, seed).to(device), Moment(0, Weights.UNTRAINED, seed))
            measurement.table.share_responses()
        finally:
            measurement.log_tables(tracked)
        if best.collapse:
            tracked.tag(tracking.COLLAPSED, best.collapse)
        summary = {
            "best_epoch": best.epoch,
            "val_score": best.val_score,
            "collapsed": float(best.collapse is not None),
        }
        measurement.conclude(
            tracked,
            model,
            design=jobs.short_design(),
            name=jobs.name(config.seed, config.fold),
            summary=summary,
            missed=best.missed,
            batch_size=config.train.batch_size,
            notes=describe(best.collapse, best.missed, config.train.epochs),
        )
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
