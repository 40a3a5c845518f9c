"""Estimate, a number with its safeguards, and LayerTable, the tidy table of them that a run produces."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from itertools import product

import pandas as pd

SATURATED = 0.95
RECOVERED = 2  # the factor within which planted truth must be found
ROUNDING = 1e-9  # bits
I_XT = "I(X;T)"
I_TY = "I(T;Y)"


@dataclass(frozen=True)
class Null:
    """What the estimator says when the pairing is broken by permutations, in bits."""

    mean: float
    spread: float
    quantile: float  # 95 %
    permutations: int


@dataclass(frozen=True)
class Planted:
    """What an estimator says of known truth planted on the same activations: true bits, and the excess that it found.

    reason: why nothing could be planted.
    """

    bits: float
    excess: float
    significant: bool
    reason: str | None = None

    @property
    def recovered(self) -> bool:
        """Found at all, and within a factor of 2 of the truth."""
        return bool(self.significant and self.bits / RECOVERED <= self.excess <= self.bits * RECOVERED)


@dataclass(frozen=True)
class Estimate:
    """Information in bits with what is needed to believe or doubt it. Never clipped at 0.

    interval: 95 %, of the estimator's own expectation at this n. null: None where the estimate reads one side alone,
    so that there is no pairing to break. ceiling: the most that the estimator could have said. limit: the most that
    the answer can be, the ceiling or the label's entropy. planted: the response to known truth, where it was measured.

    >>> Estimate(3.0, (2.9, 3.1), None, 4.0, 4.0, n=100, dims=(5, 1)).saturation
    0.75
    """

    bits: float
    interval: tuple[float, float]
    null: Null | None
    ceiling: float
    limit: float
    n: int
    dims: tuple[int, int]
    settings: dict = field(default_factory=dict)
    seconds: float = 0.0
    planted: Planted | None = None

    @property
    def excess(self) -> float | None:
        return None if self.null is None else self.bits - self.null.mean

    @property
    def saturation(self) -> float:
        return self.bits / self.ceiling

    @property
    def significant(self) -> bool | None:
        return None if self.null is None else self.bits > self.null.quantile + ROUNDING

    @property
    def reliable(self) -> bool | None:
        """False at the ceiling, where the null leaves no room below the limit, or where planted truth is not recovered.

        None without a null, where only the untrained control can tell.
        """
        if self.saturation >= SATURATED or (self.planted and not self.planted.recovered):
            return False
        return None if self.null is None else self.null.mean < SATURATED * self.limit

    def row(self) -> dict:
        """The columns of a LayerTable that an Estimate fills."""
        null = self.null and asdict(self.null)
        return {
            "bits": self.bits,
            "low": self.interval[0],
            "high": self.interval[1],
            "null_mean": null and null["mean"],
            "null_spread": null and null["spread"],
            "null_quantile": null and null["quantile"],
            "excess": self.excess,
            "ceiling": self.ceiling,
            "limit": self.limit,
            "saturation": self.saturation,
            "significant": self.significant,
            "planted": self.planted and self.planted.bits,
            "recovered": self.planted and self.planted.excess,
            "reliable": self.reliable,
            "n": self.n,
            "dim": self.dims[0],
            "target_dim": self.dims[1],
            "settings": json.dumps(self.settings, sort_keys=True),
            "seconds": self.seconds,
            "reason": self.planted and self.planted.reason,
        }


COLUMNS = [
    "epoch", "weights", "seed", "tap", "order", "place", "role", "level", "channels",
    "quantity", "given", "view", "label_view", "split", "estimator",
    "bits", "low", "high", "null_mean", "null_spread", "null_quantile", "excess", "ceiling", "limit", "saturation",
    "significant", "planted", "recovered", "reliable", "n", "dim", "target_dim", "settings", "seconds", "reason",
]  # fmt: skip


class LayerTable:
    """Tidy rows, one per epoch, weights, tap, quantity, label view and estimator.

    weights: `epoch` (in training), `best` (best checkpoint by validation) or `untrained` (control; `seed` says which
    initialisation). reason: why a row has no bits. place: along the data's way, 0 to 100, the bottleneck at 50.
    """

    def __init__(self, rows: Iterable[dict] = ()):
        self.rows = list(rows)

    def extend(self, rows: Iterable[dict]) -> None:
        self.rows.extend(rows)

    @property
    def frame(self) -> pd.DataFrame:
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def select(self, **equals) -> pd.DataFrame:
        """Rows whose columns equal the given values, in the order of the data's way.

        >>> LayerTable([{"tap": "out", "bits": 1.0}, {"tap": "up1"}]).select(tap="out")["bits"].tolist()
        [1.0]
        """
        frame = self.frame
        for column, value in equals.items():
            frame = frame[frame[column] == value]
        return frame.sort_values(["order", "epoch"], kind="stable")

    @property
    def estimators(self) -> list[str]:
        """Names in the order of the config; the first is the primary estimator."""
        return list(dict.fromkeys(row["estimator"] for row in self.rows))

    @property
    def views(self) -> list[str]:
        """Sample views in the order asked for; the first is the primary one."""
        return list(dict.fromkeys(row["view"] for row in self.rows))

    def primary(self, estimator: str | None = None, view: str | None = None) -> pd.DataFrame:
        """Rows of one estimator and view (the primary ones by default), I(T;Y) with the primary label view alone."""
        frame = self.select(estimator=estimator or self.estimators[0], view=view or self.views[0])
        views = frame["label_view"].dropna()
        return frame[frame["label_view"].isna() | (frame["label_view"] == (views.iloc[0] if len(views) else None))]

    def layer_points(self, epoch: int) -> list[tuple[str, float, int]]:
        """(key, bits, epoch) of the primary estimator in training, for a chart per tap: `layers.xt/TAP`."""
        rows = self.primary()
        rows = rows[(rows["weights"] == "epoch") & (rows["epoch"] == epoch)]
        keys = {I_XT: "layers.xt", I_TY: "layers.ty"}
        return [(f"{keys[row.quantity]}/{row.tap}", row.bits, epoch) for row in rows.itertuples()]

    def profile_points(self) -> list[tuple[str, float, int]]:
        """(key, bits, place) of the best checkpoint per estimator and view: a U-plot that a line chart can draw."""
        keys = {I_XT: "profile/I_XT", I_TY: "profile/I_TY"}
        points = []
        for estimator, view in product(self.estimators, self.views):
            rows = self.primary(estimator, view)
            rows = rows[(rows["weights"] == "best") & (rows["role"] != "input")]
            name = estimator if view == "image" else f"{estimator}.{view}"
            points += [(f"{keys[row.quantity]}.{name}", row.bits, row.place) for row in rows.itertuples()]
        return points

    def to_csv(self, path) -> None:
        self.frame.to_csv(path, index=False)

    @classmethod
    def from_csv(cls, path) -> LayerTable:
        return cls(pd.read_csv(path).to_dict("records"))
