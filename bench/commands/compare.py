"""The command `compare`: compare the cost, score and information of trained designs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from bench import tracking
from bench.comparison import words
from bench.comparison.comparison import Comparison, compare_runs
from bench.comparison.figures import draw_figures
from bench.comparison.page import page
from bench.comparison.runs import choose_runs
from bench.config.folders import folder_fault
from bench.diagnostics import Findings
from bench.errors import InputError
from bench.tracking import views
from bench.tracking.store import connect


def compare(config: DictConfig) -> str | None:
    """Compare the designs of finished runs, and write tables, figures and a page.

    The files are written to a folder and logged as a run of MLflow. If the store or the folder is read-only, the table
    is written to standard output alone.

    Returns:
        The id of the run, or None if the store or the folder is read-only.
    """
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    experiment, everything = config.tracking.experiment, config.tracking.experiment is not None
    comparison = compare_runs(choose_runs(store, config.runs, config.sweep, everything), config)
    runs = comparison.runs
    of = runs.sweep.name if runs.sweep else f"{len(comparison.designs)} designs on {runs.card['name']}"
    name = config.tracking.name or f"compare {of}"
    if experiment is None:  # that of the compared runs
        compared = store.client.get_run(runs.frame["run"].iloc[0])
        experiment = store.client.get_experiment(compared.info.experiment_id).name
    unwritable = folder_fault(config.folder)
    with ExitStack() as ending:
        try:
            if fault := store.fault or (unwritable and f"{config.folder} is a folder {unwritable}"):
                raise InputError(fault)
            store = connect(config.tracking.uri, experiment)
            tags = {views.KIND: views.COMPARISON, views.COMPARISON: comparison.reference}
            tracked = ending.enter_context(tracking.started(store, name, tags))
        except InputError as fault:  # a server refuses a user without permission to log only at this point
            write_report(
                comparison, f"nothing was logged in {store.uri} or written in {config.folder}, because {fault}"
            )
            return None
        tracked.config(config)
        path = log(tracked, comparison, name, config.folder)
        where = f"page with explanations, curves and the difference of every layer: {path}"
        write_report(comparison, f"{where}\nrun {tracked.id} in {store.uri}")
    return tracked.id


def log(tracked: tracking.Run, comparison: Comparison, title: str, folder: str) -> Path:
    """Write tables, figures and the page to the run, and to a subfolder that is named by the id of the run.

    Returns:
        The path of the page.
    """
    tracked.findings(Findings(tables=comparison.tables))
    own = Path(folder) / tracked.id
    own.mkdir(parents=True)
    for name, frame in comparison.tables.items():
        frame.to_csv(own / f"{name}.csv", index=False)
    pictures = {name: tracking.png(figure) for name, figure in draw_figures(comparison).items()}
    for name, picture in pictures.items():
        (own / f"{name}.png").write_bytes(picture)
        tracked.file(picture, f"figures/{name}.png")
    html = page(title, comparison, pictures)
    (own / "comparison.html").write_text(html, encoding="utf-8")
    tracked.text(html, "comparison.html")
    facts = "".join(f"- {fact}: {value}\n" for fact, value in comparison.facts.items())
    tracked.note(f"**{title}**\n\n{facts}\nOpen *comparison.html* among the artifacts. It explains each number.")
    return own / "comparison.html"


def write_report(comparison: Comparison, where: str) -> None:
    """Write the table of designs and the location of the other results to standard output."""
    table = words.format_designs(comparison.designs, comparison.metric)
    sys.stdout.write(comparison_report(table, comparison.notes, comparison.facts, where))


def comparison_report(shown: pd.DataFrame, notes: Sequence[str], facts: Mapping[str, str], where: str) -> str:
    """Format the table of compared designs, with facts, notes and the location of the other results.

    Args:
        shown: Table of designs as text, one row for each.
        notes: Sentences that qualify the table.
        facts: Data, runs and reference of the comparison, by name.
        where: Location of the other results.
    """
    information = [column for column in shown if column.startswith("I(T;Y)") or column == "reliable"]
    tables = [shown.drop(columns=information), shown[information]]
    return (
        f"{''.join(f'{chr(10)}{table.to_string()}{chr(10)}' for table in tables if len(table.columns))}\n"
        f"{''.join(f'{name}: {value}{chr(10)}' for name, value in facts.items())}"
        f"{''.join(f'{note}{chr(10)}' for note in notes)}\n"
        f"{where}\n"
    )
