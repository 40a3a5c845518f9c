"""Tables of a search: the proposals with what is known of them before they are trained, and all answers."""

from __future__ import annotations

from collections.abc import Sequence
from math import nan

import pandas as pd

from bench.pruning.search.asker import Asker
from bench.pruning.search.base import Base
from bench.pruning.search.predictor import FEATURES, Predictor
from bench.pruning.search.proposals import Proposal


def ranked(proposals: Sequence[Proposal], base: Base) -> pd.DataFrame:
    """Build the table of proposals: design, costs, rank score, information loss, predicted loss and reasons."""
    whole = base.pricing(base.design)
    features = [proposal.features or dict.fromkeys(FEATURES, nan) for proposal in proposals]
    predicted = Predictor.shipped().predict(pd.DataFrame(features, columns=FEATURES))
    table = pd.DataFrame(
        {
            "design": proposal.name,
            "overrides": proposal.overrides(),
            "params": proposal.costs.params,
            "flops": proposal.costs.flops,
            "latency_ms": base.latency_ms(proposal.design),
            "params_ratio": whole.params / proposal.costs.params,
            "flops_ratio": whole.flops / proposal.costs.flops,
            "rank_score": proposal.score.bits,
            "score_low": proposal.score.low,
            "score_high": proposal.score.high,
            "information_loss": proposal.loss.bits,
            "low": proposal.loss.low,
            "high": proposal.loss.high,
            "reliable": proposal.loss.reliable,
            "within_margin": proposal.within_margin,
            "why": proposal.reasons(),
        }
        for proposal in proposals
    )
    return table.join(predicted)


def answers(asker: Asker) -> pd.DataFrame:
    """Build the table of the information in each part and in each slot alone, by all estimators and views."""
    rows = []
    for estimator, view in asker.diagnostics():
        questions = {str(part): asker.pair(part, estimator, view) for part in asker.pairs}
        questions |= {slot: asker.slot(slot, estimator, view) for slot in asker.tap_of}
        rows += [
            {"estimator": estimator, "view": view, "part": part, "bits": loss.bits, "low": loss.low, "high": loss.high,
             "reliable": loss.reliable}
            for part, loss in questions.items()
        ]  # fmt: skip
    return pd.DataFrame(rows)
