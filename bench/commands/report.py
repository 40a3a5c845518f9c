"""The report that a run prints when it ends: a table of the layers, and what it says in sentences."""

from __future__ import annotations

from collections.abc import Mapping
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.commands.agreement import others
from bench.information.power import power_line
from bench.information.tables import I_TY, I_XT, LayerTable
from bench.information.verdicts import Verdict, verdicts
from bench.tracking import views

if TYPE_CHECKING:
    from bench.tracking.store import Store

BAR = 20  # characters of the longest bar
CALIBRATED = ["calibrated", "calibrated_low", "calibrated_high"]
WIDTH = 110  # characters of a line of text
NO_BREAK = "\N{NO-BREAK SPACE}"
SAMPLES = {"image": "whole images", "pixel": "single locations", "patch": "locations with their neighbours"}
MEANINGS = {
    Verdict.CLEAR: "above its null, and the estimator recovers known information here",
    Verdict.NOT_ABOVE_NULL: "no information can be seen",
    Verdict.SATURATED: "the estimator or its null is at its limit",
    Verdict.NOT_RECOVERED: "the estimator misses known information here; do not read the number",
    Verdict.BELOW_NULL: "the estimator finds less than in shuffled pairs, so that these samples mislead it",
    Verdict.UNCERTAIN: "the estimator responds too weakly to planted doses; read the interval of the calibrated bits",
    Verdict.NO_NULL: "only untrained networks can judge it",
    Verdict.NO_ESTIMATE: "layers.csv has the reason",
}


def report(
    table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, store: Store, sample: str = "image"
) -> str:
    """Format the information in each layer, the scores on test data, the costs, and how to open the UI.

    Args:
        table: Rows of the run, in bits.
        test: Metrics on test data, by name.
        costs: Costs of the network, by name.
        run_id: Id of the run.
        store: Store that holds the run.
        sample: What the network gets in a forward pass, `image` or `patch`.
    """
    return (
        f"{layers_report(table)}\n{_scores(test, costs, sample)}\nrun {run_id} in {store.uri}\n"
        f"{views.ui_address(store.uri, store.experiment_id)}"
    )


def report_of_job(
    name: str, test: dict[str, float], costs: dict[str, float], run_id: str, sample: str = "image"
) -> str:
    """Format the scores and the costs of a job of a sweep in two lines. The sweep prints how to go on at its end.

    Examples:
        >>> test = {"dice": 0.8, "dice_low": 0.7, "dice_high": 0.9}
        >>> costs = {"params": 6489, "flops": 3e7, "latency_ms": 9, "latency_batch": 16}
        >>> print(report_of_job("[8,16] seed=0", test, costs, "7f"))
        <BLANKLINE>
        [8,16] seed=0, run 7f
          test dice 0.800 (0.700 to 0.900)   6,489 parameters   30.0 MFLOPs an image   9 ms for 16 images
        <BLANKLINE>
    """
    return f"\n{name}, run {run_id}\n  {_scores(test, costs, sample)}\n"


def _scores(test: dict[str, float], costs: dict[str, float], sample: str) -> str:
    """Format the scores and the costs in a line."""
    one, several = ("a patch", "patches") if sample == "patch" else ("an image", "images")
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"test {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} parameters   "
        f"{costs['flops'] / 1e6:,.1f} MFLOPs {one}   {costs['latency_ms']:.0f} ms for "
        f"{costs['latency_batch']:.0f} {several}"
    )


def failures_of_parts(estimates: int, diagnostics: Mapping[str, str]) -> str:
    """Format a line for the estimates, and one for each diagnostic, that ended in an unexpected error.

    Args:
        estimates: Number of estimates that failed.
        diagnostics: Class and message of the error of each diagnostic that failed, by name.

    Examples:
        >>> failures_of_parts(2, {})
        '2 estimates failed with an error: the reasons are in layers.csv, the tracebacks in the log\\n'
    """
    lines = [
        f"diagnostic {name} failed: {reason}; its traceback is in the log\n" for name, reason in diagnostics.items()
    ]
    if estimates:
        lines.insert(
            0, f"{estimates} estimates failed with an error: the reasons are in layers.csv, the tracebacks in the log\n"
        )
    return "".join(lines)


def layers_report(table: LayerTable) -> str:
    """Format the estimates of the best checkpoint: a table by the primary estimator and view, and what it says."""
    if not table.rows:
        return ""
    best = table.best()
    parts = [layers_table(rows, table) for _, rows in best.groupby("quantity") if rows["bits"].notna().any()]
    if not parts:
        return f"\n{table.estimators[0]}, {table.views[0]} view: no estimate; layers.csv has the reasons\n"
    found = set(verdicts(best[best["bits"].notna()]))
    legend = "".join(f"  {verdict}: {meaning}\n" for verdict, meaning in MEANINGS.items() if verdict in found)
    power = power_line(best[best["quantity"] == I_TY], table.patients)
    return "".join([*parts, legend, sentences(table), power, others(table)])


