"""Diagnostic: measurements beyond the information in each layer, and the analysis of all measurements of a run."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pandas as pd
from torch.nn import Module

from bench import plots
from bench.errors import InputError, explain
from bench.estimators import Renyi
from bench.information.tables import LayerTable, Moment
from bench.layers.probe import Probe

if TYPE_CHECKING:
    from matplotlib.figure import Figure

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Findings:
    """Results of a diagnostic, by name.

    Attributes:
        metrics: Single values.
        tables: Tables.
        figures: Figures.
        curves: Points (key, value, step).
    """

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)
    curves: list[tuple[str, float, int]] = field(default_factory=list)


class Diagnostic(ABC):
    """Analyses the LayerTable. A diagnostic that needs further measurements takes them when the run measures layers.

    Attributes:
        matrix_based: Whether the diagnostic reads Rényi estimates of whole images.
        logged: Names of the metrics that the diagnostic may return, or patterns of names (`filters/*`).
    """

    matrix_based = False
    logged: tuple[str, ...] = ()

    def check(self, probe: Probe) -> None:
        """Raise InputError, before training, if the diagnostic needs another estimator or view of the probe."""
        if not self.matrix_based:
            return
        name = type(self).__name__
        if not renyi_estimators(probe):
            got = ", ".join(probe.estimators)
            raise InputError(f"diagnostic {name}: got the estimators {got}, wanted also a Rényi one, such as renyi")
        if "image" not in probe.views:
            raise InputError(f"diagnostic {name}: got probe.views={list(probe.views)}, wanted also image")

    def measure(self, network: Module, probe: Probe, moment: Moment) -> Mapping[str, Iterable[dict]]:
        """Measure a network and return rows by the name of their table; rows of the LayerTable are under `layers`.

        Args:
            network: The network.
            probe: The probe of the run.
            moment: The epoch and kind of the weights.
        """
        return {}

    @abstractmethod
    def __call__(self, table: LayerTable) -> Findings:
        """Analyse the measurements after training."""


class Failures:
    """Diagnostics that failed with an unexpected error. Such an error does not end the run.

    Attributes:
        said: Class and message of each error, by the name of the diagnostic.
    """

    def __init__(self):
        self.said: dict[str, str] = {}

    def remaining(self, diagnostics: Mapping[str, Diagnostic]) -> list[tuple[str, Diagnostic]]:
        """Return the diagnostics that have not failed."""
        return [(name, diagnostic) for name, diagnostic in diagnostics.items() if name not in self.said]

    @contextmanager
    def of(self, name: str) -> Iterator[None]:
        """Log an unexpected error of this diagnostic within the context, with its traceback, and store it."""
        try:
            yield
        except Exception as error:  # from any library; errors of tracking and of the machine are raised again
            if explain(error):
                raise
            self.said[name] = f"{type(error).__name__}: {' '.join(str(error).split())}"
            log.warning("diagnostic %s failed; the run continues without it", name, exc_info=error)


def renyi_estimators(probe: Probe) -> dict[str, Renyi]:
    """Return the matrix-based estimators of the probe, by name."""
    return {name: estimator for name, estimator in probe.estimators.items() if isinstance(estimator, Renyi)}


def figures_by_estimator(
    figure: str, rows: pd.DataFrame, draw: Callable[[pd.DataFrame, str], Figure], about: str = ""
) -> dict[str, Figure]:
    """Draw a figure of the rows of each estimator.

    Args:
        figure: Name of the figure.
        rows: Rows with a column estimator.
        draw: Draws rows under a title.
        about: First line of the title: `LayerTable.about`. The second line names the estimator.

    Returns:
        Figures by name: `figure` for the first estimator, `figure.ESTIMATOR` for the others.
    """
    drawn = {
        name: draw(part, plots.heading(about, f"estimator {name}"))
        for name, part in rows.groupby("estimator", sort=False)
    }
    return {f"{figure}.{name}" if number else figure: each for number, (name, each) in enumerate(drawn.items())}
