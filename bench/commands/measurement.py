"""Measurement: what `run` and `measure` share, from the probe to the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from omegaconf import DictConfig, OmegaConf
from torch.nn import Module

from bench import tracking
from bench.commands.report import failures_of_parts, report, report_of_job, sentences
from bench.config.build import build_each
from bench.datasets.data import Data
from bench.datasets.progress import say
from bench.diagnostics import Diagnostic
from bench.diagnostics.base import Failures, Findings
from bench.estimators import Estimator
from bench.information.tables import LayerTable, Moment, Weights
from bench.layers.hooks import Loss
from bench.layers.probe import Probe
from bench.layers.selection import taps_of
from bench.tracking import views
from bench.training.cost import cost
from bench.training.evaluate import evaluate


class Measurement:
    """The estimators and diagnostics of a config, and what they measure of networks of one design.

    Args:
        config: Config of the command, with estimator, diagnostic, calibration, probe and seed.
        model: A network of the design.
        data: The dataset.
        loss: Training loss, for diagnostics that read the errors of back-propagation.

    Attributes:
        table: The rows that were measured.
        epochs: Epochs of training to measure.
        untrained_seeds: Number of untrained references.
        measured: Names of the moments that were measured.

    Raises:
        InputError: A component or a setting of the probe is refused.
    """

    def __init__(self, config: DictConfig, model: Module, data: Data, loss: Loss):
        self.config, self.data = config, data
        estimators = build_each(config.estimator, "estimator", Estimator)
        self.diagnostics = build_each(config.diagnostic, "diagnostic", Diagnostic)
        asked = cast(dict[str, Any], OmegaConf.to_container(config.probe))  # a mapping in the schema of the config
        self.epochs, self.untrained_seeds = {0, *asked.pop("epochs", ())}, asked.pop("untrained_seeds")
        self.probe = Probe(model, data, estimators, seed=config.seed, loss=loss, **asked) if estimators else None
        if self.probe:  # without estimators, a config has no diagnostics
            for diagnostic in self.diagnostics.values():
                diagnostic.check(self.probe)
        self.table, self.failures = LayerTable(), Failures()
        self.measured: list[str] = []

    @property
    def logged(self) -> list[str]:
        """Names and patterns of the metrics of the diagnostics."""
        return [name for diagnostic in self.diagnostics.values() for name in diagnostic.logged]

    def measure(self, network: Module, moment: Moment) -> None:
        """Add the rows of a network to the table, unless a checkpoint had them."""
        if self.probe is None or str(moment) in self.measured:
            return
        calibrate = self.config.calibration if moment.weights == Weights.BEST else False
        self.table.extend(self.probe.measure(network, moment, calibrate))
        for name, diagnostic in self.failures.remaining(self.diagnostics):
            with self.failures.of(name):
                for details, rows in diagnostic.measure(network, self.probe, moment).items():
                    self.table.extend(list(rows), details)
        self.measured.append(str(moment))

    def state(self) -> dict[str, Any]:
        """Return what was measured so far, for a checkpoint."""
        table = self.table
        return {"rows": table.rows, "details": table.details, "said": self.failures.said, "measured": self.measured}

    def load(self, state: Mapping[str, Any]) -> None:
        """Continue with what was measured before, as `state` returned it."""
        self.table.rows, self.table.details = state["rows"], state["details"]
        self.failures.said, self.measured = state["said"], state["measured"]

    def log_tables(self, tracked: tracking.Run) -> None:
        """Log the tables as they are."""
        tracked.table(self.table.frame, "layers.csv")
        for name, rows in self.table.details.items():
            if rows:
                tracked.table(self.table.detail(name), f"tables/{name}.csv")

    def conclude(
        self,
        tracked: tracking.Run,
        model: Module,
        *,
        design: str,
        name: str,
        summary: Mapping[str, float],
        missed: Sequence[str],
        batch_size: int,
        notes: str = "",
    ) -> None:
        """Evaluate a network on test data, measure its cost, run the diagnostics, and log and print the results.

        Args:
            tracked: The run.
            model: The network with the weights of its best checkpoint.
            design: Short name of the design.
            name: Name of the run in a sweep.
            summary: Further metrics of the section `summary`.
            missed: Names of the classes of the validation data that the network never predicts.
            batch_size: Number of images in the batch whose latency is measured.
            notes: Lines that end the report.
        """
        table = self.table
        tracked.curves(table.profile_points())
        test, images = evaluate(model, self.data, "test", seed=self.config.seed)
        tracked.table(images, "test.csv")
        main = "dice" if "dice" in test else "accuracy"
        table.skips = any(tap.role == "skip" for tap in taps_of(model))
        table.patients = len(set(self.probe.samples.groups)) if self.probe else None
        table.about = f"{self.data.name} · {design} · test {main} {test[main]:.3f}"
        costs = cost(model, self.data.test.images[:batch_size])
        sample = "patch" if self.data.volumes else "image"
        if missed:
            tracked.tag(tracking.MISSED, ", ".join(missed))
        summary = {**summary, "missed_classes": float(len(missed))}
        for section, values in {"test": test, "cost": costs, "summary": summary}.items():
            tracked.metrics({f"{section}/{key}": value for key, value in values.items()})
        for each, diagnostic in self.failures.remaining(self.diagnostics):
            found = Findings()
            with self.failures.of(each):
                found = diagnostic(table)
            tracked.findings(found)
        tracked.note(
            views.note_of_run(table.about, costs, f"{notes}\n{sentences(table) if table.rows else ''}", sample)
        )
        if self.config.tracking.parent:
            text = report_of_job(name, test, costs, tracked.id, sample)
        else:
            text = report(table, test, costs, tracked.id, tracked.store, sample)
        text += failures_of_parts(table.failed, self.failures.said) + notes
        say(text.rstrip())  # also printed if a write can't be logged
