"""Agreement: what the other estimators of a run find, and whether they agree with the primary one."""

from __future__ import annotations

from itertools import product

import pandas as pd

from bench.information.estimate import CLOSE, RECOVERED, agree
from bench.information.tables import I_TY, LayerTable
from bench.information.verdicts import Verdict, verdicts

READABLE = (Verdict.CLEAR, Verdict.NOT_ABOVE_NULL)


def others(table: LayerTable) -> str:
    """Say in a line for each other estimator and view how many layers are clear, and where it agrees.

    An estimator is compared with the primary one in the same view. Another view asks another question.
    """
    primary, lines = _about_the_label(table, table.estimators[0], table.views[0]), []
    for estimator, view in [*product(table.estimators, table.views)][1:]:
        rows = _about_the_label(table, estimator, view)
        if rows.empty:
            continue
        clear = rows[rows["verdict"] == Verdict.CLEAR]
        line = f"{estimator}, {view} view: {len(clear)} of {len(rows)} layers are clear"
        if len(clear):
            line += f"; {clear.loc[clear['excess'].idxmax(), 'tap']} has most, {clear['excess'].max():.2f} bits"
        lines.append(f"{line}\n")
        if view == table.views[0]:
            lines.append(_compared(rows, primary))
    return "".join(["\n", *lines, "layers.csv of the run has all numbers\n"])


def agreement(rows: pd.DataFrame, primary: pd.DataFrame) -> pd.DataFrame:
    """Compare the numbers of two estimators about the label, layer by layer.

    A layer is compared if both numbers can be read and are in the same unit. Calibrated bits are Shannon's. Other bits
    are in the same unit if both estimators give the label the same entropy: Rényi's entropy differs from Shannon's.

    Args:
        rows: Rows of one estimator, with tap, verdict, excess, calibrated and label_entropy.
        primary: Rows of the primary estimator.

    Returns:
        A row for each layer that can be compared: tap; bits and of_primary, both calibrated or both above the null;
        and agree, whether they are within a factor of 2 or 0.1 bits.
    """
    columns = ["tap", "excess", "calibrated", "label_entropy"]
    own, other = (side[side["verdict"].isin(READABLE)][columns] for side in (rows, primary))
    pairs = own.merge(other, on="tap", suffixes=("", "_of_primary")).astype(dict.fromkeys(columns[1:], float))
    both = pairs["calibrated"].notna() & pairs["calibrated_of_primary"].notna()
    pairs = pairs[both | ((pairs["label_entropy"] - pairs["label_entropy_of_primary"]).abs() < 1e-6)]
    bits = pairs["calibrated"].where(both, pairs["excess"])
    of_primary = pairs["calibrated_of_primary"].where(both, pairs["excess_of_primary"])
    found = pd.DataFrame({"tap": pairs["tap"], "bits": bits, "of_primary": of_primary})
    return found.assign(agree=agree(bits.to_numpy(), of_primary.to_numpy()))


def _about_the_label(table: LayerTable, estimator: str, view: str) -> pd.DataFrame:
    """Select the rows of the best checkpoint about the label that have bits, with their verdicts."""
    rows = table.best(estimator, view)
    rows = rows[(rows["quantity"] == I_TY) & rows["bits"].notna()]
    return rows.assign(verdict=verdicts(rows))


def _compared(rows: pd.DataFrame, primary: pd.DataFrame) -> str:
    """Say at how many layers two estimators agree, and where they differ most; nothing if none can be compared."""
    compared = agreement(rows, primary)
    if compared.empty:
        return ""
    estimator, reference = rows["estimator"].iloc[0], primary["estimator"].iloc[0]
    line = (
        f"{estimator} agrees with {reference} at {compared['agree'].sum()} of the {len(compared)} layers "
        f"where both can be read (within a factor of {RECOVERED} or {CLOSE:g} bits)"
    )
    apart = compared[~compared["agree"]]
    if len(apart):
        most = apart.loc[(apart["bits"] - apart["of_primary"]).abs().idxmax()]
        line += f"; most apart at {most['tap']}: {most['bits']:.2f}, {reference} {most['of_primary']:.2f}"
    return f"{line}\n"
