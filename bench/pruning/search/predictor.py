"""Predictor: the loss of score of a design and its probability of failing to train, before it is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from scipy.optimize import nnls
from sklearn.isotonic import IsotonicRegression

from bench.errors import InputError
from bench.pruning.designs import Design, widths_of
from bench.pruning.designs.costs import Pricing
from bench.pruning.search.asker import Asker

FEATURES = ("structure", "channels", "params", "flops", "narrowest", "base_narrowest")

SHIPPED = Path(__file__).with_name("retrained_designs.csv")
SCALE = 0.01  # score; errors of losses below are alike, those of larger losses grow in proportion to the loss
MOST = 1.0  # loss of score: Dice and accuracy are between 0 and 1
OUTSIDE = 0.1  # share of the losses of a new data set that may lie outside the interval
LEAST_SETS = 3
SMALL = 0.05  # share of the peak information; larger losses of information count by their logarithm


class Predictor:
    """Predict the loss of score of designs from retrained designs of several data sets.

    The loss is SCALE·sinh(Σ w_j t_j), at most 1. The terms t_j are 0 for the base and grow with the information that is
    lost, the costs that are saved and the narrowness of the narrowest slot. The weights w_j are at least 0, so that the
    predicted loss never falls if one of these grows. They are fitted by least squares to asinh(loss / SCALE). All data
    sets have equal weight. The probability of failing is an isotonic regression on the prediction of designs whose data
    set is left out.

    The interval is from the errors of these predictions, by CV+ with a data set as fold. If the data sets, including
    the new one, are exchangeable, it has 90 % of the losses of a new data set on the mean over data sets, up to an
    error that falls with the number of data sets. Designs of one data set may depend on each other.

    Args:
        table: Rows with set, FEATURES, loss, and collapsed: the share of the trainings that failed. It has no bases,
            which lose nothing. Rows without information are not used.

    Attributes:
        weights: (terms,).
        sets: Names of the data sets.

    Raises:
        InputError: A column is missing, or there are fewer than 3 data sets.

    References:
        CV+: Barber et al. 2021, arXiv 1905.02928. Data sets in place of samples: Dunn et al. 2022, arXiv 1809.07441,
        pooled distributions.

    Examples:
        >>> predictor = Predictor.shipped()
        >>> base = {"structure": 0, "channels": 0, "params": 1, "flops": 1, "narrowest": 8, "base_narrowest": 8}
        >>> float(predictor.predict(pd.DataFrame([base]))["predicted"].iloc[0])
        0.0
    """

    def __init__(self, table: pd.DataFrame):
        _require(table, ("set", *FEATURES, "loss", "collapsed"))
        table = table.dropna(subset=list(FEATURES))
        self.sets = sorted(table["set"].unique())
        if len(self.sets) < LEAST_SETS:
            raise InputError(f"predictor: got {len(self.sets)} data sets, wanted at least {LEAST_SETS}")
        terms, losses = terms_of(table), np.arcsinh(table["loss"].to_numpy() / SCALE)
        of = np.searchsorted(self.sets, table["set"])
        share = 1 / np.bincount(of)[of]
        self.weights = _fit(terms, losses, share)
        self._without = np.array([_fit(terms[of != k], losses[of != k], share[of != k]) for k in range(len(self.sets))])
        left_out = (terms * self._without[of]).sum(axis=1)
        self._of, self._errors, self._share = of, losses - left_out, share / len(self.sets)
        failing = IsotonicRegression(y_min=0, y_max=1, out_of_bounds="clip")
        self._failing = failing.fit(left_out, table["collapsed"], sample_weight=share)

    @classmethod
    def shipped(cls) -> Self:
        """Fit the predictor to the table of the package.

        It has 158 designs of nine data sets, trained for 6 to 20 epochs on 2026-11-29 and 2026-12-01.
        docs/results/prediction.md has the commands, the data and the errors.
        """
        return cls(pd.read_csv(SHIPPED))

    def predict(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Predict designs.

        Args:
            rows: Rows with FEATURES, as by `features_of`. Other columns are not read.

        Returns:
            A row for each design: predicted, with the 90 % interval predicted_low to predicted_high, is the loss of
            score, and failure the probability that a training fails. NaN where a feature is NaN.

        Raises:
            InputError: A column is missing.
        """
        _require(rows, FEATURES)
        known = rows[list(FEATURES)].notna().all(axis=1).to_numpy()
        found = pd.DataFrame(np.nan, rows.index, ["predicted", "predicted_low", "predicted_high", "failure"])
        if known.any():
            terms = terms_of(rows[known])
            centre = terms @ self.weights
            likely = (terms @ self._without.T)[:, self._of] + self._errors  # (designs, designs of the table)
            low = -_upper_quantile(-likely, self._share, OUTSIDE / 2)
            high = _upper_quantile(likely, self._share, OUTSIDE / 2)
            ends = np.stack([centre, np.minimum(low, centre), np.maximum(high, centre)], axis=1)
            found.loc[known, found.columns[:3]] = np.minimum(MOST, SCALE * np.sinh(ends))
            found.loc[known, "failure"] = self._failing.predict(centre)
        return found


