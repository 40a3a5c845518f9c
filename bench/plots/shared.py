"""Shared parts of figures: colours and layout."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

UNTRAINED, NULL, CEILING, PLANTED = "0.82", "tab:orange", "0.5", "tab:green"


def column(figure: Figure, panels: int) -> list[Axes]:
    """Create a column of panels."""
    return figure.subplots(panels, 1, squeeze=False)[:, 0].tolist()


def order_by_tap(values: pd.Series, taps: list[str]) -> np.ndarray:
    """Return the values in the order of the taps, with NaN for a tap without a value."""
    return values.reindex(taps).to_numpy(dtype=float)
