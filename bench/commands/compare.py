"""The command `compare`: trained designs side by side, their cost, score and information, and how far to believe it."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from bench import tracking
from bench.comparison import words
from bench.comparison.comparison import Comparison, compared
from bench.comparison.figures import drawn
from bench.comparison.page import page
from bench.comparison.runs import chosen
from bench.config.folders import folder_fault
from bench.diagnostics import Findings
from bench.errors import InputError
from bench.tracking.store import connect

COMPARISON = "comparison"  # tag of its run, which is neither a training nor a sweep


def compare(config: DictConfig) -> str | None:
    """Tabulate and draw the designs of finished runs, in a folder and as a run of MLflow, whose id it returns.

    Where the store or the folder is read-only it writes the table to standard output alone, and returns None.
    """
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    comparison = compared(chosen(store, config.runs, config.sweep), config)
    name = f"comparison of {len(comparison.designs)} designs on {comparison.runs.card['name']}"
    name = config.tracking.name or name
    unwritable = folder_fault(config.folder)
    with ExitStack() as ending:
        try:
            if fault := store.fault or (unwritable and f"{config.folder} is a folder {unwritable}"):
                raise InputError(fault)
            store = connect(config.tracking.uri, config.tracking.experiment)
            tracked = ending.enter_context(tracking.started(store, name, {COMPARISON: comparison.reference}))
        except InputError as fault:  # the store of a server says only now that this user may not log
            tell(comparison, f"nothing was logged in {store.uri} or written in {config.folder}, because {fault}")
            return None
        tracked.config(config)
        page_at = f"how to read it, curves, every layer's difference: {log(tracked, comparison, name, config.folder)}"
        tell(comparison, f"{page_at}\nrun {tracked.id} in {store.uri}")
    return tracked.id


def log(tracked: tracking.Run, comparison: Comparison, title: str, folder: str) -> Path:
    """Write tables, figures and the page, to a folder of the run's id and with the run; returns where the page is."""
    tracked.findings(Findings(tables=comparison.tables))
    own = Path(folder) / tracked.id
    own.mkdir(parents=True)
    for name, frame in comparison.tables.items():
        frame.to_csv(own / f"{name}.csv", index=False)
    pictures = {name: tracking.png(figure) for name, figure in drawn(comparison).items()}
    for name, picture in pictures.items():
        (own / f"{name}.png").write_bytes(picture)
        tracked.file(picture, f"figures/{name}.png")
    html = page(title, comparison, pictures)
    (own / "comparison.html").write_text(html, encoding="utf-8")
    tracked.text(html, "comparison.html")
    return own / "comparison.html"


def tell(comparison: Comparison, where: str) -> None:
    """Write the table to standard output, and where the rest is."""
    table = words.for_the_eye(comparison.designs, comparison.metric)
    sys.stdout.write(comparison_report(table, comparison.notes, comparison.facts, where))


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
