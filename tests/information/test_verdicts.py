import pandas as pd
import pytest

from bench.information.verdicts import verdicts

ROW = {
    "bits": 0.3, "saturation": 0.1, "recovered_ok": True, "null_mean": 0.01, "limit": 1.0, "significant": True
}  # fmt: skip


@pytest.mark.parametrize(
    ("other", "verdict"),
    [
        ({}, "clear"),
        ({"significant": False}, "not above null"),
        ({"recovered_ok": None}, "clear"),  # no truth was planted
        ({"recovered_ok": False}, "not recovered"),
        ({"recovered_ok": False, "significant": False}, "not recovered"),
        ({"calibrated_low": 0.1, "reliable": True, "recovered_ok": None}, "clear"),
        ({"calibrated_low": 0.1, "reliable": False, "recovered_ok": None}, "uncertain"),
        ({"calibrated_low": None, "reliable": False}, "clear"),
        ({"saturation": 0.95}, "saturated"),
        ({"saturation": 1.0, "null_mean": None, "significant": None, "recovered_ok": None}, "saturated"),
        ({"null_mean": 0.96}, "saturated"),  # the null leaves no room below the entropy of the label
        ({"null_mean": None, "significant": None, "recovered_ok": None}, "no null"),
        (dict.fromkeys(ROW), "no estimate"),
    ],
)
def test_verdict_of_an_estimate(other, verdict):
    alone = pd.DataFrame([ROW | other]).infer_objects()
    assert verdicts(alone).tolist() == [verdict]
    assert verdicts(pd.DataFrame([ROW, ROW | other])).tolist() == ["clear", verdict]
