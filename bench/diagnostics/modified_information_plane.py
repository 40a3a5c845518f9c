"""The modified information plane: what pairs of feature maps tell that is not redundant, over training."""

from __future__ import annotations

from functools import partial

from torch.nn import Module

from bench import plots
from bench.diagnostics.base import Diagnostic, Findings, of_each_estimator
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
    """Partial information of pairs of feature maps about X and Y: averages over training, matrices at the end.

    Every matrix-based estimator says of each layer with feature maps the redundancy-synergy trade-off and the weighted
    non-redundant information, which hold for any definition of redundancy; what a pair tells; and redundancy and
    synergy where redundancy is the least of two informations. All are bits, means over the C (C - 1) / 2 pairs of maps
    that vary and over mini-batches, with intervals between mini-batches and a null; never called reliable, since no
    truth was planted, and unreliable where what pairs tell is at its ceiling. The plane's axes are the non-redundant
    informations about X and about Y; `modified_phases` holds the slopes before and after their peaks, and MLflow's
    charts the excess of the best over the data's way.

    mini_batches: at most, of those that an estimator reads. permutations: of each null.
    Source: Yu et al. 2021, TNNLS, arXiv 1804.06537; null, intervals, slopes and the other definition are ours.
    """

    matrix_based = True

    def __init__(self, mini_batches: int = 4, permutations: int = 5):
        at_least("mini_batches", mini_batches, 2)
        self.asked = PairInformation(mini_batches, at_least("permutations", permutations, 2))

    def measure(self, network: Module, probe: Probe, moment: Moment):
        rows, details = [], []
        for row, pairs in self.asked.of(network, probe):
            rows.append(moment.row() | row)
            details += pairs if moment.weights == Weights.BEST else []
        return {LAYERS: rows, PAIRS: details}

    def __call__(self, table: LayerTable) -> Findings:
        drawn = table.frame
        drawn = drawn[drawn["quantity"].isin(DRAWN) & drawn["bits"].notna()]
        frame = drawn[drawn["quantity"].isin(AXES)]
        plane = partial(plots.information_plane, axes_of=AXES)
        figures = of_each_estimator("modified_information_plane", frame, plane)
        figures |= of_each_estimator("modified_information_epochs", frame, plots.information_over_epochs)
        pairs = table.detail(PAIRS)
        if len(pairs):
            figures |= of_each_estimator("pairs", pairs, partial(plots.pairs, quantities=list(DRAWN)))
        tables = {f"modified_{key}": found for key, found in phases(frame).items()}
        curves = [
            (f"profile/{DRAWN[row.quantity]}.excess.{row.estimator}", row.excess, row.place)
            for row in drawn[drawn["weights"] == Weights.BEST].itertuples()
        ]
        return Findings(tables=tables, figures=figures, curves=curves)