def terms_of(rows: pd.DataFrame) -> np.ndarray:
    """Compute the terms t_j of designs from their features, (designs, terms)."""
    values = {name: rows[name].to_numpy(dtype=float) for name in FEATURES}
    narrowing = 1 / values["narrowest"] - 1 / values["base_narrowest"]
    terms = [np.log1p(values["structure"] / SMALL), np.log1p(values["channels"] / SMALL)]
    terms += [np.maximum(0, np.log2(values[cost])) for cost in ("params", "flops")]
    return np.stack([*terms, np.maximum(0, narrowing)], axis=1)


def _fit(terms: np.ndarray, losses: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Fit weights of the terms that are at least 0, by weighted least squares."""
    root = np.sqrt(weights)
    return nnls(terms * root[:, None], losses * root)[0]


def _upper_quantile(values: np.ndarray, weights: np.ndarray, above: float) -> np.ndarray:
    """Return the smallest value of each row such that the values above it have at most this weight.

    Args:
        values: (rows, n).
        weights: (n,), with sum 1.
        above: The weight.
    """
    order = np.argsort(-values, axis=1)
    beyond = np.cumsum(weights[order], axis=1)  # weight of a value and of all larger ones
    first = (beyond > above + 1e-9).argmax(axis=1)
    return np.take_along_axis(values, order, axis=1)[np.arange(len(values)), first]


def _require(table: pd.DataFrame, columns: Sequence[str]) -> None:
    """Raise InputError if a column is missing."""
    if missing := [name for name in columns if name not in table]:
        raise InputError(f"predictor: got no column {missing[0]}, wanted {', '.join(columns)}")


def features_of(
    design: Design, base_design: Design, pricing: Pricing, asker: Asker, estimator: str, view: str
) -> dict[str, float]:
    """Collect what is known of a design before it is trained.

    Args:
        design: The design.
        base_design: The design of the trained base, in which the information is measured.
        pricing: Counts costs.
        asker: Measures the information loss.
        estimator: Name of the estimator.
        view: Name of the view.

    Returns:
        structure: information in the removed levels and skips, as a share of the peak information, at least 0.
        channels: the same for the removed channels, added over the slots.
        params, flops: costs of the base / costs of the design.
        narrowest, base_narrowest: channels of the narrowest slot of the design and of the base.
        `structure` and `channels` are NaN if the estimator can't estimate a part of them.
    """
    peak = asker.peak(estimator, view).bits
    lost = [asker.width(slot.name, slot.width, estimator, view).bits for slot in design.slots()]
    costs, whole = pricing(design), pricing(base_design)
    return {
        "structure": float(np.maximum(0, asker.structure(design, estimator, view).bits) / peak),  # NaN remains NaN
        "channels": float(np.maximum(0, lost).sum() / peak),
        "params": whole.params / costs.params,
        "flops": whole.flops / costs.flops,
        "narrowest": int(widths_of(design).min()),
        "base_narrowest": int(widths_of(base_design).min()),
    }