def layers_table(rows: pd.DataFrame, table: LayerTable) -> str:
    """Format a table of one quantity: a line for each layer, in bits.

    Args:
        rows: Rows of the best checkpoint.
        table: The LayerTable that has the rows of untrained networks.
    """
    quantity, has_null = rows["quantity"].iloc[0], rows["null_mean"].notna().any()
    untrained = table.untrained()
    untrained = untrained[untrained["quantity"] == quantity].groupby("tap")["excess" if has_null else "bits"].mean()
    shift = rows["null_mean"] if has_null else 0.0
    values = rows["bits"] - shift
    longest = values.max()
    bars = (values / longest * BAR if longest > 0 else values * 0).clip(lower=0).fillna(0).round().astype(int)
    columns = {
        "layer": rows["tap"],
        "depth": rows["relative_depth"],
        "bits": values.map(_bits),
        "95 %": (rows["low"] - shift).map(_bits) + " to " + (rows["high"] - shift).map(_bits),
        "": bars.map(lambda length: ("#" * length).ljust(BAR)),
        "untrained": rows["tap"].map(untrained).map(_bits),
        "verdict": verdicts(rows),
    }
    if rows["calibrated_low"].notna().any():
        columns = columns | {"calibrated": _calibrated(rows), "verdict": columns.pop("verdict")}
    shown = pd.DataFrame({name: list(values) for name, values in columns.items()})
    words = {name: max(len(name), shown[name].str.len().max()) for name in ("layer", "verdict")}
    for name, width in words.items():
        shown[name] = shown[name].str.ljust(width)
    header = [name.ljust(words.get(name, 0)) for name in shown]
    about = {I_TY: "the label", I_XT: "the image"}[quantity]
    by = f"({quantity}, {rows['estimator'].iloc[0]}, {SAMPLES[rows['view'].iloc[0]]})"
    return (
        f"\nInformation about {about} in each layer{' above its null' if has_null else ''}, bits {by}\n\n"
        f"{shown.to_string(index=False, header=header)}\n\n"
    )


def sentences(table: LayerTable) -> str:
    """Say how much of the label's entropy the layers have, where it is lost, and what bypasses the bottleneck."""
    rows = table.profile()
    rows = rows[(rows["quantity"] == I_TY) & rows["excess"].notna()]
    rows = rows[verdicts(rows).isin([Verdict.CLEAR, Verdict.NOT_ABOVE_NULL])]
    if rows.empty:
        return "\nNo layer has a number about the label that can be read.\n"
    top, last = rows.loc[rows["excess"].idxmax()], rows.iloc[-1]
    lines = [
        f"The label has an entropy of {top['label_entropy']:.2f} bits. The layer {top['tap']} has the most information "
        f"about it: {top['excess']:.2f} bits ({100 * top['excess'] / top['label_entropy']:.0f} %)."
    ]
    lines.append(_changes(rows))
    bottleneck = rows[rows["role"] == "bottleneck"]
    if len(bottleneck) and last["role"] == "output":
        narrow = bottleneck.iloc[-1]
        line = (
            f"The bottleneck ({narrow['tap']}) has {narrow['excess']:.2f} bits and the output has {last['excess']:.2f}."
        )
        ways = ["bypasses the bottleneck through the skips"] if table.skips else []
        if last["view"] != "image":  # at a location, an estimator does not read other locations
            ways.append("lies in neighbouring locations")
        if ways and last["excess"] > narrow["excess"]:
            line += f" The difference {', or '.join(ways)}."
        lines.append(line)
    else:
        untrained = table.untrained()
        untrained = untrained[untrained["quantity"] == I_TY].groupby("tap")["excess"].mean()
        learned = rows.set_index("tap")["excess"] - untrained.reindex(rows["tap"])
        lines.append(
            f"Training added most at {learned.idxmax()}: {learned.max():.2f} bits more than untrained networks have."
            if learned.notna().any()
            else "No untrained networks were measured, which would show what training added."
        )
    return "\n" + "".join(f"{_wrapped(line)}\n" for line in lines)


def _wrapped(line: str) -> str:
    """Break a line of text at WIDTH, but not between a number and its per cent sign."""
    return fill(line.replace(" %", NO_BREAK + "%"), WIDTH).replace(NO_BREAK, " ")


def _changes(rows: pd.DataFrame) -> str:
    """Say between which layers information falls and rises most, where the intervals are separate.

    The branches `up` and `skip` of a decoder are left out, because the next layer reads both of them.
    """
    rows = rows[~rows["role"].isin(["up", "skip"])]
    excess, taps = rows["excess"].to_numpy(float), rows["tap"].to_numpy()
    low, high = ((rows[end] - rows["null_mean"]).to_numpy(float) for end in ("low", "high"))
    change = np.triu(excess[None] - excess[:, None])  # [i, j]: from layer i to a later layer j
    falls, rises = high[None] < low[:, None], low[None] > high[:, None]
    said = []
    for word, sign, separate in (("falls", -1, falls), ("rises", 1, rises)):
        before, after = np.unravel_index(np.argmax(np.where(separate, sign * change, 0)), change.shape)
        if before < after:
            said.append(
                f"{word} most from {taps[before]} ({excess[before]:.2f} bits) to {taps[after]} ({excess[after]:.2f})"
            )
    return f"Information {' and '.join(said)}." if said else "No two layers differ by more than their intervals."


def _calibrated(rows: pd.DataFrame) -> list[str]:
    """Format the calibrated bits with their interval; `?` stands for bits that are not identifiable."""
    shown = []
    for bits, low, high in rows[CALIBRATED].astype(float).to_numpy():
        number = "?" if np.isnan(bits) else _bits(bits)
        shown.append("-" if np.isnan(low) else f"{number} ({low:.2f} to {high:.2f})")
    return shown


def _bits(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
