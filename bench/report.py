"""The few lines that a run ends with on the terminal."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from bench.tables import I_TY, I_XT, LayerTable
from bench.tracking import views
from bench.tracking.store import Store


def report(table: LayerTable, test: dict[str, float], costs: dict[str, float], run_id: str, store: Store) -> str:
    """Per tap the primary estimator's I(X;T) and I(T;Y); every estimator's excess by pixels; test figures; the UI."""
    main = "dice" if "dice" in test else "accuracy"
    interval = f" ({test[f'{main}_low']:.3f} to {test[f'{main}_high']:.3f})" if f"{main}_low" in test else ""
    return (
        f"{''.join(_view(table, view) for view in table.views)}\n"
        f"bits, best checkpoint; all rows with their intervals: layers.csv of the run\n\n"
        f"test {main} {test[main]:.3f}{interval}   {costs['params']:,.0f} parameters   "
        f"{costs['flops'] / 1e6:,.1f} MFLOPs an image   {costs['latency_ms']:.0f} ms "
        f"for {costs['latency_batch']:.0f} images\n"
        f"run {run_id} in {store.uri}\n"
        f"{opening(store)}"
    )


def failures_of_parts(estimates: int, diagnostics: Mapping[str, str]) -> str:
    """A line for the estimates, and one for each diagnostic, that ended in an error of no known kind.

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


def opening(store: Store) -> str:
    """How to open MLflow's UI, and the experiment's view in it."""
    served = store.uri.startswith(("http://", "https://"))
    local = f"open the UI: make ui, or: mlflow ui --host 127.0.0.1 --backend-store-uri {shlex.quote(store.uri)}\n"
    return f"{'' if served else local}designs and U-plots: {views.link(store.uri, store.experiment_id)}\n"


def _view(table: LayerTable, view: str) -> str:
    """The best checkpoint's numbers; a quantity or an estimator that has none is left out."""
    if view == "image":
        columns, title = _images(table), f"whole images, estimator {table.estimators[0]}"
    else:
        columns, title = _locations(table, view), f"{view} view: excess of I(T;Y) over its null"
    if not columns:
        return f"\n{title}: no estimate, for the reasons in layers.csv\n"
    return f"\n{pd.DataFrame(columns).rename_axis(None).to_string()}\n{title}\n"


def _images(table: LayerTable) -> dict[str, pd.Series]:
    columns = {}
    for quantity, beside in ((I_XT, {"ceiling": "ceiling"}), (I_TY, {"null": "null_mean", "ceiling ": "ceiling"})):
        rows = table.primary(view="image").query("weights == 'best' and quantity == @quantity").set_index("tap")
        if rows["bits"].notna().any():
            columns[quantity] = rows["bits"].map(_bits)
            columns |= {name: rows[column].map(_bits) for name, column in beside.items()}
            columns["reliable" + " " * (quantity == I_TY)] = _reliable(rows)
    return columns


def _locations(table: LayerTable, view: str) -> dict[str, pd.Series]:
    columns = {}
    for estimator in table.estimators:
        rows = table.primary(estimator, view).query("weights == 'best'").set_index("tap")
        if rows["bits"].notna().any():
            columns[estimator] = rows["excess"].map(_bits)
            columns["reliable" + " " * len(columns)] = _reliable(rows)
    return columns


def _bits(value: float) -> str:
    return "-" if pd.isna(value) else f"{value:.3f}"


def _reliable(rows: pd.DataFrame) -> pd.Series:
    """Words: `control` where only the untrained networks can tell, - where there is no number."""
    words = rows["reliable"].map({True: "yes", False: "no"}).fillna("control")
    return words.where(rows["bits"].notna(), "-")


def proposal_report(proposals: pd.DataFrame, folder: Path) -> str:
    """The proposals by falling cost, each with its reasons and how to train it."""
    lines = []
    for row in proposals.itertuples():
        lines.append(
            f"\n{row.design}: {row.params:,} parameters ({row.params_fewer:.1f} times fewer), "
            f"{row.flops / 1e6:,.1f} MFLOPs an image ({row.flops_fewer:.1f} times fewer), {row.latency_ms:.1f} ms\n"
            f"{_rank(row)}\n"
            f"  python -m bench --config-dir {shlex.quote(str(folder))} +experiment=retrain model={row.design}\n"
            f"  {row.overrides}\n"
        )
        lines += [f"  - {reason}\n" for reason in row.why.splitlines()]
    return "".join(lines)


