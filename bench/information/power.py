"""Power: how many samples show information that was planted, by view, estimator and dimension."""

from __future__ import annotations

import numpy as np
import pandas as pd

DOSES = (0.1, 0.25, 0.5, 1.0)  # bits
MOST = 2000  # samples of the largest draws of the whole study
MORE = np.inf  # not seen with so many samples
SAMPLES = {"image": "images", "pixel": "locations"}

# The least n of 64, 128, 256, 500, 1000 and 2000 (one cell: 5000) from which a dose is significant in 80 % of draws,
# for each of DOSES, by (view, estimator) and the columns of the layer. Measured by tests/studies/power.py:
# docs/results/power.md
POWER: dict[tuple[str, str], dict[int, tuple[float, float, float, float]]] = {
    ("image", "ksg_mixture"): {64: (500, 128, 64, 64), 16384: (1000, 256, 128, 64), 65536: (2000, 500, 128, 64)},
    ("image", "probe"): {64: (1000, 500, 128, 64), 16384: (MORE, 5000, 1000, 256), 65536: (MORE, MORE, 1000, 256)},
    ("image", "renyi_2"): {64: (256, 128, 64, 64), 16384: (500, 256, 128, 64), 65536: (500, 500, 128, 64)},
    ("image", "gaussian"): {64: (500, 256, 64, 64), 16384: (500, 256, 128, 64), 65536: (500, 500, 128, 128)},
    ("image", "variates"): {64: (1000, 256, 64, 64), 16384: (2000, 256, 256, 64), 65536: (2000, 500, 256, 64)},
    ("pixel", "ksg_mixture"): {8: (1000, 256, 64, 64), 32: (1000, 256, 128, 64), 128: (1000, 256, 128, 64)},
    ("pixel", "probe"): {8: (1000, 500, 256, 128), 32: (2000, 1000, 256, 256), 128: (2000, 1000, 500, 256)},
    ("pixel", "renyi_2"): {8: (1000, 128, 64, 64), 32: (1000, 256, 128, 64), 128: (500, 256, 128, 64)},
    ("pixel", "gaussian"): {8: (1000, 128, 128, 64), 32: (500, 256, 128, 64), 128: (500, 256, 128, 64)},
}


def power_line(rows: pd.DataFrame, patients: int | None = None) -> str:
    """Say in a line which information so few samples can show, by the layer that needs most of them.

    Args:
        rows: Rows of one estimator and view about the label, with n and dim. Rows without an estimate do not count.
        patients: Number of patients, or of other groups, if they have several images each. In the image view they are
            counted in place of images.

    Returns:
        The line; an empty text if n is enough for the smallest dose, or if the study has no such estimator or view.

    Examples:
        >>> rows = pd.DataFrame([{"estimator": "gaussian", "view": "image", "bits": 0.2, "n": 300, "dim": 64}])
        >>> power_line(rows)
        '300 images show 0.25 bits or more (gaussian, image view); 0.1 bits need about 500: docs/results/power.md\\n'
        >>> power_line(rows.assign(n=500))
        ''
        >>> power_line(rows, patients=44)[:70]
        '44 patients (groups of images) do not show 1 bit (gaussian, image view'
    """
    rows = rows[rows["bits"].notna() & rows["n"].notna() & rows["dim"].notna()]
    if rows.empty:
        return ""
    estimator, view, n = rows["estimator"].iloc[0], rows["view"].iloc[0], rows["n"].min()
    by_columns = POWER.get((view, estimator), {})
    if not by_columns:
        return ""
    samples = SAMPLES[view]
    if view == "image" and patients is not None and patients < n:
        n, samples = patients, "patients (groups of images)"
    nearest = {min(by_columns, key=lambda columns: abs(np.log(columns / dim))) for dim in rows["dim"]}
    needed = np.max([by_columns[columns] for columns in nearest], axis=0)
    if n >= needed[0]:
        return ""
    seen = [dose for dose, least in zip(DOSES, needed, strict=True) if n >= least]
    shows = f"show {seen[0]:g} bits or more" if seen else f"do not show {DOSES[-1]:g} bit"
    need = f"more than {MOST:,}" if needed[0] > MOST else f"about {needed[0]:,.0f}"
    return (
        f"{n:,.0f} {samples} {shows} ({estimator}, {view} view); {DOSES[0]:g} bits need {need}: docs/results/power.md\n"
    )
