"""Words: the table of designs for the eye, and how to read each of its columns."""

from __future__ import annotations

import pandas as pd

READ = {
    "seeds": "trainings of the design that differ in their seed; they are pooled",
    "params": "parameters that the forward pass uses",
    "FLOPs": "operations for one image, two for a multiply-add",
    "ms": "time of one batch where the runs were made; not comparable between machines",
    "score": "on the test data, with its 95 % interval for other seeds and other images or patients; of one seed, for "
    "other images or patients alone. Two seeds leave it very wide, and what is wider than the scale says nothing",
    "gain": "score above the reference's, paired by seed and test image, with its 95 % interval. Better: the interval "
    "lies above 0. No worse: above minus the margin. Worse: below 0. Else undecided, which is not the same as equal",
    "front": "no other design here has as much score for fewer parameters, or for fewer FLOPs, by means alone",
    "I(T;Y), narrowest": "of the layer that tells least of the input: bits above shuffled labels, with 95 % interval",
    "I(T;Y), most": "of the layer that tells most of the label: bits above shuffled labels, with 95 % interval",
    "reliable": "of the best checkpoints' numbers, how many can be believed: below the estimator's ceiling, with room "
    "above the null, and planted truth was found. In brackets those for which no null exists, so that only the "
    "untrained networks can judge them. A reliable number may well be 0",
}


def for_the_eye(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """The table of designs as words, a row per design; a column that nothing is known of is left out."""
    columns = {
        "seeds": table["seeds"].astype(str),
        "params": table["params"].map("{:,.0f}".format),
        "FLOPs": table["flops"].map(_flops),
        "ms": table["latency_ms"].map("{:.3g}".format),
        metric: _with_interval(table, "score", "low", "high"),
        "gain": _with_interval(table, "gain", "gain_low", "gain_high", sign="+"),
        "verdict": table["verdict"].fillna(""),
        "front": [_front(*pair) for pair in zip(table["front.params"], table["front.flops"], strict=True)],
    }
    for kind in ("narrowest", "most"):
        if kind in table:
            bits = _with_interval(table, f"{kind}_excess", f"{kind}_low", f"{kind}_high")
            doubt = table[f"{kind}_reliable"].eq(False).map({True: ", not reliable", False: ""})
            columns[f"I(T;Y), {kind}"] = [
                f"{tap}: {said}{but}" if said else "" for tap, said, but in zip(table[kind], bits, doubt, strict=True)
            ]
    columns["reliable"] = [_reliable(*row) for row in table[["reliable", "rows", "control"]].itertuples(index=False)]
    shown = pd.DataFrame(columns).set_index(table["design"].rename(None))
    return shown.loc[:, (shown != "").any()]


def how_to_read(shown: pd.DataFrame, metric: str) -> dict[str, str]:
    """What each column says."""
    return {column: READ["score" if column == metric else column] for column in shown if column != "verdict"}


def told(differences: pd.DataFrame) -> pd.DataFrame:
    """Differences between layers as words."""
    yes = {True: "yes", False: "no"}
    return pd.DataFrame(
        {
            "design": differences["design"],
            "layer": differences["tap"],
            "quantity": differences["quantity"],
            "view": differences["view"],
            "label": differences["label_view"].fillna(""),
            "estimator": differences["estimator"],
            "difference in bits": _with_interval(differences, "difference", "low", "high", sign="+"),
            "of": differences["of"],
            "over": differences["over"],
            "differs": differences["differs"].map(yes),
            "reliable": differences["reliable"].map(yes).fillna("control"),
        }
    )


def _with_interval(table: pd.DataFrame, value: str, low: str, high: str, sign: str = "") -> list[str]:
    return [
        "" if pd.isna(mean) else f"{mean:{sign}.3f}" + ("" if pd.isna(least) else f" ({least:.3f} to {most:.3f})")
        for mean, least, most in table[[value, low, high]].itertuples(index=False)
    ]


def _flops(flops: float) -> str:
    """
    >>> _flops(51_100_000.0)
    '51.1 M'
    """
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if flops >= size:
            return f"{flops / size:,.1f} {unit}"
    return f"{flops / 1e3:,.1f} k"


def _front(params: bool, flops: bool) -> str:
    return "both" if params and flops else "params" if params else "FLOPs" if flops else ""


def _reliable(reliable: int, rows: int, control: int) -> str:
    return f"{reliable} of {rows}" + (f" ({control})" if control else "") if rows else ""