def _rank(row) -> str:
    if pd.isna(row.rank_score):
        return "no rank score"
    return (
        f"rank score {row.rank_score:.3f} ({row.score_low:.3f} to {row.score_high:.3f}): gives up "
        f"{row.bits_given_up:.3f} bits{'' if row.within_margin else ', more than the margin allows'}"
        f"{'' if row.rank_score == row.bits_given_up else '; the rest is charged for its narrowest layer'}"
    )


def validity_report(board: pd.DataFrame, judged_on: str, dataset: str) -> str:
    """The leaderboard of diagnostics."""
    columns = ["spearman", "low", "high", "designs", "reliable"]
    first = board.iloc[0]
    return (
        f"\n{board.set_index('diagnostic')[columns].rename_axis(None).round(3).to_string()}\n"
        f"Spearman correlation with the loss on {judged_on} data of {dataset}, {first['seeds']} seeds, "
        f"95 % over the designs that each has a number for\n"
        f"{_ceiling(first)}\n"
    )


def _ceiling(row) -> str:
    if pd.isna(row["ceiling"]):
        return "the noise between seeds explains all differences of the designs' losses; no diagnostic can be judged"
    return (
        f"a perfect diagnostic would reach {row['ceiling']:.2f} ({row['ceiling_low']:.2f} to "
        f"{row['ceiling_high']:.2f}), for the noise between seeds"
    )


def verdict_report(verified, metric: str) -> str:
    """Every retrained design with its score, and the verdicts on the chosen one."""
    scores = verified.designs.set_index("design")[
        ["score", "low", "high", "val_score", "params", "flops", "seeds"]
    ].round(4)
    verdicts = verified.comparisons.drop(columns="proposal").set_index("control").rename_axis(None).round(4)
    return (
        f"\n{scores.rename_axis(None).to_string()}\n{metric} on test data, 95 % over seeds and images\n\n"
        f"{verdicts.to_string()}\n"
        f"gain of {verified.chosen.name}, chosen by validation, over each\n"
    )


def comparison_report(shown: pd.DataFrame, notes: Sequence[str], facts: Mapping[str, str], where: str) -> str:
    """The table of compared designs, what must be said beside it, and where the rest is."""
    information = [column for column in shown if column.startswith("I(T;Y)") or column == "reliable"]
    tables = [shown.drop(columns=information), shown[information]]
    return (
        f"{''.join(f'{chr(10)}{table.to_string()}{chr(10)}' for table in tables if len(table.columns))}\n"
        f"{''.join(f'{name}: {value}{chr(10)}' for name, value in facts.items())}"
        f"{''.join(f'{note}{chr(10)}' for note in notes)}\n"
        f"{where}\n"
    )


def failures_report(failed: pd.DataFrame) -> str:
    """The jobs of a sweep that failed, each with the reason."""
    wide = failed["job"].str.len().max()
    return "\njobs that failed\n" + "".join(f"  {row.job:{wide}}  {row.why}\n" for row in failed.itertuples())


def status_report(jobs: pd.DataFrame, name: str, planned: int, alive: bool) -> str:
    """The jobs of a sweep that have begun, and how many there are of each state."""
    counts = jobs["state"].value_counts()
    attempts = jobs["state"].isin(("dead",)).sum()
    ahead = max(0, planned - (len(jobs) - attempts))
    words = [f"{count} {state}" for state, count in counts.items()] + ([f"{ahead} still to do"] if ahead else [])
    going = "goes on" if alive else "has ended" if not ahead else "is not running; the same command goes on with it"
    shown = jobs.drop(columns="run").set_index("name").rename_axis(None).dropna(axis=1, how="all")
    listed = f"{shown.round(3).fillna('').to_string()}\n\n" if len(jobs) else ""
    return f"\n{listed}{name}: of {planned} jobs {', '.join(words) or 'none has begun'}; the sweep {going}\n"


def modules_report(modules: pd.DataFrame) -> str:
    """The modules of a network as a table, words to the left and numbers to the right."""
    shown = modules.assign(parameters=modules["parameters"].map("{:,}".format))
    for name in ("module", "class", "output", "tap"):
        shown[name] = shown[name].str.ljust(shown[name].str.len().max())
    return "".join(f"{line.rstrip()}\n" for line in shown.to_string(index=False, justify="left").splitlines())
