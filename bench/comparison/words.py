"""Words: format the tables of a comparison as text, and explain their columns."""

from __future__ import annotations

import pandas as pd

READ = {
    "seeds": "number of trainings of the design with different seeds; they are pooled",
    "folds": "number of folds of cross-validation that are pooled: each image is a test image of one fold",
    "collapsed": "number of trainings that have taught the network nothing, for example because it predicts one class "
    "everywhere; they remain in all means",
    "params": "number of parameters that the forward pass uses",
    "FLOPs": "number of operations for one image; a multiply-add counts as two",
    "ms": "time of one batch on the machine of the runs; not comparable between machines",
    "score": "score on the test data, with its 95 % interval for other seeds and other images or patients. With fewer "
    "than 3 seeds, the interval is for other images or patients alone",
    "gain": "score minus that of the reference, paired by seed and test image, with its 95 % interval for other seeds "
    "and other images or patients, which is very wide with two seeds. Better: the "
    "interval lies above 0. No worse: it lies above minus the margin. Worse: it lies below 0. Otherwise undecided, "
    "which does not mean equal",
    "front": "no other design in the table has as high a score for fewer parameters, or for fewer FLOPs; intervals are "
    "not considered",
    "I(T;Y), narrowest": "information about the label in the layer with the least information about the input (if "
    "that is not measured: in the bottleneck of the network): bits above shuffled labels, with 95 % interval",
    "I(T;Y), most": "largest information about the label in any layer: bits above shuffled labels, with 95 % interval",
    "reliable": "number of reliable estimates of the best checkpoints: below the estimator's ceiling, with enough room "
    "above the null, and with planted truth recovered. In brackets: estimates without a null, which only the "
    "untrained networks can judge. A reliable estimate can be 0",
}


def format_designs(table: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Format the table of designs as text, without empty columns.

    Args:
        table: Result of `designs_table`.
        metric: Name of the score.
    """
    columns = {
        "seeds": table["seeds"].astype(str),
        **({"folds": table["folds"].astype(str)} if "folds" in table else {}),
        "collapsed": [
            f"{count} of {all_}" if count else ""
            for count, all_ in zip(table["collapsed"], table.get("trainings", table["seeds"]), strict=True)
        ],
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
                f"{tap}: {value}{remark}" if value else ""
                for tap, value, remark in zip(table[kind], bits, doubt, strict=True)
            ]
    columns["reliable"] = [
        _reliable(*row) for row in table[["reliable", "rows", "reference_only"]].itertuples(index=False)
    ]
    shown = pd.DataFrame(columns).set_index(table["design"].rename(None))
    return shown.loc[:, (shown != "").any()]


def how_to_read(shown: pd.DataFrame, metric: str) -> dict[str, str]:
    """Return the explanation of each column."""
    return {column: READ["score" if column == metric else column] for column in shown if column != "verdict"}


def format_differences(differences: pd.DataFrame) -> pd.DataFrame:
    """Format the differences between layers as text."""
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
            "reliable": differences["reliable"].map(yes).fillna("reference"),
        }
    )


def _with_interval(table: pd.DataFrame, value: str, low: str, high: str, sign: str = "") -> list[str]:
    """Format each value with its interval, or as an empty text if it is missing."""
    return [
        "" if pd.isna(mean) else f"{mean:{sign}.3f}" + ("" if pd.isna(least) else f" ({least:.3f} to {most:.3f})")
        for mean, least, most in table[[value, low, high]].itertuples(index=False)
    ]


def _flops(flops: float) -> str:
    """Format a number of operations with the unit G, M or k.

    >>> _flops(51_100_000.0)
    '51.1 M'
    """
    for unit, size in (("G", 1e9), ("M", 1e6)):
        if flops >= size:
            return f"{flops / size:,.1f} {unit}"
    return f"{flops / 1e3:,.1f} k"


def _front(params: bool, flops: bool) -> str:
    """Name the costs for which a design is on the Pareto front."""
    return "both" if params and flops else "params" if params else "FLOPs" if flops else ""


def _reliable(reliable: int, rows: int, reference_only: int) -> str:
    """Format how many estimates are reliable and, in brackets, how many only untrained references can judge."""
    return f"{reliable} of {rows}" + (f" ({reference_only})" if reference_only else "") if rows else ""
