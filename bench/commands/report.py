"""The report that a run prints when it ends."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import pandas as pd

from bench.information.tables import I_TY, I_XT, LayerTable
from bench.tracking import views

if TYPE_CHECKING:
    from bench.tracking.store import Store

Column = tuple[str, pd.Series]  # the heading, which can occur twice in a table, and the text of each tap
HEADS = {"ceiling": "ceiling", "null_mean": "null"}


def report(table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, store: Store) -> str:
    """Format the information in each tap, the scores on test data, the costs, and how to open the UI.

    Whole images have I(X;T) and I(T;Y) by the primary estimator. The other views have the excess of I(T;Y) over its
    null by every estimator.

    Args:
        table: Rows of the run, in bits.
        test: Metrics on test data, by name.
        costs: Costs of the network, by name.
        run_id: Id of the run.
        store: Store that holds the run.
    """
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"{''.join(_view(table, view) for view in table.views)}\nbits of the best checkpoint; layers.csv of the run "
        f"has all rows with their intervals\n\ntest {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} "
        f"parameters   {costs['flops'] / 1e6:,.1f} MFLOPs an image   {costs['latency_ms']:.0f} ms "
        f"for {costs['latency_batch']:.0f} images\nrun {run_id} in {store.uri}\n"
        f"{views.ui_address(store.uri, store.experiment_id)}"
    )


def failures_of_parts(estimates: int, diagnostics: Mapping[str, str]) -> str:
    """Format a line for the estimates, and one for each diagnostic, that ended in an unexpected error.

    Args:
        estimates: Number of estimates that failed.
        diagnostics: Class and message of the error of each diagnostic that failed, by name.

    Examples:
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
    """Format the estimates of the best checkpoint in a view, without quantities and estimators that have none."""
    if view == "image":
        columns, title = _images(table), f"whole images, estimator {table.estimators[0]}"
    else:
        columns, title = _locations(table, view), f"{view} view: excess of I(T;Y) over its null"
    if not columns:
        return f"\n{title}: no estimate; layers.csv has the reasons\n"
    shown = pd.concat([column for _, column in columns], axis=1).rename_axis(None)
    return f"\n{shown.to_string(header=[name for name, _ in columns])}\n{title}\n"


def _images(table: LayerTable) -> list[Column]:
    """Build the columns of both quantities in whole images, with null, ceiling and reliability."""
    columns: list[Column] = []
    for quantity, extra in ((I_XT, ("ceiling",)), (I_TY, ("null_mean", "ceiling"))):
        rows = table.best(view="image")
        rows = rows[rows["quantity"] == quantity].set_index("tap")
        if rows["bits"].notna().any():
            columns.append((quantity, rows["bits"].map(_bits)))
            columns += [(HEADS[name], rows[name].map(_bits)) for name in extra]
            columns.append(("reliable", _reliable(rows)))
    return columns


def _locations(table: LayerTable, view: str) -> list[Column]:
    """Build the columns of the excess by every estimator in a view of locations."""
    columns: list[Column] = []
    for estimator in table.estimators:
        rows = table.best(estimator, view).set_index("tap")
        if rows["bits"].notna().any():
            columns += [(estimator, rows["excess"].map(_bits)), ("reliable", _reliable(rows))]
    return columns


def _bits(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _reliable(rows: pd.DataFrame) -> pd.Series:
    """Return yes, no, `reference` if only untrained references can judge the number, or - if there is no number."""
    words = rows["reliable"].map({True: "yes", False: "no"}).fillna("reference")
    return words.where(rows["bits"].notna(), "-")
