"""LayerTable: the tidy table of estimates that a run produces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import product

import pandas as pd

from bench.errors import InputError

I_XT = "I(X;T)"
I_TY = "I(T;Y)"

COLUMNS = [
    "epoch", "weights", "seed", "tap", "order", "relative_depth", "role", "level", "channels",
    "quantity", "given", "view", "label_view", "split", "estimator",
    "bits", "low", "high", "null_mean", "null_spread", "null_quantile", "excess", "ceiling", "limit",
    "label_entropy", "saturation", "significant", "p_value", "planted", "recovered", "recovered_ok", "reliable",
    "n", "dim", "target_dim", "settings", "seconds", "reason", "calibrated", "calibrated_low", "calibrated_high",
]  # fmt: skip
# columns that every reader needs: of text, and of numbers
READ = (
    ("weights", "tap", "role", "quantity", "view", "label_view", "estimator", "reliable", "recovered_ok"),
    ("epoch", "order", "relative_depth", "bits", "low", "high", "excess"),
)
FORMER = {"place": "relative_depth", "found": "recovered_ok"}  # names of columns in tables of earlier runs
FAILED = "the estimator failed: "  # the start of the reason of such a row
LAYERS = "layers"
ESTIMATE = ["bits", "low", "high", "null_mean", "excess"]


class Weights(StrEnum):
    """Which weights a network had when it was measured."""

    EPOCH = "epoch"  # in training
    BEST = "best"  # of the best checkpoint by validation
    UNTRAINED = "untrained"  # of a reference that was never trained
    DAMAGED = "damaged"  # of the best checkpoint, with those of one layer shuffled


@dataclass(frozen=True)
class Moment:
    """When a network is measured: after an epoch, with which weights; `seed` says how they were initialised."""

    epoch: int
    weights: Weights
    seed: int

    def row(self) -> dict:
        """Return the columns of a LayerTable that it fills."""
        return asdict(self)

    def __str__(self) -> str:
        names = {
            Weights.EPOCH: f"epoch {self.epoch}",
            Weights.BEST: "best checkpoint",
            Weights.UNTRAINED: f"untrained network {self.seed}",
            Weights.DAMAGED: "network with a shuffled layer",
        }
        return names[self.weights]


def _question(row: dict) -> tuple:
    return tuple(row.get(key) for key in ("tap", "quantity", "given", "view", "label_view", "estimator", "n", "dim"))


class LayerTable:
    """Tidy rows, one for each epoch, weights, tap, quantity, label view and estimator.

    Some of the columns are

    - weights: `epoch` (in training), `best` (best checkpoint by validation) or `untrained` (initialised from `seed`);
    - relative_depth: 0 at the input, 50 at the bottleneck, 100 at the output; reason: why a row has no bits;
    - planted: bits of known truth; recovered: the excess of the estimator on it; recovered_ok: whether it is
      significant and within a factor of 2 of the truth.

    Attributes:
        rows: The rows as dictionaries.
        details: Rows of other tables that diagnostics keep beside it, by name.
        about: Data, design and score of the network, for the titles of figures; empty if they are unknown.
        skips: Whether the network has skips, by which information bypasses the bottleneck.
        patients: Number of patients or other groups of the images; None if it is not known.
    """

    def __init__(self, rows: Iterable[dict] = (), about: str = ""):
        self.rows = list(rows)
        self.about = about
        self.skips = False
        self.patients: int | None = None
        self.details: dict[str, list[dict]] = {}

    def extend(self, rows: Iterable[dict], name: str = LAYERS) -> None:
        """Add rows to this table, or to the details with this name."""
        (self.rows if name == LAYERS else self.details.setdefault(name, [])).extend(rows)

    def detail(self, name: str) -> pd.DataFrame:
        """Return the details with this name."""
        return pd.DataFrame(self.details.get(name, []))

    def share_responses(self) -> None:
        """Copy the response to planted truth to all rows of the same tap, question, estimator, n and dimension.

        It was measured on the best checkpoint. A row whose estimator does not recover it becomes unreliable.
        """
        responses = {_question(row): row for row in self.rows if row.get("recovered_ok") is not None}
        for row in self.rows:
            response = responses.get(_question(row))
            if response and row.get("null_mean") is not None:
                row |= {column: response[column] for column in ("planted", "recovered", "recovered_ok")}
                row["reliable"] = row["reliable"] and response["recovered_ok"]

    @property
    def failed(self) -> int:
        """The number of rows without bits because the estimator ended in an unexpected error."""
        return sum(str(row.get("reason")).startswith(FAILED) for row in self.rows)

    @property
    def frame(self) -> pd.DataFrame:
        """The rows as a data frame with all columns."""
        return pd.DataFrame(self.rows, columns=COLUMNS)

    def select(self, **equals) -> pd.DataFrame:
        """Select the rows whose columns equal the given values, sorted by depth and epoch.

        >>> LayerTable([{"tap": "out", "bits": 1.0}, {"tap": "up1"}]).select(tap="out")["bits"].tolist()
        [1.0]
        """
        frame = self.frame
        for column, value in equals.items():
            frame = frame[frame[column] == value]
        return frame.sort_values(["order", "epoch"], kind="stable")

    @property
    def estimators(self) -> list[str]:
        """The names of the estimators in the order of the configuration. The first one is the primary estimator."""
        return list(dict.fromkeys(row["estimator"] for row in self.rows))

    @property
    def views(self) -> list[str]:
        """The sample views in the order of the configuration. The first one is the primary view."""
        return list(dict.fromkeys(row["view"] for row in self.rows))

    def layers(self, estimator: str) -> pd.DataFrame:
        """Select the information about X and Y by one estimator, in all views and label views."""
        frame = self.select(estimator=estimator)
        return frame[frame["quantity"].isin((I_XT, I_TY))]

    def primary(self, estimator: str | None = None, view: str | None = None) -> pd.DataFrame:
        """Select the information about X and Y by one estimator, in one view and the first label view.

        Args:
            estimator: Name; the primary estimator by default.
            view: Sample view; the primary view by default.
        """
        frame = self.layers(estimator or self.estimators[0])
        frame = frame[frame["view"] == (view or self.views[0])]
        views = frame["label_view"].dropna()
        return frame[frame["label_view"].isna() | (frame["label_view"] == (views.iloc[0] if len(views) else None))]

    def best(self, estimator: str | None = None, view: str | None = None) -> pd.DataFrame:
        """Return the primary rows of the best checkpoint, one for each tap and quantity."""
        rows = self.primary(estimator, view)
        return rows[rows["weights"] == Weights.BEST]

    def profile(self, estimator: str | None = None, view: str | None = None) -> pd.DataFrame:
        """Return the rows of `best` that have an estimate, without the input: information along the layers."""
        return _profile(self.best(estimator, view))

    def untrained(self, estimator: str | None = None, view: str | None = None) -> pd.DataFrame:
        """Return the primary rows of networks before training: of the references, and of the network at epoch 0."""
        return _untrained(self.primary(estimator, view))

    def profile_and_untrained(self, estimator: str, view: str | None = None) -> pd.DataFrame:
        """Return the profile of the best checkpoint with the mean of the untrained references.

        Args:
            estimator: Name of the estimator.
            view: Sample view, or None for the primary view.

        Returns:
            A row for each layer: quantity, relative_depth, tap, role; bits, low, high, null_mean and excess of the best
            checkpoint; and untrained and untrained_excess, means of bits and excess over the references. All in bits.
        """
        keys = ["quantity", "relative_depth", "tap"]
        primary = self.primary(estimator, view)  # once, because it takes milliseconds for each of many runs
        rows = _profile(primary[primary["weights"] == Weights.BEST]).set_index(keys)[["role", *ESTIMATE]]
        best = rows.astype(dict.fromkeys(ESTIMATE, float))
        untrained = _untrained(primary).astype({"bits": float, "excess": float}).groupby(keys)
        means = untrained[["bits", "excess"]].mean().reindex(best.index)
        return best.assign(untrained=means["bits"], untrained_excess=means["excess"]).reset_index()

    def layer_points(self, epoch: int) -> list[tuple[str, float, int]]:
        """Return (key, bits, epoch) of the primary estimator in training, for one chart per tap: `layers.xt/TAP`."""
        rows = self.primary() if self.rows else self.frame
        rows = rows[(rows["weights"] == Weights.EPOCH) & (rows["epoch"] == epoch)]
        keys = {I_XT: "layers.xt", I_TY: "layers.ty"}
        return [(f"{keys[row.quantity]}/{row.tap}", row.bits, epoch) for row in rows.itertuples()]

    def profile_points(self) -> list[tuple[str, float, int]]:
        """Return (key, bits, relative depth) of the best checkpoint for each estimator and view, for line charts.

        The bits are the excess over the null, because these charts overlay designs. Estimates that have no null, such
        as I(X;T) of `kde`, are shown as they are.
        """
        keys = {I_XT: "profile/I_XT", I_TY: "profile/I_TY"}
        points: list[tuple[str, float, int]] = []
        for estimator, view in product(self.estimators, self.views):
            rows = self.profile(estimator, view)
            name = estimator if view == "image" else f"{estimator}.{view}"
            bits = rows["excess"].fillna(rows["bits"])
            points += zip(rows["quantity"].map(keys) + f".{name}", bits, rows["relative_depth"], strict=True)
        return points

    def to_csv(self, path) -> None:
        """Write the rows with all columns."""
        self.frame.to_csv(path, index=False)

    @classmethod
    def from_csv(cls, path) -> LayerTable:
        """Read a table that `to_csv` wrote. Raise InputError for any other file."""
        try:
            return cls(read_table(path, *READ).to_dict("records"))
        except (ValueError, OSError) as error:
            reason = " ".join(str(error).split())
            raise InputError(f"{path}: got no LayerTable ({reason}), wanted layers.csv of a run") from error


def _profile(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the rows that have an estimate, without the input."""
    return rows[(rows["role"] != "input") & rows["bits"].notna()]


def _untrained(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of networks before training."""
    before = (rows["weights"] == Weights.EPOCH) & (rows["epoch"] == 0)
    return rows[(rows["weights"] == Weights.UNTRAINED) | before]


def read_table(path, text: Sequence[str] = (), numbers: Sequence[str] = ()) -> pd.DataFrame:
    """Read a csv file, also one with former names of columns. Raise ValueError unless it has these columns."""
    frame = pd.read_csv(path).rename(columns=FORMER)
    if missing := [column for column in (*text, *numbers) if column not in frame]:
        raise ValueError(f"it has no column {missing[0]!r}")
    wrong = [column for column in numbers if len(frame) and frame[column].dtype.kind not in "biuf"]
    if wrong:
        raise ValueError(f"its column {wrong[0]!r} holds more than numbers")
    return frame
