"""Metrics and tables that the analysis of information discarding computes from the rows."""

import numpy as np
import pandas as pd
import pytest

from bench.diagnostics.discarding.analysis import Analysis
from bench.information.tables import LayerTable


def analysis(rows, beta=1.5):
    return Analysis("discarding", pd.DataFrame(rows), pd.DataFrame(), None, beta)


def row(tap, order, sid, **more):
    where = {"tap": tap, "order": order, "relative_depth": 10 * order, "role": "encoder", "level": 1, "image": "a"}
    numbers = {"sid": sid, "concentration": 0.0, "score": 1.0}
    safeguards = {"distortion": 1.5, "distortion_error": 0.01, "capped": 0, "unevenness": 0.1}
    return {"weights": "best", "epoch": 1, "seed": 0} | where | numbers | safeguards | more


def test_the_share_of_met_distortions_is_a_metric():
    rows = [row("a", 0, -4, distortion=d, distortion_error=e, capped=c)
            for d, e, c in [(1.52, 0.0, 0), (1.6, 0.05, 0), (1.6, 0.01, 0), (0.3, 0.0, 1)]]  # fmt: skip
    assert dict(analysis(rows).metrics())["discarding/met"] == 0.75


def test_the_metric_unevenness_is_that_of_the_worst_layer():
    rows = [row("a", 0, -4, unevenness=0.1), row("b", 1, -4, unevenness=0.2), row("b", 1, -4, unevenness=0.6)]
    assert dict(analysis(rows).metrics())["discarding/unevenness"] == pytest.approx(0.4)


def test_rank_correlations_with_the_score_and_with_information():
    rows = [row(f"t{t}", t, sid=t + image, image=image, score=-image) for t in range(5) for image in range(6)]
    scores = analysis(rows).against_score()
    assert np.allclose(scores["sid"], -1)
    assert scores["concentration"].isna().all()  # it is the same for all rows
    alone = [row("t0", 0, sid=image, image=image, weights="untrained", score=0.5) for image in range(6)]
    assert np.allclose(
        analysis(rows + alone).against_score()["sid_untrained"].iloc[0], -1
    )  # correlated with the scores of the best checkpoint
    table = LayerTable(
        {"epoch": 1, "weights": "best", "seed": 0, "tap": f"t{t}", "order": t, "quantity": "I(X;T)", "view": "image",
         "estimator": "kde", "bits": bits} for t, bits in enumerate([5.0, 4.0, 3.0, 1.0, 2.0])
    )  # fmt: skip
    (found,) = analysis(rows).against_information(table)
    assert found["rank_correlation"] == pytest.approx(-0.9)
    assert found["of"] == "bits"
    assert found["apart"] in ("t3", "t4")


def test_damage_is_the_mean_change_from_the_damaged_layer_on():
    rows = [row(f"t{t}", t, sid=-4.0) for t in range(4)]
    rows += [row(f"t{t}", t, sid=-4 + 0.5 * (t > 1), weights="damaged", damaged="t1") for t in range(4)]
    assert dict(analysis(rows).metrics())["discarding/damage"] == pytest.approx(1 / 3)
