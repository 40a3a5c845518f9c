"""A sweep in MLflow: a parent run that the jobs hang below, with mean profiles and the overlaid U-plot of its own."""

from __future__ import annotations

import logging
import tempfile

import pandas as pd
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, open_dict, read_write

from bench import plots, tracking
from bench.tables import LayerTable

log = logging.getLogger(__name__)


class SweepParent(Callback):
    """Hydra callback: makes store, experiment and parent before any job starts, and sums the jobs up at the end."""

    open: SweepParent | None = None  # the sweep of this process, for whoever must close it after a failure

    def on_multirun_start(self, config: DictConfig, **_) -> None:
        if config.tracking.parent:
            return  # another verb owns the parent
        self.store = tracking.connect(config.tracking.uri, config.tracking.experiment)
        overrides = OverridesParser.create().parse_overrides(list(config.hydra.overrides.task))
        swept = " ".join(override.input_line for override in overrides if override.is_sweep_override())
        name = config.tracking.name or f"sweep {swept}"
        self.parent = tracking.sweep_parent(self.store, name, " ".join(config.hydra.overrides.task))
        alike = [override.key_or_group for override in overrides if not override.is_sweep_override()]
        same = [*config.hydra.job.config.override_dirname.exclude_keys, *alike]
        with read_write(config), open_dict(config):  # Hydra composes every job from this list
            config.hydra.overrides.hydra += [
                f"tracking.parent={self.parent.id}",
                f"tracking.uri='{self.store.uri}'",
                f"hydra.job.config.override_dirname.exclude_keys=[{','.join(same)}]",
            ]
        SweepParent.open = self

    def on_multirun_end(self, config: DictConfig, **_) -> None:
        self.close(failed=False)

    def close(self, failed: bool) -> None:
        """Log what the finished jobs have in common, and end the parent run."""
        if SweepParent.open is not self:
            return
        SweepParent.open = None
        with tracking.ending(self.store, self.parent, failed):
            tables = self._tables()
            if tables:
                self._sum_up(tables)

    def _tables(self) -> list[tuple[str, LayerTable]]:
        """(design, LayerTable) of every finished job."""
        jobs = []
        with tempfile.TemporaryDirectory() as folder:
            for run_id in tracking.children(self.store, self.parent.id):
                path = tracking.artifact(self.store, run_id, "layers.csv", folder)
                jobs.append((tracking.design(self.store, run_id), LayerTable.from_csv(path)))
        return jobs

    def _sum_up(self, tables: list[tuple[str, LayerTable]]) -> None:
        points = pd.DataFrame(
            [point for _, table in tables for point in table.profile_points()], columns=["key", "bits", "place"]
        )
        means = points.groupby(["key", "place"])["bits"].mean()
        self.parent.curves([(key, bits, place) for (key, place), bits in means.items()])
        estimator = tables[0][1].estimators[0]
        profiles: dict[str, list[pd.DataFrame]] = {}
        for design, table in tables:
            profiles.setdefault(design, []).append(profile(table, estimator))
        joined = {design: pd.concat(frames) for design, frames in sorted(profiles.items())}
        self.parent.figure(plots.overlaid(joined, f"{estimator}, mean over the runs of a design"), "figures/u_plot.png")


def profile(table: LayerTable, estimator: str) -> pd.DataFrame:
    """quantity, place, bits of the best checkpoint and the untrained controls' mean beside them."""
    rows = table.primary(estimator)
    rows = rows[rows["role"] != "input"]
    keys = ["quantity", "place", "tap"]
    best = rows[rows["weights"] == "best"].set_index(keys)["bits"]
    control = rows[(rows["weights"] == "untrained") | (rows["epoch"] == 0)].groupby(keys)["bits"].mean()
    return pd.DataFrame({"bits": best, "control": control.reindex(best.index)}).reset_index()
