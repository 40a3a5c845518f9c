"""Discarded information: curves over the layers, and maps."""

from __future__ import annotations

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from bench.plots.shared import (
    DAMAGED,
    DIVERGING,
    NULL,
    TRAINED,
    UNTRAINED,
    WIDTH,
    column,
    finish,
    heading,
    layer_axis,
    layers_of,
    order_by_tap,
    styled,
)

PANELS = {
    "sid": "SID [bits]",
    "concentration": "concentration [bits]",
    "ru": "RU [bits]",
    "reconstruction_error": "squared error\nof decoder",
}
KINDS = {
    "maps": ("tap", "entropy of the largest noise of each cell; bright cells are discarded"),
    "carried": ("closed", "carried by this skip alone"),
}
MOST_IMAGES, MOST_MAPS = 3, 12
CELL = 0.95  # inches


@styled
def discarding(rows: pd.DataFrame, title: str = "") -> Figure:
    """Draw each measure against the layer: best checkpoint with its spread over images, untrained and damaged networks.

    Args:
        rows: Rows with weights, epoch, seed, tap, role, order, image, and measures of `PANELS`.
        title: Title of the figure.
    """
    panels = {name: label for name, label in PANELS.items() if name in rows and rows[name].notna().any()}
    layers = layers_of(rows)
    size = (max(WIDTH, 0.27 * len(layers) + 1), 1.7 * len(panels) + 0.9)
    figure = Figure(figsize=size, layout="constrained")
    every = column(figure, len(panels), sharex=True)
    for axes, (name, label) in zip(every, panels.items(), strict=True):
        _draw_measure(axes, rows, name, layers["tap"].tolist())
        if name == "reconstruction_error":
            axes.set_yscale("log")
        axes.set_ylabel(label)
        layer_axis(axes, layers, first=axes is every[0])
    return finish(figure, title)


def _draw_measure(axes: Axes, rows: pd.DataFrame, name: str, taps: list[str]) -> None:
    """Draw a measure of the best checkpoint and of the references."""
    of = {weights: part for weights, part in rows.groupby("weights")}
    if "untrained" in of and of["untrained"][name].notna().any():
        means = of["untrained"].groupby(["seed", "tap"])[name].mean().groupby("tap")
        ends = (order_by_tap(means.min(), taps), order_by_tap(means.max(), taps))
        axes.fill_between(range(len(taps)), *ends, color=UNTRAINED, lw=3, label="untrained, range of seeds")
    if "damaged" in of:
        damaged = order_by_tap(of["damaged"].groupby("tap")[name].mean(), taps)
        axes.plot(damaged, "--", color=DAMAGED, marker="s", ms=3, lw=1, label="one layer damaged")
    by_tap = of["best"].groupby("tap")
    mean, spread = order_by_tap(by_tap[name].mean(), taps), order_by_tap(by_tap[name].std().fillna(0), taps)
    label = "best checkpoint, spread over images"
    axes.errorbar(range(len(taps)), mean, spread, fmt="o-", color=TRAINED, lw=1.2, label=label)
    if name == "sid":
        most = order_by_tap(by_tap["sid_running_max"].mean(), taps)
        axes.plot(most, ":", color=NULL, lw=1, label="running maximum of SID")


@styled
def over_epochs(rows: pd.DataFrame, name: str, title: str = "") -> Figure:
    """Draw a measure by layer and epoch, as the mean over images.

    Args:
        rows: Rows with epoch, tap, role, order and the measure.
        name: Name of the measure.
        title: Title of the figure.
    """
    table = rows.pivot_table(index="epoch", columns="tap", values=name, sort=True)
    layers = layers_of(rows)
    table = table[layers["tap"]]
    size = (max(WIDTH, 0.27 * table.shape[1] + 1), 0.3 * len(table) + 1.4)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots()
    most = float(np.nanmax(np.abs(table.to_numpy())))
    shown = axes.imshow(table.to_numpy(), aspect="auto", cmap=DIVERGING, vmin=-most, vmax=most)
    layer_axis(axes, layers)
    axes.set_yticks(range(len(table)), table.index)
    axes.set_ylabel("epoch")
    figure.colorbar(shown, label=f"{name} [bits]")
    return finish(figure, title)


@styled
def discarding_maps(
    maps: pd.DataFrame, images: dict[str, tuple[np.ndarray, np.ndarray]], kind: str, title: str = ""
) -> Figure:
    """Draw each image, its foreground, and the map of each layer or skip, in one line for each image.

    A volume is drawn as its middle slice. The colours of a map span its 2 % to 98 % quantiles, which are printed below
    it.

    Args:
        maps: Rows with tap, image, closed, and a column for each cell, such as 3.15.
        images: Picture and foreground, both (H, W), by the name of the image.
        kind: `maps` for entropies, in which bright cells are discarded. `carried` for information that only a skip
            carries.
        title: Title of the figure.
    """
    key, what = KINDS[kind]
    columns = _thinned(list(dict.fromkeys(maps[key])))
    names = [name for name in images if name in set(maps["image"])][:MOST_IMAGES]
    figure = Figure(figsize=(CELL * (len(columns) + 2), 1.3 * CELL * len(names)), layout="constrained")
    panels = figure.subplots(len(names), len(columns) + 2, squeeze=False)
    for line, name in zip(panels, names, strict=True):
        for axes, picture, shown in zip(line[:2], images[name], ("image", "foreground"), strict=True):
            axes.imshow(picture, cmap="gray")
            axes.set_title(shown if name == names[0] else "")
        of_image = maps[maps["image"] == name].set_index(key)
        for axes, column_ in zip(line[2:], columns, strict=True):
            axes.set_title(column_.replace(".", "\n", 1) if name == names[0] else "")
            if column_ in of_image.index:
                values = _map(of_image.loc[column_])
                low, high = np.quantile(values, [0.02, 0.98])
                axes.imshow(values, vmin=low, vmax=high)
                axes.set_xlabel(f"{low:.1f} to {high:.1f}", labelpad=1, size=7)
    for axes in panels.ravel():
        axes.set_xticks([])
        axes.set_yticks([])
        axes.spines[:].set_visible(False)
    return finish(figure, heading(title, f"{what} [bits]"))


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
