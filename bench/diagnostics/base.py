"""Diagnostic: a reading of the LayerTable in metrics, tables and figures."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

import pandas as pd
from matplotlib.figure import Figure

from bench.tables import LayerTable


@dataclass(frozen=True)
class Findings:
    """What a diagnostic found, by name: single values, tables and figures."""

    metrics: dict[str, float] = field(default_factory=dict)
    tables: dict[str, pd.DataFrame] = field(default_factory=dict)
    figures: dict[str, Figure] = field(default_factory=dict)


class Diagnostic(Protocol):
    def __call__(self, table: LayerTable) -> Findings: ...
