"""Discarded information: curves over the layers, and maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from bench.plots.shared import UNTRAINED, column

PANELS = {
    "sid": "SID [bits]",
    "concentration": "concentration [bits]",
    "ru": "RU [bits]",
    "reconstruction_error": "squared error of decoder",
}
KINDS = {
    "maps": ("tap", "entropy of the largest noise of each cell"),
    "carried": ("closed", "carried by this skip alone"),
}
MOST_IMAGES, MOST_MAPS = 3, 12
CELL = 1.15  # inches


def discarding(rows: pd.DataFrame) -> Figure:
    """Draw each measure against the layer: best checkpoint with its spread over images, untrained and damaged networks.

    Args:
        rows: Rows with weights, epoch, seed, tap, order, image, and measures of `PANELS`.
    """
    panels = {name: label for name, label in PANELS.items() if name in rows and rows[name].notna().any()}
    taps = rows.drop_duplicates("tap").sort_values("order")["tap"].tolist()
    figure = Figure(figsize=(max(6, 0.4 * len(taps) + 2), 2.6 * len(panels)), layout="constrained")
    for axes, (name, label) in zip(column(figure, len(panels)), panels.items(), strict=True):
        of = {weights: part for weights, part in rows.groupby("weights")}
        untrained = rows[rows["weights"] == "untrained"]
        if untrained[name].notna().any():
            means = untrained.groupby(["seed", "tap"])[name].mean().groupby("tap").agg(["min", "max"])
            means = means.reindex(taps)
            axes.fill_between(range(len(taps)), means["min"], means["max"], color=UNTRAINED, lw=3, label="untrained")
        if "damaged" in of:
            axes.plot(
                of["damaged"].groupby("tap")[name].mean().reindex(taps).to_numpy(),
                "--",
                color="tab:red",
                lw=1,
                label="damaged",
            )
        best = of["best"].groupby("tap")[name].agg(["mean", "std"]).reindex(taps)
        axes.errorbar(
            range(len(taps)), best["mean"], best["std"].fillna(0), fmt="o-", ms=3, lw=1, capsize=2, label="trained"
        )
        if name == "sid":
            most = of["best"].groupby("tap")["sid_running_max"].mean().reindex(taps)
            axes.plot(most.to_numpy(), ":", color="tab:blue", lw=1, label="running maximum")
        if name == "reconstruction_error":
            axes.set_yscale("log")
        axes.set_xticks(range(len(taps)), taps, rotation=90, fontsize=7)
        axes.set_ylabel(label, fontsize=8)
        axes.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)
    figure.suptitle("bars: spread over images", fontsize=8)
    return figure


def over_epochs(rows: pd.DataFrame, name: str) -> Figure:
    """Draw a measure by layer and epoch, as the mean over images.

    Args:
        rows: Rows with epoch, tap, order and the measure.
        name: Name of the measure.
    """
    table = rows.pivot_table(index="epoch", columns="tap", values=name, sort=True)
    table = table[rows.drop_duplicates("tap").sort_values("order")["tap"]]
    figure = Figure(figsize=(max(6, 0.4 * table.shape[1] + 2), 0.4 * len(table) + 2), layout="constrained")
    axes = figure.subplots()
    most = float(np.nanmax(np.abs(table.to_numpy())))
    shown = axes.imshow(table.to_numpy(), aspect="auto", cmap="RdBu_r", vmin=-most, vmax=most)
    axes.set_xticks(range(table.shape[1]), table.columns, rotation=90, fontsize=7)
    axes.set_yticks(range(len(table)), table.index, fontsize=7)
    axes.set_ylabel("epoch")
    figure.colorbar(shown, label=f"{name} [bits]")
    return figure


def discarding_maps(maps: pd.DataFrame, images: dict[str, tuple[np.ndarray, np.ndarray]], kind: str) -> Figure:
    """Draw each image, its foreground, and the map of each layer or skip, in one line for each image.

    A volume is drawn as its middle slice. The colours of a map span its 2 % to 98 % quantiles, which are printed below
    it.

    Args:
        maps: Rows with tap, image, closed, and a column for each cell, such as 3.15.
        images: Picture and foreground, both (H, W), by the name of the image.
        kind: `maps` for entropies, in which bright cells are discarded. `carried` for information that only a skip
            carries.
    """
    key, title = KINDS[kind]
    columns = _thinned(list(dict.fromkeys(maps[key])))
    names = [name for name in images if name in set(maps["image"])][:MOST_IMAGES]
    figure = Figure(figsize=(CELL * (len(columns) + 2), 1.3 * CELL * len(names)), layout="constrained")
    grid = figure.subplots(len(names), len(columns) + 2, squeeze=False)
    for line, name in zip(grid, names, strict=True):
        for axes, picture, what in zip(line[:2], images[name], ("image", "foreground"), strict=True):
            axes.imshow(picture, cmap="gray")
            axes.set_title(what, fontsize=7)
        of_image = maps[maps["image"] == name].set_index(key)
        for axes, column_ in zip(line[2:], columns, strict=True):
            axes.set_title(column_, fontsize=6)
            if column_ in of_image.index:
                values = _map(of_image.loc[column_])
                low, high = np.quantile(values, [0.02, 0.98])
                axes.imshow(values, cmap="viridis", vmin=low, vmax=high)
                axes.set_xlabel(f"{low:.1f} to {high:.1f}", fontsize=5, labelpad=1)
    for axes in grid.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
    figure.suptitle(f"{title} [bits]", fontsize=8)
    return figure


def _thinned(names: list[str]) -> list[str]:
    """Select at most `MOST_MAPS` names: if there are more, the last tap of each block, then evenly spaced blocks."""
    if len(names) <= MOST_MAPS:
        return names
    last = {name.split(".")[0]: name for name in names}
    names = list(last.values())
    if len(names) <= MOST_MAPS:
        return names
    return [names[i] for i in np.linspace(0, len(names) - 1, MOST_MAPS).astype(int)]


def _map(row: pd.Series) -> np.ndarray:
    """Build the map of a row from its columns of cells; (rows, columns)."""
    cells = {tuple(map(int, name.split("."))): value for name, value in row.items() if name[0].isdigit()}
    values = np.full(np.max(list(cells), axis=0) + 1, np.nan)
    for cell, value in cells.items():
        values[cell] = value
    return values if values.ndim == 2 else values[len(values) // 2]
