"""Summary of a sweep: mean profiles of its finished jobs, and a report of the failed jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from math import ceil

import pandas as pd

from bench import plots, tracking
from bench.config.composing import as_argument
from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.sweeps import jobs
from bench.tracking import records
from bench.tracking.sqlite import default_uri
from bench.tracking.store import Store

MOST_DRAWN = 40  # maximal number of designs in a figure

log = logging.getLogger(__name__)


def summarise(store: Store, parent: tracking.Run) -> None:
    """Log the mean profiles and the overlaid U-plot of a sweep on its parent.

    The U-plot shows the profile of the primary estimator for each design. A job whose layers.csv is missing or damaged
    is left out, and the log names it.
    """
    points: list[tuple[str, float, int]] = []
    profiles: dict[str, list[pd.DataFrame]] = {}
    estimator = None
    for run, design in jobs.of_sweep(store, parent.id).items():
        try:
            table = records.layers_of(store, run)
        except InputError as error:  # the summary continues with the other jobs
            log.warning("%s (%s) is not in the summary: %s", design, run, error)
            continue
        if table.rows:
            estimator = estimator or table.estimators[0]
            points += table.profile_points()
            profiles.setdefault(design, []).append(profile(table, estimator))
    means = pd.DataFrame(points, columns=["key", "bits", "depth"]).groupby(["key", "depth"])["bits"].mean()
    parent.curves([(key, bits, depth) for (key, depth), bits in means.items()])
    joined = {design: pd.concat(profiles[design]) for design in select_shown(sorted(profiles))}
    if any(len(frame) for frame in joined.values()):
        title = f"{estimator}, mean over the runs of a design"
        title += f"; {len(joined)} of {len(profiles)} designs" if len(joined) < len(profiles) else ""
        parent.figure(plots.overlaid(joined, title), "figures/u_plot.png")


def select_shown(designs: list[str]) -> list[str]:
    """Select at most 40 evenly spaced designs, because a figure can't distinguish more.

    Examples:
        >>> len(select_shown(["design"] * 40)), select_shown([f"seed={n}" for n in range(1000)])[:3]
        (40, ['seed=0', 'seed=25', 'seed=50'])
    """
    return designs[:: ceil(len(designs) / MOST_DRAWN) or 1]


def profile(table: LayerTable, estimator: str, view: str | None = None) -> pd.DataFrame:
    """Return the profile of the best checkpoint with the mean of the untrained references.

    Args:
        table: The layer table of a run.
        estimator: Name of the estimator.
        view: Sample view, or None for the primary view.

    Returns:
        A row for each layer, with the columns quantity, relative_depth, tap, bits (best checkpoint) and
        untrained (references), both in bits.
    """
    keys = ["quantity", "relative_depth", "tap"]
    best = table.profile(estimator, view).set_index(keys)["bits"]
    untrained = table.untrained(estimator, view).groupby(keys)["bits"].mean()
    return pd.DataFrame({"bits": best, "untrained": untrained.reindex(best.index)}).reset_index()


def next_commands(store: Store, parent: str) -> str:
    """Format the name of a sweep and the commands that show its results, ready to paste."""
    run = store.client.get_run(parent)
    sweep = as_argument("sweep", run.info.run_name)
    where = "" if store.uri == default_uri() else f" {as_argument('tracking.uri', store.uri)}"
    designs = set(jobs.of_sweep(store, parent).values())
    comparison = f"compare its designs: python -m bench compare {sweep}{where}\n" if len(designs) > 1 else ""
    return (
        f"sweep {run.info.run_name} (run {parent}) in {store.uri}\n{comparison}"
        f"state of its jobs: python -m bench status {sweep}{where}\n"
    )


def collapsed_report(collapsed: Mapping[str, str]) -> str:
    """Format the jobs of a sweep that have taught their network nothing, each with the reason.

    Args:
        collapsed: Reasons by the names of the jobs.

    Examples:
        >>> collapsed_report({"unet seed=0": "the training loss is flat"})
        '\\njobs that have not learned\\n  unet seed=0  the training loss is flat\\n'
    """
    wide = max(map(len, collapsed), default=0)
    lines = [f"  {job:{wide}}  {why}\n" for job, why in collapsed.items()]
    return "".join(["\njobs that have not learned\n", *lines] if lines else [])


def failures_report(failed: pd.DataFrame) -> str:
    """Format the failed jobs of a sweep, each with the reason."""
    wide = failed["job"].str.len().max()
    return "\njobs that failed\n" + "".join(f"  {row.job:{wide}}  {row.why}\n" for row in failed.itertuples())
