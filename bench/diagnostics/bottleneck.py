"""The bottleneck: where the narrowest tap lies, what it keeps, and what passes by it."""

from __future__ import annotations

import pandas as pd

from bench.diagnostics.base import Diagnostic, Findings
from bench.information.tables import I_TY, I_XT, LayerTable


class Bottleneck(Diagnostic):
    """Reads the best checkpoint's profile of every estimator; metrics are those of the primary one.

    The narrowest tap is the one of least I(X;T) between input and output, by its excess where a null exists.
    place: where it lies, 0 to 100. xt, ty: what it keeps of X and of Y, bits (I(T;Y) as excess over its null). kept_x,
    kept_y: the same as shares of what the first tap has of X, and of the most that any tap has of Y. bypass_x,
    bypass_y: how much more a later tap has than the narrowest one, bits: in a chain without skips nothing could, so
    this passed by it. These are readings of the estimates, and no more comparable between taps than they are: see each
    row's ceiling and `reliable`.
    """

    logged = tuple(
        f"summary/bottleneck.{name}" for name in ("place", "xt", "ty", "kept_x", "kept_y", "bypass_x", "bypass_y")
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
        "place": float(xt["place"][narrowest]),
        "xt": kept_x,
        "ty": kept_y,
        "kept_x": kept_x / float(xt["bits"].iloc[0]) if xt["bits"].iloc[0] else float("nan"),
        "kept_y": kept_y / float(most_y) if most_y > 0 else float("nan"),
        "bypass_x": float(xt["bits"][later].max()) - kept_x,
        "bypass_y": float(ty.reindex(later).max()) - kept_y,
    }
