"""Diagnostic: what a run measures beyond every layer's own information, and a reading of all that was measured."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import pandas as pd
from matplotlib.figure import Figure
from torch.nn import Module

from bench.errors import InputError, explain
from bench.estimators import Renyi
from bench.information.tables import LayerTable, Moment
from bench.layers.probe import Probe

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """What a diagnostic found, by name: single values, tables and figures; curves are (key, value, step) points."""

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    curves: list[tuple[str, float, int]] = field(default_factory=list)


class Diagnostic(ABC):
    """Reads the LayerTable; one that needs further measurements takes them where the run measures its layers.

    matrix_based: reads what Rényi estimators say of whole images. logged: names of the metrics that it may find, or
    patterns of them (`filters/*`).
    """

    matrix_based = False
    logged: tuple[str, ...] = ()

    def check(self, probe: Probe | None) -> None:
        """Raise InputError, before anything is trained, where this probe can't serve the diagnostic."""
        if not self.matrix_based:
            return
        name = type(self).__name__
        if probe is None or not renyis(probe):
            got = ", ".join(probe.estimators) if probe else "none"
            raise InputError(f"diagnostic {name}: got the estimators {got}, wanted a Rényi one too, such as renyi")
        if "image" not in probe.views:
            raise InputError(f"diagnostic {name}: got probe.views={list(probe.views)}, wanted image among them")

    def measure(self, network: Module, probe: Probe, moment: Moment) -> dict[str, Iterable[dict]]:
        """Rows about a network with these weights: of the LayerTable under `layers`, of others under their names."""
        return {}

    @abstractmethod
    def __call__(self, table: LayerTable) -> Findings:
        """The reading, once training has ended."""


class Failures:
    """Diagnostics that ended in an error of no known kind, and why: one of them must not end a run.

    said: name -> class and message.
    """

    def __init__(self):
        self.said: dict[str, str] = {}

    def left(self, diagnostics: Mapping[str, Diagnostic]) -> list[tuple[str, Diagnostic]]:
        """Those that have not failed, which go on."""
        return [(name, diagnostic) for name, diagnostic in diagnostics.items() if name not in self.said]

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Within: an error of this diagnostic is logged with its traceback and kept."""
        try:
            yield
        except Exception as error:  # from any library beneath; tracking and what concerns the machine go through
            if explain(error):
                raise
            self.said[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            log.warning("diagnostic %s failed; the run continues without it", name, exc_info=error)


def renyis(probe: Probe) -> dict[str, Renyi]:
    """The probe's matrix-based estimators, by name."""
    return {name: estimator for name, estimator in probe.estimators.items() if isinstance(estimator, Renyi)}


def of_each_estimator(
    figure: str, rows: pd.DataFrame, draw: Callable[[pd.DataFrame, str], Figure]
) -> dict[str, Figure]:
    """A figure for the rows of each estimator, titled by its name; the first is `figure`, others `figure.ESTIMATOR`."""
    drawn = {name: draw(part, name) for name, part in rows.groupby("estimator", sort=False)}
    return {f"{figure}.{name}" if number else figure: each for number, (name, each) in enumerate(drawn.items())}
