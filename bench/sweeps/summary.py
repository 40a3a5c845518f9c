"""Summary of a sweep: what the profiles of its finished jobs have in common."""

from __future__ import annotations

import logging
from math import ceil

import pandas as pd

from bench import plots, tracking
from bench.errors import InputError
from bench.information.tables import LayerTable
from bench.sweeps import jobs
from bench.tracking import records
from bench.tracking.store import Store

MOST_DRAWN = 40  # designs in a picture

log = logging.getLogger(__name__)


def sum_up(store: Store, parent: tracking.Run) -> None:
    """Log on the parent mean profiles, and per design the profile of the primary estimator as the overlaid U-plot.

    A job whose layers.csv is missing or damaged is named in the log and left out.
    """
    points: list[tuple[str, float, int]] = []
    profiles: dict[str, list[pd.DataFrame]] = {}
    estimator = None
    for run, design in jobs.of_sweep(store, parent.id).items():
        try:
            table = records.layers_of(store, run)
        except InputError as error:  # the other jobs are summed up
            log.warning("%s (%s) is not in the summary: %s", design, run, error)
            continue
        if table.rows:
            estimator = estimator or table.estimators[0]
            points += table.profile_points()
            profiles.setdefault(design, []).append(profile(table, estimator))
    means = pd.DataFrame(points, columns=["key", "bits", "place"]).groupby(["key", "place"])["bits"].mean()
    parent.curves([(key, bits, place) for (key, place), bits in means.items()])
    joined = {design: pd.concat(profiles[design]) for design in drawn(sorted(profiles))}
    if any(len(frame) for frame in joined.values()):
        title = f"{estimator}, mean over the runs of a design"
        title += f"; {len(joined)} of {len(profiles)} designs" if len(joined) < len(profiles) else ""
        parent.figure(plots.overlaid(joined, title), "figures/u_plot.png")


def drawn(designs: list[str]) -> list[str]:
    """As many designs as a picture can tell apart, evenly over all of them.

    >>> len(drawn(["design"] * 40)), drawn([f"seed={n}" for n in range(1000)])[:3]
    (40, ['seed=0', 'seed=25', 'seed=50'])
    """
    return designs[:: ceil(len(designs) / MOST_DRAWN) or 1]


def profile(table: LayerTable, estimator: str, view: str | None = None) -> pd.DataFrame:
    """quantity, place, bits of the best checkpoint and the untrained controls' mean beside them."""
    keys = ["quantity", "place", "tap"]
    best = table.profile(estimator, view).set_index(keys)["bits"]
    control = table.untrained(estimator, view).groupby(keys)["bits"].mean()
    return pd.DataFrame({"bits": best, "control": control.reindex(best.index)}).reset_index()


def failures_report(failed: pd.DataFrame) -> str:
    """The jobs of a sweep that failed, each with the reason."""
    wide = failed["job"].str.len().max()
    return "\njobs that failed\n" + "".join(f"  {row.job:{wide}}  {row.why}\n" for row in failed.itertuples())
