"""The few lines that a run ends with on the terminal."""

from __future__ import annotations

import pandas as pd

from bench.tables import I_TY, I_XT, LayerTable


def report(table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, uri: str) -> str:
    """Per tap I(X;T), I(T;Y), the null of I(T;Y), ceilings and `reliable`; test figures; how to open the UI."""
    rows = table.primary()
    rows = rows[rows["weights"] == "best"]
    xt = rows[rows["quantity"] == I_XT].set_index("tap")
    ty = rows[rows["quantity"] == I_TY].set_index("tap")
    lines = pd.DataFrame(
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
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"\n{lines.rename_axis(None).to_string()}\n"
        f"bits, best checkpoint, estimator {table.estimators[0]}; all rows: layers.csv of the run\n\n"
        f"test {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} parameters   "
        f"{costs['flops'] / 1e6:,.1f} MFLOPs an image   {costs['latency_ms']:.0f} ms "
        f"for {costs['latency_batch']:.0f} images\n"
        f"run {run_id} in {uri}\n"
        f"open the UI: make ui, or: mlflow ui --host 127.0.0.1 --backend-store-uri {uri}\n"
    )


def _bits(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _word(value: bool | None) -> str:
    return "control" if value is None or pd.isna(value) else "yes" if value else "no"
