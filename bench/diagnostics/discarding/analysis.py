"""Analysis of the measured rows: layers against their references, the scores of the network, and information."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
import scipy

from bench import plots
from bench.diagnostics.base import Findings
from bench.diagnostics.discarding.layerwise import Images
from bench.diagnostics.discarding.optimization import TOLERANCE
from bench.information.tables import LayerTable, Weights

MEASURES = ("sid", "unevenness", "sid_running_max", "sid_absolute", "ru", "reconstruction_error", "ru_concentration")
MIN_PAIRS = 4  # of a rank correlation


@dataclass(frozen=True)
class Analysis:
    """Tables, metrics, curves and figures of one diagnostic, computed from its rows.

    Args:
        name: Prefix of all names.
        rows: One row per tap and image, and one per closed skip and image.
        maps: The maps of the rows.
        images: The measured images.
        beta: Bound β on the distortion.
    """

    name: str
    rows: pd.DataFrame
    maps: pd.DataFrame
    images: Images
    beta: float

    def findings(self, table: LayerTable) -> Findings:
        """Collect all results; `table` holds the estimates of information."""
        if self.best.empty:
            return Findings()
        layers = self.layers()
        tables = {
            "layers": layers,
            "and_score": self.against_score(),
            "and_information": pd.DataFrame(self.against_information(table)),
            "skips": self.skips(),
        }
        figures = {self.name: plots.discarding(self.opened, table.about), **self.pictures(table.about)}
        trained = _with_weights(self.opened, Weights.EPOCH)
        if trained["epoch"].nunique() > 1:
            measured = trained.loc[trained["epoch"] > 0, "image"].unique()
            rows = trained[trained["image"].isin(measured)]
            figures[f"{self.name}_concentration"] = plots.over_epochs(rows, "concentration", table.about)
        tables = {f"{self.name}_{name}": frame for name, frame in tables.items() if len(frame)}
        return Findings(dict(self.metrics()), tables, figures, list(self.curves(layers)))

    @property
    def opened(self) -> pd.DataFrame:
        """Rows with a measurement and without a closed skip, ordered by depth."""
        rows = self.rows[self.rows["sid"].notna()]
        rows = rows[rows["closed"].isna()] if "closed" in rows else rows
        return rows.sort_values("order", kind="stable")

    @property
    def best(self) -> pd.DataFrame:
        """Rows of the best checkpoint among `opened`."""
        return _with_weights(self.opened, Weights.BEST)

    def layers(self) -> pd.DataFrame:
        """Summarise each tap: mean and standard deviation over images for the best checkpoint, and its references.

        The references are the range of the untrained networks and the mean of the damaged network.
        """
        names = [name for name in self.opened if name in MEASURES or name.startswith("concentration")]
        by_tap = self.best.groupby("tap", sort=False)
        found = by_tap[["order", "relative_depth", "role", "level"]].first().reset_index()
        untrained = _with_weights(self.opened, Weights.UNTRAINED).groupby(["seed", "tap"])[names].mean().groupby("tap")
        damaged = _with_weights(self.opened, Weights.DAMAGED).groupby("tap")[names].mean()
        for name in names:
            found[name] = found["tap"].map(by_tap[name].mean())
            found[f"{name}_spread"] = found["tap"].map(by_tap[name].std())
            found[f"{name}_untrained_low"] = found["tap"].map(untrained[name].min())
            found[f"{name}_untrained_high"] = found["tap"].map(untrained[name].max())
            found[f"{name}_damaged"] = found["tap"].map(damaged[name])
        return found.assign(n=found["tap"].map(by_tap.size())).dropna(axis=1, how="all")

    def against_score(self) -> pd.DataFrame:
        """Correlate SID and concentration with the scores of the best checkpoint over images, by ranks, for each tap.

        The same correlation for the untrained and damaged networks shows how much the images alone explain.
        """
        measures = ["sid", "concentration"]
        after = self.opened[self.opened["weights"] != Weights.EPOCH]
        asked = after.groupby(["tap", "weights", "image"])[measures].mean()
        scores = self.best.drop_duplicates("image").set_index("image")["score"]
        rows = []
        for tap, images in self.best.groupby("tap", sort=False):
            found = {"tap": tap, "n": len(images)}
            for weights, values in asked.loc[tap].groupby("weights"):
                suffix = "" if weights == Weights.BEST else f"_{weights}"
                found |= {f"{name}{suffix}": _rank(values.loc[weights, name], scores) for name in measures}
            rows.append(found)
        return pd.DataFrame(rows).dropna(subset=measures, how="all")

    def against_information(self, table: LayerTable) -> Iterator[dict]:
        """Correlate SID with the estimated information over layers, by ranks, for each estimator, view and quantity.

        The correlation is negative if layers that discard more have less information. `apart` is the layer whose two
        ranks differ most.
        """
        sid = self.best.groupby("tap", sort=False)["sid"].mean()
        for estimator in table.estimators:
            for view in table.views:
                rows = _with_weights(table.primary(estimator, view), Weights.BEST)
                for quantity, measured in rows.groupby("quantity", sort=False):
                    size = "excess" if measured["excess"].notna().any() else "bits"
                    bits = measured.set_index("tap")[size].astype(float).reindex(sid.index).dropna()
                    if len(bits) >= MIN_PAIRS and bits.nunique() > 1:
                        apart = (sid[bits.index].rank() - bits.rank(ascending=False)).abs()
                        asked = {"estimator": estimator, "view": view, "quantity": quantity, "of": size}
                        found = {"rank_correlation": _rank(sid[bits.index], bits), "apart": apart.idxmax()}
                        yield asked | found | {"taps": len(bits)}

    def skips(self) -> pd.DataFrame:
        """Summarise what only each skip carries, bits per cell: mean and deviation over images, and its references."""
        if "carried" not in self.rows:
            return pd.DataFrame()
        rows = self.rows[self.rows["carried"].notna()]
        best = _with_weights(rows, Weights.BEST).groupby(["closed", "tap"], sort=False)["carried"]
        found = best.agg(["mean", "std", "size"]).reset_index()
        found.columns = ["closed", "tap", "carried", "carried_spread", "n"]
        for which in (Weights.UNTRAINED, Weights.DAMAGED):
            own = _with_weights(rows, which)
            found[f"carried_{which}"] = found["closed"].map(own.groupby("closed")["carried"].mean())
        return found

    def metrics(self) -> Iterator[tuple[str, float]]:
        """Yield the name and value of each metric of the run.

        `met` is the share of measurements that meet β or have every cell capped. `damage` is the mean absolute change
        of SID from the damaged layer on.
        """
        gap = (self.opened["distortion"] - self.beta).abs()
        met = gap <= (3 * self.opened["distortion_error"]).clip(lower=TOLERANCE * self.beta)
        yield f"{self.name}/met", float((met | (self.opened["capped"] == 1)).mean())
        yield f"{self.name}/unevenness", float(self.best.groupby("tap")["unevenness"].mean().max())
        ends = self.best.drop_duplicates("tap")
        bottleneck = ends.loc[ends["role"] == "bottleneck", "tap"]
        for tap in [*bottleneck.tail(1), *ends["tap"].tail(1)]:
            for name in ("sid", "concentration"):
                yield f"{self.name}/{name}.{tap}", float(self.best.loc[self.best["tap"] == tap, name].mean())
        damaged = _with_weights(self.opened, Weights.DAMAGED).set_index(["tap", "image"])
        if len(damaged):
            order = self.best.drop_duplicates("tap").set_index("tap")["order"].get(damaged["damaged"].iloc[0], 0)
            after = self.best[self.best["order"] >= order].set_index(["tap", "image"])["sid"]
            yield f"{self.name}/damage", float((damaged["sid"].reindex(after.index) - after).abs().mean())
        for row in self.skips().itertuples():
            yield f"{self.name}/carried.{row.closed}", float(row.carried)

    def curves(self, layers: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
        """Yield the profiles along relative depth as (key, value, depth)."""
        for name in ("sid", "concentration", "ru"):
            if name in layers:
                for _, row in layers.iterrows():
                    yield f"profile/{self.name}.{name}", row[name], int(row["relative_depth"])

    def pictures(self, about: str) -> dict:
        """Draw the maps of layers and skips for the best checkpoint, the damaged and the first untrained network."""
        images = dict(zip(self.images.samples.names, self.images.pictures(), strict=True))
        found = {}
        for weights in ("best", "untrained", "damaged"):
            maps = self.maps[self.maps["weights"] == weights]
            maps = maps[maps["seed"] == maps["seed"].min()]
            title = f"{about} · {weights} network" if about else f"{weights} network"
            suffix = "" if weights == Weights.BEST else f".{weights}"
            for kind, part in (("maps", maps[maps["closed"].isna()]), ("carried", maps[maps["closed"].notna()])):
                if len(part):
                    found[f"{self.name}_{kind}{suffix}"] = plots.discarding_maps(part, images, kind, title)
        return found


def _rank(values: pd.Series, others: pd.Series) -> float:
    """Return Spearman's rank correlation; NaN if there are too few pairs or if the values do not vary."""
    both = pd.concat([values, others], axis=1).dropna()
    if len(both) < MIN_PAIRS or (both.nunique() < 2).any():
        return np.nan
    return float(scipy.stats.spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic)


def _with_weights(rows: pd.DataFrame, weights: Weights) -> pd.DataFrame:
    """Select the rows that were measured with these weights."""
    return rows[rows["weights"] == weights]
