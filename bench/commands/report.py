"""The few lines that a run ends with on the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from bench.information.tables import I_TY, I_XT, LayerTable
from bench.tracking import views

if TYPE_CHECKING:
    from bench.tracking.store import Store

Column = tuple[str, pd.Series]  # its head, which may stand twice in a table, and its words by tap
HEADS = {"ceiling": "ceiling", "null_mean": "null"}


def report(table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, store: Store) -> str:
    """Per tap the primary estimator's I(X;T) and I(T;Y); every estimator's excess by pixels; test figures; the UI."""
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"{''.join(_view(table, view) for view in table.views)}\n"
        f"bits, best checkpoint; all rows with their intervals: layers.csv of the run\n\n"
        f"test {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} parameters   "
        f"{costs['flops'] / 1e6:,.1f} MFLOPs an image   {costs['latency_ms']:.0f} ms "
        f"for {costs['latency_batch']:.0f} images\n"
        f"run {run_id} in {store.uri}\n"
        f"{views.opening(store.uri, store.experiment_id)}"
    )


def failures_of_parts(estimates: int, diagnostics: Mapping[str, str]) -> str:
    """A line for the estimates, and one for each diagnostic, that ended in an error of no known kind.

    >>> failures_of_parts(2, {})
    '2 estimates failed with an error: the reasons are in layers.csv, the tracebacks in the log\\n'
    """
    lines = [
        f"diagnostic {name} failed: {reason}; its traceback is in the log\n" for name, reason in diagnostics.items()
    ]
    if estimates:
        lines.insert(
            0, f"{estimates} estimates failed with an error: the reasons are in layers.csv, the tracebacks in the log\n"
        )
    return "".join(lines)


def _view(table: LayerTable, view: str) -> str:
    """The best checkpoint's numbers; a quantity or an estimator that has none is left out."""
    if view == "image":
        columns, title = _images(table), f"whole images, estimator {table.estimators[0]}"
    else:
        columns, title = _locations(table, view), f"{view} view: excess of I(T;Y) over its null"
    if not columns:
        return f"\n{title}: no estimate, for the reasons in layers.csv\n"
    shown = pd.concat([column for _, column in columns], axis=1).rename_axis(None)
    return f"\n{shown.to_string(header=[name for name, _ in columns])}\n{title}\n"


def _images(table: LayerTable) -> list[Column]:
    """Both quantities in whole images; the numbers beside them that tell how far to believe them."""
    columns: list[Column] = []
    for quantity, beside in ((I_XT, ("ceiling",)), (I_TY, ("null_mean", "ceiling"))):
        rows = table.best(view="image")
        rows = rows[rows["quantity"] == quantity].set_index("tap")
        if rows["bits"].notna().any():
            columns.append((quantity, rows["bits"].map(_bits)))
            columns += [(HEADS[name], rows[name].map(_bits)) for name in beside]
            columns.append(("reliable", _reliable(rows)))
    return columns


def _locations(table: LayerTable, view: str) -> list[Column]:
    """The excess by every estimator at locations."""
    columns: list[Column] = []
    for estimator in table.estimators:
        rows = table.best(estimator, view).set_index("tap")
        if rows["bits"].notna().any():
            columns += [(estimator, rows["excess"].map(_bits)), ("reliable", _reliable(rows))]
    return columns


def _bits(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _reliable(rows: pd.DataFrame) -> pd.Series:
    """Words: `control` where only the untrained networks can tell, - where there is no number."""
    words = rows["reliable"].map({True: "yes", False: "no"}).fillna("control")
    return words.where(rows["bits"].notna(), "-")
