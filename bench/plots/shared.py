"""What figures have in common: colours and layout."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

CONTROL, NULL, CEILING, PLANTED = "0.82", "tab:orange", "0.5", "tab:green"


def column(figure: Figure, panels: int) -> list[Axes]:
    return figure.subplots(panels, 1, squeeze=False)[:, 0].tolist()


def along(values: pd.Series, taps: list[str]) -> np.ndarray:
    return values.reindex(taps).to_numpy(dtype=float)
