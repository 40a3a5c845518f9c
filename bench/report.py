"""The few lines that a run ends with on the terminal."""

from __future__ import annotations

import pandas as pd

from bench.tables import I_TY, I_XT, LayerTable


def report(table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, uri: str) -> str:
    """Per tap the primary estimator's I(X;T) and I(T;Y); every estimator's excess by pixels; test figures; the UI."""
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"{''.join(_view(table, view) for view in table.views)}\n"
        f"bits, best checkpoint; all rows with their intervals: layers.csv of the run\n\n"
        f"test {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} parameters   "
        f"{costs['flops'] / 1e6:,.1f} MFLOPs an image   {costs['latency_ms']:.0f} ms "
        f"for {costs['latency_batch']:.0f} images\n"
        f"run {run_id} in {uri}\n"
        f"open the UI: make ui, or: mlflow ui --host 127.0.0.1 --backend-store-uri {uri}\n"
    )


def _view(table: LayerTable, view: str) -> str:
    if view == "image":
        return f"\n{_images(table).rename_axis(None).to_string()}\nwhole images, estimator {table.estimators[0]}\n"
    columns = {}
    for estimator in table.estimators:
        rows = table.primary(estimator, view)
        rows = rows[rows["weights"] == "best"].set_index("tap")
        if rows["bits"].notna().any():
            columns[estimator] = rows["excess"].map(_bits)
            columns["reliable" + " " * len(columns)] = rows["reliable"].map(_word)
    return f"\n{pd.DataFrame(columns).rename_axis(None).to_string()}\n{view} view: excess of I(T;Y) over its null\n"


def _images(table: LayerTable) -> pd.DataFrame:
    rows = table.primary(view="image")
    rows = rows[rows["weights"] == "best"]
    xt = rows[rows["quantity"] == I_XT].set_index("tap")
    ty = rows[rows["quantity"] == I_TY].set_index("tap")
    return pd.DataFrame(
        {
            I_XT: xt["bits"].map(_bits),
            "ceiling": xt["ceiling"].map(_bits),
            "reliable": xt["reliable"].map(_word),
            I_TY: ty["bits"].map(_bits),
            "null": ty["null_mean"].map(_bits),
            "ceiling ": ty["ceiling"].map(_bits),
            "reliable ": ty["reliable"].map(_word),
        }
    )


def _bits(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _word(value: bool | None) -> str:
    return "control" if value is None or pd.isna(value) else "yes" if value else "no"
