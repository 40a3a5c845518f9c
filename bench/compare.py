"""The verb `compare`: trained designs side by side, their cost, score and information, and how far to believe it."""

from __future__ import annotations

import sys
from pathlib import Path

from omegaconf import DictConfig

from bench import tracking
from bench.checks import check_comparison, folder_fault
from bench.comparing import words
from bench.comparing.comparison import compared
from bench.comparing.figures import drawn
from bench.comparing.page import page
from bench.comparing.runs import chosen
from bench.diagnostics import Findings
from bench.report import comparison_report
from bench.tracking.store import connect

COMPARISON = "comparison"  # tag of its run, which is neither a training nor a sweep


def compare(config: DictConfig) -> str | None:
    """Tabulate and draw the designs of finished runs, in a folder and as a run of MLflow, whose id it returns.

    Where the store or the folder is read-only it writes the table to standard output alone, and returns None.
    """
    check_comparison(config)
    store = connect(config.tracking.uri, config.tracking.experiment, read_only=True)
    comparison = compared(chosen(store, config.runs, config.sweep), config)
    table = words.for_the_eye(comparison.designs, comparison.metric)
    unwritable = folder_fault(config.folder)
    if fault := store.fault or (unwritable and f"{config.folder} is a folder {unwritable}"):
        where = f"nothing was logged in {store.uri} or written in {config.folder}, because {fault}"
        sys.stdout.write(comparison_report(table, comparison.notes, comparison.facts, where))
        return None
    pictures = {title: tracking.png(figure) for title, figure in drawn(comparison).items()}

    name = f"comparison of {len(comparison.designs)} designs on {comparison.runs.card['name']}"
    name = config.tracking.name or name
    with tracking.started(store, name, {COMPARISON: comparison.reference}) as tracked:
        tracked.config(config)
        tracked.findings(Findings(tables=comparison.tables))
        folder = Path(config.folder) / tracked.id
        folder.mkdir(parents=True)
        for title, frame in comparison.tables.items():
            frame.to_csv(folder / f"{title}.csv", index=False)
        for title, picture in pictures.items():
            (folder / f"{title}.png").write_bytes(picture)
            tracked.file(picture, f"figures/{title}.png")
        html = page(name, comparison, pictures)
        (folder / "comparison.html").write_text(html, encoding="utf-8")
        tracked.text(html, "comparison.html")
        page_at = f"how to read it, curves, every layer's difference: {folder / 'comparison.html'}"
        where = f"{page_at}\nrun {tracked.id} in {store.uri}"
        sys.stdout.write(comparison_report(table, comparison.notes, comparison.facts, where))
    return tracked.id
