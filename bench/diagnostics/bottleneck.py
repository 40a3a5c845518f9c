"""The bottleneck: the tap with the least I(X;T), the information it keeps, and the information that bypasses it."""

from __future__ import annotations

import pandas as pd

from bench.diagnostics.base import Diagnostic, Findings
from bench.information.tables import I_TY, I_XT, LayerTable


class Bottleneck(Diagnostic):
    """Describes the narrowest tap of the best checkpoint, for every estimator. Metrics are of the primary estimator.

    The narrowest tap has the least I(X;T) between input and output, by the excess if all taps have a null. Information
    about Y is the excess of I(T;Y) over its null. In a chain without skips, no later tap can have more information than
    the narrowest tap, so the additional information of a later tap has bypassed it. The values are as comparable
    between taps as the estimates are: see the ceiling and `reliable` of each row.

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
            between = xt[xt["role"] != "output"]
            if len(between) and between.index.isin(ty.index).all():
                size = "excess" if between["excess"].notna().all() else "bits"
                readings.append({"estimator": estimator, **_read(xt, ty["excess"], between[size].idxmin())})
        if not readings:
            return Findings()
        primary = {key: value for key, value in readings[0].items() if isinstance(value, float)}
        metrics = {f"summary/bottleneck.{key}": value for key, value in primary.items()}
        return Findings(metrics=metrics, tables={"bottleneck": pd.DataFrame(readings)})


def _read(xt: pd.DataFrame, ty: pd.Series, narrowest: str) -> dict:
    later = xt.index[xt["order"] >= xt["order"][narrowest]]
    kept_x, kept_y = float(xt["bits"][narrowest]), float(ty[narrowest])
    most_y = ty.max()
    return {
        "tap": narrowest,
        "relative_depth": float(xt["relative_depth"][narrowest]),
        "xt": kept_x,
        "ty": kept_y,
        "kept_x": kept_x / float(xt["bits"].iloc[0]) if xt["bits"].iloc[0] else float("nan"),
        "kept_y": kept_y / float(most_y) if most_y > 0 else float("nan"),
        "bypass_x": float(xt["bits"][later].max()) - kept_x,
        "bypass_y": float(ty.reindex(later).max()) - kept_y,
    }
