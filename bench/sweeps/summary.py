"""Summary of a sweep: mean profiles of its finished jobs, and a report of the failed jobs."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from math import ceil

import numpy as np
import pandas as pd

from bench import plots, tracking
from bench.config.composing import as_argument
from bench.errors import InputError
from bench.sweeps import jobs
from bench.tracking import records, views
from bench.tracking.listing import list_runs, tag_runs
from bench.tracking.sqlite import default_uri
from bench.tracking.store import Store

MOST_DRAWN = 40  # maximal number of designs in a figure
FEW = 120  # runs whose tables are all read; of more runs, MOST_DRAWN are

log = logging.getLogger(__name__)


def summarise(store: Store, parent: tracking.Run) -> None:
    """Log the mean profiles and the overlaid U-plot of a sweep on its parent.

    The U-plot shows the profile of the primary estimator for each design. Only the runs of `select_read` are read; the
    note on the parent says how many. If layers.csv of a job is missing or damaged, the log names the job.
    """
    curves: dict[str, list[pd.Series]] = {}
    profiles: dict[str, list[pd.DataFrame]] = {}
    designs, estimator, view, data = jobs.of_sweep(store, parent.id), None, None, None
    styles = colour_runs(store, designs)
    chosen = select_read(designs)
    for run, design in chosen.items():
        try:
            table, data = records.layers_of(store, run), data or records.card_of(store, run)["name"]
        except InputError as error:  # the summary continues with the other jobs
            log.warning("%s (%s) is not in the summary: %s", design, run, error)
            continue
        if table.rows:
            estimator, view = estimator or table.estimators[0], view or table.views[0]
            points = pd.DataFrame(table.profile_points(), columns=["key", "bits", "depth"])
            for key, curve in points.groupby("key"):
                curves.setdefault(str(key), []).append(curve.groupby("depth")["bits"].mean())
            profiles.setdefault(design, []).append(table.profile_and_untrained(estimator))
    parent.curves(
        [(key, bits, depth) for key, several in curves.items() for depth, bits in mean_curve(several).items()]
    )
    over = "its runs" if len(chosen) == len(designs) else f"{len(chosen)} of its runs"
    parent.note(
        f"**Sweep of {len(styles)} designs, {len(designs)} finished runs** · {data or 'no layers measured'}\n\n"
        f"The charts of this run show means over {over}. To compare scores, costs and layers with intervals: "
        f"`python -m bench compare sweep={parent.id}`.\n\n{views.PROFILES}"
    )
    joined = {design: pd.concat(profiles[design]) for design in evenly(sorted(profiles))}
    if any(len(frame) for frame in joined.values()):
        drawn = f"{len(joined)} of {len(styles)}" if len(joined) < len(styles) else str(len(joined))
        means = "the runs of a design" if len(chosen) == len(designs) else f"{len(chosen)} of {len(designs)} runs"
        about = f"{data} · {drawn} designs, mean over {means}"
        title = plots.heading(about, f"estimator {estimator}, {view} view")
        parent.figure(plots.overlaid(joined, title, styles), "figures/u_plot.png")


def colour_runs(store: Store, designs: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Give the runs of a design the same colour in MLflow's UI.

    Args:
        store: The tracking store.
        designs: Design of each run, by the id of the run.

    Returns:
        Colour and marker of each design, for figures.
    """
    styles = plots.design_styles(set(designs.values()))
    known = {run.id: run.tags.get(views.COLOUR) for run in list_runs(store, status="FINISHED", tags=[views.COLOUR])}
    colours = {run: styles[design]["color"] for run, design in designs.items()}
    tag_runs(store, views.COLOUR, {run: colour for run, colour in colours.items() if known.get(run) != colour})
    return styles


def mean_curve(curves: Sequence[pd.Series]) -> pd.Series:
    """Average curves over relative depth.

    Networks of different depths have layers at different relative depths. Each curve is therefore interpolated to the
    depths of all curves. It counts only between its first and its last depth.

    Examples:
        >>> mean_curve([pd.Series({0: 0.0, 100: 2.0}), pd.Series({0: 4.0, 50: 1.0, 100: 2.0})]).to_dict()
        {0: 2.0, 50: 1.0, 100: 2.0}
    """
    depths = sorted(set().union(*(curve.index for curve in curves)))
    values = [np.interp(depths, curve.index, curve, left=np.nan, right=np.nan) for curve in curves]
    return pd.Series(np.nanmean(values, axis=0), depths)


def select_read(designs: Mapping[str, str]) -> dict[str, str]:
    """Select the runs whose tables the summary reads: all of a few, else about 40, the same number of each design.

    The time to read tables is proportional to the number of runs.

    Args:
        designs: Design of each run, by the id of the run.

    Examples:
        >>> list(select_read({f"run{n}": f"depth={n}" for n in range(1000)}))[:3]
        ['run0', 'run120', 'run143']
        >>> [len(select_read({f"run{n}": f"depth={n % 2}" for n in range(count)})) for count in (120, 121)]
        [120, 40]
    """
    if len(designs) <= FEW:
        return dict(designs)
    chosen = evenly(sorted(set(designs.values())))
    each = max(MOST_DRAWN // len(chosen), 1)
    runs = {name: [run for run, design in designs.items() if design == name][:each] for name in chosen}
    return {run: name for name in chosen for run in runs[name]}


def evenly(names: list[str]) -> list[str]:
    """Select at most 40 evenly spaced designs, because a figure can't distinguish more.

    Examples:
        >>> len(evenly(["design"] * 40)), evenly([f"seed={n}" for n in range(1000)])[:3]
        (40, ['seed=0', 'seed=25', 'seed=50'])
    """
    return names[:: ceil(len(names) / MOST_DRAWN) or 1]


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
