"""The command `measure`: measure the information in the layers of a network that is trained already."""

from __future__ import annotations

from omegaconf import DictConfig
from torch import device as Device
from torch.nn import Module

from bench import tracking
from bench.commands.measurement import Measurement
from bench.config.build import build_data, build_network, check_output, fill_in
from bench.config.origins import Origin, origin_of
from bench.config.prepare import fingerprint_of, prepare
from bench.datasets.data import Data
from bench.errors import InputError
from bench.information.tables import Moment, Weights
from bench.tracking import views
from bench.training.train import loss_function
from bench.training.trial import trial_output, wanted_shape
from bench.training.validation import describe_missed, validate
from models import File, NnUnet
from models.checkpoints import load_weights
from models.outputs import Binary

LATENCY_BATCH = 16


def measure(config: DictConfig) -> str:
    """Measure the information about input and label in the layers of a trained network, and track the results.

    Returns:
        The id of the run.

    Raises:
        InputError: The network can't be built, its weights do not fit, or its output does not fit the data.
    """
    origin = origin_of(config)
    device = prepare(config)
    data = build_data(config)
    fill_in(config.model, data)
    model, loaded = build_trained(config, origin, data, device)
    loss = loss_function(config.loss, data)
    measurement = Measurement(config, model, data, loss)

    from bench.sweeps import claims, jobs  # imported after all checks, because MLflow takes seconds to load

    store = tracking.connect(config.tracking.uri, config.tracking.experiment, config.tracking.parent)
    fingerprint = fingerprint_of(config, data, origin.digest)
    begun, checkpoint = claims.begin(store, config, fingerprint, origin.design, views.MEASURE)
    if checkpoint is None:
        return begun.id

    with tracking.ended(begun) as tracked:
        design = jobs.short_design() if config.tracking.parent else origin.design
        tracked.config(config)
        tracked.param(tracking.DESIGN, design)
        tracked.dataset(data)
        tracked.weights((model.network if isinstance(model, Binary) else model).state_dict())
        try:
            measurement.measure(model, Moment(origin.epoch, Weights.BEST, config.seed))
            for seed in range(config.seed, config.seed + measurement.untrained_seeds):
                if untrained := build_untrained(config, model, data, seed, device):
                    measurement.measure(untrained, Moment(0, Weights.UNTRAINED, seed))
            measurement.table.share_responses()
        finally:
            measurement.log_tables(tracked)
        validated = validate(model, data, loss, origin.epoch)
        missed = validated.predicted.missed
        measurement.conclude(
            tracked,
            model,
            design=design,
            name=jobs.name(config.seed, config.fold),
            summary={"val_score": validated.score}
            | ({} if origin.run is None else {"best_epoch": float(origin.epoch)}),
            missed=missed,
            batch_size=LATENCY_BATCH,
            notes=loaded + (f"{describe_missed(missed)}\n" if missed else ""),
        )
    return tracked.id


def build_trained(config: DictConfig, origin: Origin, data: Data, device: Device) -> tuple[Module, str]:
    """Build the network with its weights.

    A network with two outputs for a binary mask gets one, the difference of the logits.

    Returns:
        The network, and a line about its weights for the report.

    Raises:
        InputError: The weights do not fit the network, there are none, or the output does not fit the data.
    """
    model = build_network(config.model, config.seed)
    if origin.weights is not None:
        try:
            if origin.run is None and isinstance(model, NnUnet):
                model.check_weights(origin.source)
            prefix = load_weights(model, origin.weights, config.prefix)
        except ValueError as error:
            raise InputError(
                f"{error}; it was built for dataset {data.name} with channels: {data.channels}, outputs: {data.outputs}"
            ) from error
        loaded = f"weights: {len(origin.weights)} tensors of {origin.source}"
        loaded += f", whose names begin with {prefix}\n" if prefix else "\n"
    elif isinstance(model, File) or config.weights == "model":
        loaded = "There is no untrained reference, because the network can't be built without its weights.\n"
    else:
        raise InputError(
            "weights: got none, wanted weights=FILE, run=RUN_ID, or model=file model.path=FILE.pt2; weights=model is "
            "for a class that loads its own weights"
        )
    return fitted(model.to(device), data), loaded


def build_untrained(config: DictConfig, model: Module, data: Data, seed: int, device: Device) -> Module | None:
    """Build a network of the same class with new weights; None if it can't be built without the trained ones."""
    inner = model.network if isinstance(model, Binary) else model
    if isinstance(inner, File) or config.weights == "model":
        return None
    untrained = build_network(config.model, seed).to(device)
    return Binary(untrained) if isinstance(model, Binary) else untrained


def fitted(model: Module, data: Data) -> Module:
    """Return a network whose output fits the data: itself, or as `Binary`.

    Raises:
        InputError: The output does not fit.
    """
    if data.task == "segmentation" and data.outputs == 1:
        wanted = (2, *wanted_shape(data)[1:])
        if tuple(trial_output(model, data.train.images).shape[1:]) == wanted:
            model = Binary(model)
    check_output(model, data)
    return model
