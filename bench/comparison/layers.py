"""Layers: what those of a design tell, pooled over its seeds, and how they differ from another design's."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.diagnostics.bottleneck import Bottleneck
from bench.information.statistics import t_half_width
from bench.information.tables import I_TY, I_XT, LayerTable, Weights

QUESTION = ["tap", "quantity", "view", "label_view", "estimator"]
SEEDS, IMAGES = "seeds and images", "images alone"  # what an interval is over


def best_rows(tables: Mapping[str, LayerTable], frame: pd.DataFrame) -> pd.DataFrame:
    """What the best checkpoint's layers tell of X and Y: the rows with a number, each with its design and seed.

    tables: of each run. frame: rows with run, design, seed.
    """
    parts = [
        tables[run.run].select(weights=Weights.BEST).assign(design=run.design, seed=run.seed)
        for run in frame.itertuples()
    ]
    rows = pd.concat(parts, ignore_index=True).astype(dict.fromkeys(("bits", "low", "high", "excess"), float))
    return rows[rows["quantity"].isin((I_XT, I_TY)) & (rows["role"] != "input") & rows["bits"].notna()]


def pooled(rows: pd.DataFrame) -> pd.DataFrame:
    """A row per design, tap and question, with the mean over the seeds of bits, excess and value.

    value: the excess, or where no null exists (`of` says which) the bits. reach_seeds: half the 95 % interval for other
    seeds, t·s/√S for the spread s of S seeds; empty of one. reach_images: of other images, the root mean square of
    half the runs' own intervals. low, high: of value, over both. reliable: yes where it is in every run, no where it is
    not in one, empty where no pairing exists to be broken.
    """
    key = ["design", *QUESTION]
    half = np.maximum(rows["high"] - rows["bits"], rows["bits"] - rows["low"])
    has_null = rows["excess"].notna().groupby([rows[column] for column in key], dropna=False).transform("all")
    rows = rows.assign(
        square=half**2, value=rows["excess"].where(has_null, rows["bits"]), of=np.where(has_null, "excess", "bits")
    )
    table = (
        rows.groupby(key, sort=False, dropna=False)
        .agg(
            **{column: (column, "first") for column in ("order", "place", "role", "of")},
            seeds=("seed", "nunique"),
            bits=("bits", "mean"),
            excess=("excess", "mean"),
            value=("value", "mean"),
            spread=("value", "std"),
            square=("square", "mean"),
            reliable=("reliable", _all),
        )
        .reset_index()
    )
    seeds = table["seeds"]
    table["reach_seeds"] = t_half_width(table.pop("spread") / np.sqrt(seeds), (seeds - 1).where(seeds > 1))
    table["reach_images"] = np.sqrt(table.pop("square"))
    reach = np.hypot(table["reach_seeds"].fillna(0), table["reach_images"])
    return table.assign(low=table["value"] - reach, high=table["value"] + reach)


def differences(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """How much more each tap of a design tells than that of the reference of the same name, by every estimator.

    table: of `pooled`. With a's value over S seeds of spread s and the mean square h² of half the runs' own intervals,
    and b's the reference's, the 95 % interval of a - b reaches to both sides by

        √( (t_a s_a)²/S_a + (t_b s_b)²/S_b + h_a² + h_b² ),    t of S - 1 degrees of freedom.

    Each part has the quantile of its own degrees of freedom (Banerjee 1960, Sankhyā 22:357), so that coverage is 95 %
    or more whatever their sizes. Assumed: seeds are independent draws, errors are normal, and those of two designs,
    measured on the same images, are not opposed. Conservative otherwise: what the images have in common for both
    designs is not taken off, h is as wide for many seeds as for one, and where seeds differ in their errors over images
    s holds these again. Where a side has one seed, the interval is over images alone, as `over` says. The
    null's mean counts as exact.

    differs: the interval excludes 0. reliable: of both sides.
    """
    own = table[table["design"] == reference].drop(columns=["design", "place", "role", "order", "bits", "excess"])
    both = table[table["design"] != reference].merge(own, on=[*QUESTION, "of"], suffixes=("", "_reference"))
    several = (both["seeds"] > 1) & (both["seeds_reference"] > 1)
    squares = [both[f"reach_images{side}"] ** 2 for side in ("", "_reference")]
    squares += [(both[f"reach_seeds{side}"] ** 2).where(several, 0) for side in ("", "_reference")]
    reach, gain = np.sqrt(sum(squares)), both["value"] - both["value_reference"]
    both = both.assign(
        difference=gain,
        low=gain - reach,
        high=gain + reach,
        over=np.where(several, SEEDS, IMAGES),
        differs=gain.abs() > reach,
        reliable=[_all(pd.Series(pair)) for pair in zip(both["reliable"], both["reliable_reference"], strict=True)],
    )
    columns = ["design", *QUESTION, "of", "value", "value_reference", "difference", "low", "high", "over", "differs"]
    return both[[*columns, "reliable", "seeds", "seeds_reference", "order", "place"]]


def without_counterpart(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """design, tap, missing_in: each tap that a design has and the reference has not, or the other way round."""
    taps = {design: list(dict.fromkeys(rows["tap"])) for design, rows in table.groupby("design", sort=False)}
    rows = []
    for design in (each for each in taps if each != reference and reference in taps):
        rows += [(design, tap, reference) for tap in taps[design] if tap not in taps[reference]]
        rows += [(design, tap, design) for tap in taps[reference] if tap not in taps[design]]
    return pd.DataFrame(rows, columns=["design", "tap", "missing_in"])


def reading(table: pd.DataFrame, estimator: str, view: str) -> dict[str, object]:
    """What the narrowest layer keeps of Y, as `bottleneck` reads it, and the most that any layer has, as excess.

    table: of `pooled`, one design. Nothing is said of the narrowest layer in a view without I(X;T).
    """
    rows = table[(table["estimator"] == estimator) & (table["view"] == view)]
    layers = LayerTable(rows.assign(weights=Weights.BEST).to_dict("records"))
    if rows.empty:
        return {}
    primary = layers.primary(estimator, view)
    told = primary[(primary["quantity"] == I_TY) & primary["excess"].notna()]
    told = told.set_index("tap")[["excess", "low", "high", "reliable"]]
    taps = {"most": told["excess"].astype(float).idxmax()} if len(told) else {}
    narrowest = Bottleneck()(layers).tables.get("bottleneck")
    if narrowest is not None and narrowest["tap"].iloc[0] in told.index:
        taps["narrowest"] = narrowest["tap"].iloc[0]
    return {
        name: value
        for kind, tap in taps.items()
        for name, value in {kind: tap, **told.loc[tap].add_prefix(f"{kind}_")}.items()
    }


def _all(reliable: pd.Series) -> bool | None:
    """False where one is not, None where one can't say, else True."""
    said = list(reliable)
    return False if False in said else None if any(pd.isna(each) for each in said) else True
