"""The command `calibrate`: compare estimators with known information, over benchmarks and settings."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import numpy as np
import pandas as pd
import torch
from omegaconf import DictConfig, OmegaConf

from bench import plots, tracking
from bench.config.build import build, build_each, build_network, check_output, error_line, fill_in, require_kind
from bench.config.prepare import prepare, prepare_training
from bench.datasets.data import Data
from bench.datasets.progress import progress
from bench.errors import REFUSALS, EstimationError, InputError
from bench.estimators import Estimator
from bench.information.variables import Variable
from bench.known_truth import Benchmark, plant, with_calibrated_bits, with_response
from bench.known_truth.scores import applicability, scored
from bench.layers.probe import Probe
from bench.layers.selection import named_rng
from bench.tracking.store import connect
from bench.training.train import fit

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Question:
    """A pair of variables with known information, drawn again for each repeat.

    Attributes:
        family: Name of the benchmark, or of the tap on which truth is planted.
        dim: Number of dimensions of t.
        n: Number of samples.
        draw: Function from a generator to t, the target and the information between them in bits. It raises
            EstimationError if no truth can be planted.
    """

    family: str
    dim: int
    n: int
    draw: Callable[[np.random.Generator], tuple[Variable, Variable, float]]


def calibrate(config: DictConfig) -> str:
    """Estimate known information with every estimator; log the table, the scores and the figure.

    Returns:
        The id of the run.

    Raises:
        InputError: If no benchmark supports the bits and dims of the config.
    """
    device = prepare(config)
    estimators = build_each(config.estimator, "estimator", Estimator)
    benchmarks = build_each(config.benchmark, "benchmark", partial)
    from_benchmarks = [*benchmark_questions(config, benchmarks)]
    planting = None if config.planted is None else Planting.of(config, estimators, device)
    if not (from_benchmarks or planting):
        raise InputError("bits and dims: got none that a benchmark supports, wanted values such as bits=[1] dims=[1]")
    store = connect(config.tracking.uri, config.tracking.experiment, config.tracking.parent)
    with tracking.started(store, config.tracking.name or "calibrate", {}, config.tracking.parent) as tracked:
        tracked.config(config)
        rows: list[dict] = []
        try:
            questions = [*from_benchmarks, *(planting.questions(config.seed) if planting else ())]
            for question in progress(questions, "calibrate", "questions", len(questions)):
                rows.extend(answers(question, estimators, config))
        finally:
            tracked.table(pd.DataFrame(rows), "calibration.csv")
        scores = scored(pd.DataFrame(rows))
        tracked.table(scores, "tables/scores.csv")
        tracked.table(applicability(scores), "tables/applicability.csv")
        tracked.figure(
            plots.calibration(scores, "mean and spread of estimates of known information"), "figures/calibration.png"
        )
        tracked.metrics({f"rmse/{name}": value for name, value in scores.groupby("estimator")["rmse"].mean().items()})
        sys.stdout.write(report(scores, tracked.id, store.uri))
    return tracked.id


def benchmark_questions(config: DictConfig, benchmarks: Mapping[str, Callable]) -> Iterator[Question]:
    """Yield a question for each benchmark and each combination of bits, dims and n that the benchmark supports.

    Raises:
        InputError: If a benchmark refuses a setting other than bits and dim.
    """
    for family, make in benchmarks.items():
        for bits in config.bits:
            for dim in config.dims:
                try:
                    benchmark = require_kind(make(bits=float(bits), dim=dim), f"benchmark.{family}", Benchmark)
                except REFUSALS as error:
                    if isinstance(error, InputError) or not str(error).startswith(("bits:", "dim:")):
                        raise InputError(f"benchmark.{family}: {error_line(error)}") from error
                    log.info("%s has no benchmark of %s bits in %s dimensions: %s", family, bits, dim, error)
                    continue
                for n in config.n:
                    yield Question(family, dim, n, _sampler(benchmark, n))


def _sampler(benchmark, n: int) -> Callable:
    """Return a function that draws n samples of a benchmark."""

    def draw(rng):
        t, target = benchmark.sample(n, rng)
        return Variable.of(t), Variable.of(target), benchmark.bits

    return draw


@dataclass(frozen=True)
class Planting:
    """Targets with known information, planted on the layers of a network that is trained for this purpose.

    Each layer gets targets with 0 bits and with the number of bits that `plant` chooses.
    """

    model: torch.nn.Module
    data: Data
    probe: Probe
    training: dict

    @classmethod
    def of(cls, config: DictConfig, estimators: dict[str, Estimator], device: torch.device) -> Planting:
        """Build and check all parts before the network is trained."""
        data = build(config.dataset, "dataset", Data)
        fill_in(config.model, data)
        model = build_network(config.model, config.seed).to(device)
        check_output(model, data)
        asked = cast(dict[str, Any], OmegaConf.to_container(config.planted))  # a mapping in the schema of the config
        probe = Probe(model, data, estimators, seed=config.seed, **asked)
        return cls(model, data, probe, prepare_training(config.train, model, data, config.tracking.uri))

    def questions(self, seed: int) -> Iterator[Question]:
        """Train the network, and yield the questions about every layer of the best checkpoint."""
        fit(self.model, self.data, **self.training, seed=seed, on_epoch=lambda *_: None)
        for view in self.probe.views:
            for captured in list(self.probe.captured(self.model, view))[1:]:
                t = captured.present
                for quantity, _, target in self.probe.views[view].questions:
                    for bits in (0.0, None):
                        family = f"planted {quantity}, {view}, {captured.tap.name}"
                        yield Question(family, t.dim, t.n, _planter(t, target, bits))


def _planter(t: Variable, target: Variable, bits: float | None) -> Callable:
    """Return a function that draws a planted target of t."""

    def draw(rng):
        planted, truth = plant(t, target, rng, bits)
        return replace(t, deterministic=False), planted, truth  # the planted information is finite

    return draw


def answers(question: Question, estimators: dict[str, Estimator], config: DictConfig) -> Iterator[dict]:
    """Yield a row for each repeat and estimator. A refused estimate has a reason in place of bits."""
    for repeat in range(config.repeats):
        here = (config.seed, question.family, question.dim, question.n, repeat)
        row = {"family": question.family, "truth": np.nan, "dim": question.dim, "n": question.n, "repeat": repeat}
        try:
            t, target, truth = question.draw(named_rng(*here, "sample"))
        except EstimationError as error:
            yield from (row | {"estimator": name, "reason": str(error)} for name in estimators)
            continue
        row |= {"truth": truth, "dim": t.dim, "n": t.n}
        for name, estimator in estimators.items():
            rng = named_rng(*here, truth, name)
            try:
                estimate = estimator.estimate(t, target, rng=rng)
                if estimate.null is None:
                    raise EstimationError("reads t alone, which is no question about a pair")
                if config.calibration == "curve" and target.labels is not None:
                    estimate = with_calibrated_bits(estimate, estimator, t, target, rng)
                elif config.calibration:
                    estimate = with_response(estimate, estimator, t, target, rng)
                yield row | {"estimator": name} | estimate.row()
            except EstimationError as error:
                yield row | {"estimator": name, "reason": str(error)}


def report(scores: pd.DataFrame, run_id: str, uri: str) -> str:
    """Format the mean scores of each estimator, and the location of all results."""
    means = scores[scores["repeats"] > 0].groupby("estimator", sort=False)
    columns = ["rmse", "excess_rmse", "spread", "covers_truth", "significant_right", "reliable_right", "seconds"]
    return (
        f"\n{means[columns].mean().round(3).rename_axis(None).to_string()}\n"
        f"means over {scores['family'].nunique()} families of benchmarks; bits, shares, seconds\n"
        f"run {run_id} in {uri}: calibration.csv, tables/, figures/calibration.png\n"
    )
