"""Layers: the information in the layers of a design, pooled over seeds, and its differences between designs."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bench.diagnostics.bottleneck import Bottleneck
from bench.information.statistics import t_half_width
from bench.information.tables import I_TY, I_XT, LayerTable, Weights
from bench.pruning.judging.judge import IMAGES, LEAST_SEEDS, SEEDS

QUESTION = ["tap", "quantity", "view", "label_view", "estimator"]


def best_rows(tables: Mapping[str, LayerTable], frame: pd.DataFrame) -> pd.DataFrame:
    """Select the estimates of I(X;T) and I(T;Y) of the best checkpoints, and add design and seed.

    Args:
        tables: LayerTable of each run.
        frame: Rows with run, design and seed.
    """
    parts = [
        tables[run.run].select(weights=Weights.BEST).assign(design=run.design, seed=run.seed)
        for run in frame.itertuples()
    ]
    rows = pd.concat(parts, ignore_index=True).astype(dict.fromkeys(("bits", "low", "high", "excess"), float))
    return rows[rows["quantity"].isin((I_XT, I_TY)) & (rows["role"] != "input") & rows["bits"].notna()]


def pool_seeds(rows: pd.DataFrame) -> pd.DataFrame:
    """Average bits, excess and value over the seeds of a design. The values of a seed are means over its folds.

    Args:
        rows: Result of `best_rows`.

    Returns:
        One row for each design, tap and question, with the means and these columns:

        - value: The excess, or the bits if there is no null, in bits. `of` names which of the two.
        - reach_seeds: Half the 95 % interval for other seeds, t·s/√S for the spread s of S seeds. NaN for one seed.
        - reach_images: Half the 95 % interval for other images: root mean square of half the intervals of the runs.
        - low, high: Ends of the interval of value, for other seeds and other images. With fewer than 3 seeds it is for
          other images alone, because t is 12.7 and the interval would often be wider than the scale.
        - reliable: True if every run is reliable, False if one is not, None if no null exists.
    """
    key = ["design", *QUESTION]
    half = np.maximum(rows["high"] - rows["bits"], rows["bits"] - rows["low"])
    has_null = rows["excess"].notna().groupby([rows[column] for column in key], dropna=False).transform("all")
    rows = rows.assign(
        square=half**2, value=rows["excess"].where(has_null, rows["bits"]), of=np.where(has_null, "excess", "bits")
    )
    means = {
        **{column: (column, "first") for column in ("order", "relative_depth", "role", "of")},
        **{column: (column, "mean") for column in ("bits", "excess", "value", "square")},
        "reliable": ("reliable", _all),
    }
    if rows.duplicated([*key, "seed"]).any():  # folds
        rows = rows.groupby([*key, "seed"], sort=False, dropna=False).agg(**means).reset_index()
    means |= {"seeds": ("seed", "nunique"), "spread": ("value", "std")}
    table = rows.groupby(key, sort=False, dropna=False).agg(**means).reset_index()
    seeds = table["seeds"]
    table["reach_seeds"] = t_half_width(table.pop("spread") / np.sqrt(seeds), (seeds - 1).where(seeds > 1))
    table["reach_images"] = np.sqrt(table.pop("square"))
    reach = np.hypot(table["reach_seeds"].where(seeds >= LEAST_SEEDS, 0), table["reach_images"])
    return table.assign(low=table["value"] - reach, high=table["value"] + reach)


def differences(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """Compute the difference of information between each tap of a design and the tap of this name in the reference.

    Half the 95 % interval of the difference a - b is

        √( (t_a s_a)²/S_a + (t_b s_b)²/S_b + h_a² + h_b² ).

    a is the value of the design and b that of the reference. Each is a mean over S seeds with spread s, and h² is the
    mean square of half the intervals of the runs. t has S - 1 degrees of freedom. Each part has the quantile of its own
    degrees of freedom, so that the coverage is 95 % or more for parts of any size. If a side has one seed, the interval
    is over images alone. The mean of the null is treated as exact.

    The interval assumes that seeds are independent draws, that errors are normal, and that the errors of two designs on
    the same images are not negatively correlated. It is conservative for three reasons. It does not subtract the
    variation between images that both designs share. h does not shrink with the number of seeds. s includes a part of
    the errors over images if these differ between seeds.

    Args:
        table: Result of `pool_seeds`.
        reference: Name of the reference.

    Returns:
        One row for each design, tap and question, in bits. `over` names the sources of variation of the interval.
        `differs` is true if the interval excludes 0. `reliable` refers to both sides. `order`, `role` and
        `relative_depth` are those of the reference, because equal layers of deeper designs have other depths.

    References:
        Banerjee 1960, Sankhyā 22:357.
    """
    places = ["relative_depth", "role", "order"]
    own = table[table["design"] == reference].drop(columns=["design", "bits", "excess"])
    both = (
        table[table["design"] != reference]
        .drop(columns=places)
        .merge(own, on=[*QUESTION, "of"], suffixes=("", "_reference"))
    )
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
    return both[[*columns, "reliable", "seeds", "seeds_reference", "order", "role", "relative_depth"]]


def without_counterpart(table: pd.DataFrame, reference: str) -> pd.DataFrame:
    """List the taps that either a design or the reference does not have.

    Returns:
        Rows with design, tap, and missing_in: the name of the design that does not have the tap.
    """
    taps = {design: list(dict.fromkeys(rows["tap"])) for design, rows in table.groupby("design", sort=False)}
    rows = []
    for design in (each for each in taps if each != reference and reference in taps):
        rows += [(design, tap, reference) for tap in taps[design] if tap not in taps[reference]]
        rows += [(design, tap, design) for tap in taps[reference] if tap not in taps[design]]
    return pd.DataFrame(rows, columns=["design", "tap", "missing_in"])


def reading(table: pd.DataFrame, estimator: str, view: str) -> dict[str, object]:
    """Return I(T;Y) of the narrowest layer, as in `Bottleneck`, and the largest I(T;Y) of any layer.

    Args:
        table: Result of `pool_seeds`, rows of one design.
        estimator: Name of the estimator.
        view: Name of the view.

    Returns:
        Tap, excess, interval of the excess in bits, and reliability of both layers. There is no narrowest layer if
        the view has no I(X;T) and the network has no bottleneck.
    """
    rows = table[(table["estimator"] == estimator) & (table["view"] == view)]
    layers = LayerTable(rows.assign(weights=Weights.BEST).to_dict("records"))
    if rows.empty:
        return {}
    primary = layers.primary(estimator, view)
    about_label = primary[(primary["quantity"] == I_TY) & primary["excess"].notna()]
    about_label = about_label.set_index("tap")[["excess", "low", "high", "reliable"]]
    taps = {"most": about_label["excess"].astype(float).idxmax()} if len(about_label) else {}
    narrowest = Bottleneck()(layers).tables.get("bottleneck")
    if narrowest is not None and narrowest["tap"].iloc[0] in about_label.index:
        taps["narrowest"] = narrowest["tap"].iloc[0]
    return {
        name: value
        for kind, tap in taps.items()
        for name, value in {kind: tap, **about_label.loc[tap].add_prefix(f"{kind}_")}.items()
    }


def _all(reliable: pd.Series) -> bool | None:
    """Return False if one value is False, None if one is missing, else True."""
    values = list(reliable)
    if False in values:
        return False
    return None if any(pd.isna(value) for value in values) else True
