import numpy as np
import pandas as pd
import pytest

from bench.diagnostics.phases import phases

EPOCHS = np.array([0, 1, 2, 3, 5, 8, 12, 20])


def curve(values, **columns):
    rows = {
        "weights": "epoch",
        "estimator": "renyi",
        "tap": "conv1",
        "quantity": "I(X;T)",
        "order": 0,
        "role": "feature",
    }
    return pd.DataFrame({**rows, **columns, "epoch": EPOCHS[: len(values)], "bits": values, "excess": np.nan})


def phase(values):
    return phases(curve(values))["phases"].iloc[0]


def test_linear_fitting_and_compression_have_the_known_slopes():
    # bits rise by 1 per doubling of (1 + epoch) until epoch 3, and then fall by 0.2 per doubling
    doublings = np.log2(1 + EPOCHS)
    values = np.where(EPOCHS <= 3, doublings, 2 - 0.2 * (doublings - 2))
    found = phase(values)
    assert (found["peak_epoch"], found["peak"]) == (3, 2)
    assert found["fitting_slope"] == pytest.approx(1)
    assert found["compression_slope"] == pytest.approx(-0.2)
    assert found["compression_low"] == pytest.approx(found["compression_high"])
    assert found["verdict"] == "compresses"


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        ([2.0, 1.8, 1.6, 1.4, 1.2], "compresses"),
        ([2.0, 2.01, 2.0, 1.99, 2.0], "flat"),
        ([2.4, 1.4, 2.4, 1.3, 2.3], "undecided"),
        ([1.0, 1.3, 1.7, 2.0, 2.3], "rises"),
    ],
)
def test_verdicts_on_the_epochs_after_the_peak(after, verdict):
    assert phase([1.0, 2.0, 2.5, *after])["verdict"] == verdict


def test_a_peak_near_the_end_has_no_compression_phase():
    found = phase([1.0, 1.5, 2.0, 2.5, 2.4, 2.3])
    assert found["verdict"] == "peak at the end"
    assert np.isnan(found["compression_slope"])


def test_pure_noise_rarely_gives_a_verdict_of_compression():
    rng = np.random.default_rng(0)
    verdicts = [phase(1 + 0.3 * rng.normal(size=len(EPOCHS)))["verdict"] for _ in range(400)]
    assert np.mean(np.array(verdicts) == "compresses") < 0.05
    assert np.mean(np.array(verdicts) == "rises") < 0.05


def test_excess_has_a_separate_curve_and_untrained_references_and_the_input_have_none():
    trained = curve([1.0, 2.0, *(2.0 - 0.2 * np.log2(1 + EPOCHS[2:5]))]).assign(excess=[0.1, 0.2, 0.3, 0.4, 0.5])
    frame = pd.concat(
        [
            trained,
            curve([3.0], weights="untrained"),
            curve([3.0] * 5, role="input", tap="input"),
            curve([2.0], weights="best"),
        ]
    )
    found = phases(frame)["phases"]
    assert found[["tap", "of", "verdict"]].to_numpy().tolist() == [
        ["conv1", "bits", "compresses"],
        ["conv1", "excess", "peak at the end"],
    ]
    assert phases(frame[frame["weights"] != "epoch"]) == {}
