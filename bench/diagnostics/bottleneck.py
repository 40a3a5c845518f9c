"""The bottleneck: the narrowest tap, the information it keeps, and the information that bypasses it."""

from __future__ import annotations

import pandas as pd

from bench.diagnostics.base import Diagnostic, Findings
from bench.information.tables import I_TY, I_XT, LayerTable


class Bottleneck(Diagnostic):
    """Describes the narrowest tap of the best checkpoint, for every estimator. Metrics are of the primary estimator.

    The narrowest tap has the least I(X;T) between input and output, by the excess if all taps have a null. If the
    estimator has no I(X;T), as in views of locations, it is the last tap of the network's bottleneck. Information about
    Y is the excess of I(T;Y) over its null. In a chain without skips, no later tap can have more information than the
    narrowest tap, so the additional information of a later tap has bypassed it. The values are as comparable between
    taps as the estimates are: see the ceiling and `reliable` of each row.

    - `relative_depth`: relative depth of the narrowest tap, 0 to 100.
    - `xt`, `ty`: its information about X and about Y, bits.
    - `kept_x`, `kept_y`: the same as a share of the information of the first tap about X, and as a share of the largest
      information of any tap about Y.
    - `bypass_x`, `bypass_y`: largest information of a later tap minus that of the narrowest tap, bits.
    """

    logged = tuple(
        f"summary/bottleneck.{name}"
        for name in ("relative_depth", "xt", "ty", "kept_x", "kept_y", "bypass_x", "bypass_y")
    )

    def __call__(self, table: LayerTable) -> Findings:
        readings = []
        for estimator in table.estimators:
            rows = table.profile(estimator)
            xt = rows[rows["quantity"] == I_XT].set_index("tap")
            ty = rows[rows["quantity"] == I_TY].set_index("tap")
            if (narrowest := _narrowest(xt, ty)) is not None:
                readings.append({"estimator": estimator, "tap": narrowest} | _read(xt, ty, narrowest))
        if not readings:
            return Findings()
        primary = {key: value for key, value in readings[0].items() if isinstance(value, float)}
        metrics = {f"summary/bottleneck.{key}": value for key, value in primary.items()}
        return Findings(metrics=metrics, tables={"bottleneck": pd.DataFrame(readings)})


def _narrowest(xt: pd.DataFrame, ty: pd.DataFrame) -> str | None:
    """Return the narrowest tap, or None if the rows do not determine one."""
    between = xt[xt["role"] != "output"]
    if len(between):
        size = "excess" if between["excess"].notna().all() else "bits"
        return between[size].idxmin() if between.index.isin(ty.index).all() else None
    bottleneck = ty.index[(ty["role"] == "bottleneck") & ty["excess"].notna()]
    return bottleneck[-1] if len(bottleneck) else None


def _read(xt: pd.DataFrame, ty: pd.DataFrame, narrowest: str) -> dict:
    """Return the values at the narrowest tap, in bits. Values about X are left out if there is no I(X;T)."""
    values = {"relative_depth": float(ty["relative_depth"][narrowest])}
    largest = {"x": xt["bits"].head(1).sum(), "y": ty["excess"].max()}
    for key, rows, column in (("xt", xt, "bits"), ("ty", ty, "excess")):
        if len(rows):
            about, kept = key.strip("t"), float(rows[column][narrowest])
            later = rows[rows["order"] >= rows["order"][narrowest]]
            values[key] = kept
            values[f"kept_{about}"] = kept / largest[about] if largest[about] > 0 else float("nan")
            values[f"bypass_{about}"] = float(later[column].max()) - kept
    return values
