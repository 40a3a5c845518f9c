"""The modified information plane: non-redundant information of pairs of feature maps over training."""

from __future__ import annotations

from functools import partial

from torch.nn import Module

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings, figures_by_estimator
from bench.diagnostics.pair_information import PairInformation
from bench.diagnostics.phases import phases
from bench.estimators.base import at_least
from bench.information.tables import LAYERS, LayerTable, Moment, Weights
from bench.layers.probe import Probe

PAIRS = "pairs"
AXES = ("Unq+Unq+2Syn(X)", "Unq+Unq+2Syn(Y)")
DRAWN = {  # quantity -> its name in MLflow
    "Rdn-Syn(X)": "Rdn-Syn_X",
    "Rdn-Syn(Y)": "Rdn-Syn_Y",
    "Unq+Unq+2Syn(X)": "NonRdn_X",
    "Unq+Unq+2Syn(Y)": "NonRdn_Y",
}


class ModifiedInformationPlane(Diagnostic):
    """Estimates the partial information of pairs of feature maps about X and Y, over training and for each pair.

    Every matrix-based estimator estimates, for each layer with feature maps: the redundancy-synergy trade-off and the
    weighted non-redundant information, which hold for any definition of redundancy; the information of a pair; and
    redundancy and synergy with redundancy defined as the smaller of the two informations. Values are in bits. They are
    means over the C (C - 1) / 2 pairs of maps that vary and over mini-batches, with intervals between mini-batches and
    a null. A value is never marked reliable, because no known information was planted. It is marked not reliable if the
    information of pairs is at its ceiling.

    The axes of the plane are the non-redundant informations about X and about Y. The table `modified_phases` holds
    their slopes before and after their peaks. Charts in MLflow show the excess of the best checkpoint against relative
    depth. The best checkpoint also has a matrix of all pairs.

    Args:
        mini_batches: Number of mini-batches, at most.
        permutations: Number of permutations of each null.

    References:
        Yu et al. 2021, TNNLS, arXiv 1804.06537. The null, the intervals, the slopes and the definition of redundancy
        are ours.
    """

    matrix_based = True

    def __init__(self, mini_batches: int = 4, permutations: int = 5):
        at_least("mini_batches", mini_batches, 2)
        self.information = PairInformation(mini_batches, at_least("permutations", permutations, 2))

    def measure(self, network: Module, probe: Probe, moment: Moment):
        rows, details = [], []
        for row, pairs in self.information.of(network, probe):
            rows.append(moment.row() | row)
            details += pairs if moment.weights == Weights.BEST else []
        return {LAYERS: rows, PAIRS: details}

    def __call__(self, table: LayerTable) -> Findings:
        drawn = table.frame
        drawn = drawn[drawn["quantity"].isin(DRAWN) & drawn["bits"].notna()]
        frame = drawn[drawn["quantity"].isin(AXES)]
        plane = partial(plots.information_plane, axes_of=AXES)
        figures = figures_by_estimator("modified_information_plane", frame, plane, table.about)
        over_epochs = plots.information_over_epochs
        figures |= figures_by_estimator("modified_information_epochs", frame, over_epochs, table.about)
        pairs = table.detail(PAIRS)
        if len(pairs):
            matrices = partial(plots.pairs, quantities=list(DRAWN))
            figures |= figures_by_estimator("pairs", pairs, matrices, table.about)
        tables = {f"modified_{key}": found for key, found in phases(frame).items()}
        curves = [
            (f"profile/{DRAWN[row.quantity]}.excess.{row.estimator}", row.excess, row.relative_depth)
            for row in drawn[drawn["weights"] == Weights.BEST].itertuples()
        ]
        return Findings(tables=tables, figures=figures, curves=curves)
