"""Readings: layers against their controls, against the network's success, and against information."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from bench import plots
from bench.diagnostics.base import Findings
from bench.diagnostics.discarding.images import Images
from bench.diagnostics.discarding.problem import WITHIN
from bench.information.tables import LayerTable

OF_LAYERS = ("sid", "unevenness", "sid_running_max", "sid_absolute", "ru", "reconstruction_error", "ru_concentration")
WHERE = ["tap", "order", "place", "role", "level"]
FEWEST = 4  # values of a rank correlation
UNTRAINED = "weights == 'untrained'"


@dataclass(frozen=True)
class Reading:
    """name: of what is found. rows: by tap and image, also with a skip closed. maps: theirs.
    images: those looked at."""

    name: str
    rows: pd.DataFrame
    maps: pd.DataFrame
    images: Images
    beta: float

    def findings(self, table: LayerTable) -> Findings:
        if self.best.empty:
            return Findings()
        layers = self.layers()
        tables = {
            "layers": layers,
            "and_score": self.against_score(),
            "and_information": pd.DataFrame(self.against_information(table)),
            "skips": self.skips(),
        }
        figures = {self.name: plots.discarding(self.opened), **self.pictures()}
        trained = self.opened.query("weights == 'epoch'")
        if trained["epoch"].nunique() > 1:
            looked_at = trained.loc[trained["epoch"] > 0, "image"].unique()
            figures[f"{self.name}_concentration"] = plots.over_epochs(
                trained[trained["image"].isin(looked_at)], "concentration"
            )
        tables = {f"{self.name}_{name}": frame for name, frame in tables.items() if len(frame)}
        return Findings(dict(self.metrics()), tables, figures, list(self.curves(layers)))

    @property
    def opened(self) -> pd.DataFrame:
        """Rows that have a number and no skip closed, in the order of the data's way."""
        rows = self.rows[self.rows["sid"].notna()]
        rows = rows[rows["closed"].isna()] if "closed" in rows else rows
        return rows.sort_values("order", kind="stable")

    @property
    def best(self) -> pd.DataFrame:
        return self.opened.query("weights == 'best'")

    def layers(self) -> pd.DataFrame:
        """Of the best checkpoint by tap, means and spread over images; the untrained networks' range, the damaged."""
        names = [name for name in self.opened if name in OF_LAYERS or name.startswith("concentration")]
        by_tap = self.best.groupby("tap", sort=False)
        found = by_tap[WHERE[1:]].first().reset_index()
        untrained = self.opened.query(UNTRAINED).groupby(["seed", "tap"])[names].mean().groupby("tap")
        damaged = self.opened.query("weights == 'damaged'").groupby("tap")[names].mean()
        for name in names:
            found[name] = found["tap"].map(by_tap[name].mean())
            found[f"{name}_spread"] = found["tap"].map(by_tap[name].std())
            found[f"{name}_untrained_low"] = found["tap"].map(untrained[name].min())
            found[f"{name}_untrained_high"] = found["tap"].map(untrained[name].max())
            found[f"{name}_damaged"] = found["tap"].map(damaged[name])
        return found.assign(n=found["tap"].map(by_tap.size())).dropna(axis=1, how="all")

    def against_score(self) -> pd.DataFrame:
        """By tap, the rank correlation over images of SID and of concentration with the network's score on them.

        Beside it, that of its controls, untrained and damaged, with the same scores: what the images alone explain.
        """
        measures = ["sid", "concentration"]
        asked = self.opened.query("weights != 'epoch'").groupby(["tap", "weights", "image"])[measures].mean()
        scores = self.best.drop_duplicates("image").set_index("image")["score"]
        rows = []
        for tap, images in self.best.groupby("tap", sort=False):
            found = {"tap": tap, "n": len(images)}
            for weights, values in asked.loc[tap].groupby("weights"):
                suffix = "" if weights == "best" else f"_{weights}"
                found |= {f"{name}{suffix}": _rank(values.loc[weights, name], scores) for name in measures}
            rows.append(found)
        return pd.DataFrame(rows).dropna(subset=measures, how="all")

    def against_information(self, table: LayerTable) -> Iterator[dict]:
        """By estimator, view and quantity, the rank correlation over layers of SID with the information they have.

        Negative where layers that discard more tell less: the same story. apart: the layer whose ranks agree least.
        """
        sid = self.best.groupby("tap", sort=False)["sid"].mean()
        for estimator in table.estimators:
            for view in table.views:
                rows = table.primary(estimator, view).query("weights == 'best'")
                for quantity, measured in rows.groupby("quantity", sort=False):
                    size = "excess" if measured["excess"].notna().any() else "bits"
                    bits = measured.set_index("tap")[size].astype(float).reindex(sid.index).dropna()
                    if len(bits) >= FEWEST and bits.nunique() > 1:
                        apart = (sid[bits.index].rank() - bits.rank(ascending=False)).abs()
                        asked = {"estimator": estimator, "view": view, "quantity": quantity, "of": size}
                        found = {"rank_correlation": _rank(sid[bits.index], bits), "apart": apart.idxmax()}
                        yield asked | found | {"taps": len(bits)}

    def skips(self) -> pd.DataFrame:
        """By skip, what only it carries to where it ends, bits a cell: mean and spread over images, controls."""
        if "carried" not in self.rows:
            return pd.DataFrame()
        rows = self.rows[self.rows["carried"].notna()]
        best = rows.query("weights == 'best'").groupby(["closed", "tap"], sort=False)["carried"]
        found = best.agg(["mean", "std", "size"]).reset_index()
        found.columns = ["closed", "tap", "carried", "carried_spread", "n"]
        for name, which in {"untrained": UNTRAINED, "damaged": "weights == 'damaged'"}.items():
            found[f"carried_{name}"] = found["closed"].map(rows.query(which).groupby("closed")["carried"].mean())
        return found

    def metrics(self) -> Iterator[tuple[str, float]]:
        """Single values for the table of runs."""
        missed = (self.opened["distortion"] - self.beta).abs()
        met = missed <= (3 * self.opened["distortion_error"]).clip(lower=WITHIN * self.beta)
        yield f"{self.name}/met", float((met | (self.opened["capped"] == 1)).mean())
        yield f"{self.name}/unevenness", float(self.best.groupby("tap")["unevenness"].mean().max())
        ends = self.best.drop_duplicates("tap")
        bottleneck = ends.loc[ends["role"] == "bottleneck", "tap"]
        for tap in [*bottleneck.tail(1), *ends["tap"].tail(1)]:
            for name in ("sid", "concentration"):
                yield f"{self.name}/{name}.{tap}", float(self.best.loc[self.best["tap"] == tap, name].mean())
        damaged = self.opened.query("weights == 'damaged'").set_index(["tap", "image"])
        if len(damaged):
            order = self.best.drop_duplicates("tap").set_index("tap")["order"].get(damaged["damaged"].iloc[0], 0)
            after = self.best[self.best["order"] >= order].set_index(["tap", "image"])["sid"]
            yield f"{self.name}/damage", float((damaged["sid"].reindex(after.index) - after).abs().mean())
        for row in self.skips().itertuples():
            yield f"{self.name}/carried.{row.closed}", float(row.carried)

    def curves(self, layers: pd.DataFrame) -> Iterator[tuple[str, float, int]]:
        """Along the data's way, for charts that overlay runs."""
        for name in ("sid", "concentration", "ru"):
            if name in layers:
                yield from (
                    (f"profile/{self.name}.{name}", row[name], int(row["place"])) for _, row in layers.iterrows()
                )

    def pictures(self) -> dict:
        """Maps of the best checkpoint and its controls, and of what skips carry; of several controls the first."""
        images = dict(zip(self.images.samples.names, self.images.pictures(), strict=True))
        found = {}
        for weights in ("best", "untrained", "damaged"):
            maps = self.maps[self.maps["weights"] == weights]
            maps = maps[maps["seed"] == maps["seed"].min()]
            suffix = "" if weights == "best" else f".{weights}"
            for kind, part in (("maps", maps[maps["closed"].isna()]), ("carried", maps[maps["closed"].notna()])):
                if len(part):
                    found[f"{self.name}_{kind}{suffix}"] = plots.discarding_maps(part, images, kind)
        return found


def _rank(values: pd.Series, others: pd.Series) -> float:
    """Spearman's; NaN where there are too few pairs, or no variation."""
    both = pd.concat([values, others], axis=1).dropna()
    if len(both) < FEWEST or (both.nunique() < 2).any():
        return np.nan
    return float(spearmanr(both.iloc[:, 0], both.iloc[:, 1]).statistic)
