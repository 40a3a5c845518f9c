import numpy as np
import pytest
import torch
from known_maps import KnownMaps, bits_and_labels, lower, probe_of, upper
from scipy.spatial.distance import cdist

from bench.diagnostics import ModifiedInformationPlane
from bench.errors import InputError
from bench.estimators import KDE, Renyi
from bench.estimators.entropies import delta, entropy, joint
from bench.information.tables import LayerTable, Moment
from bench.layers.selection import named_rng

BEST = Moment(2, "best", 0)
RENYI = {"renyi": Renyi(alpha=2, width="median", batch_size=40), "yu": Renyi(batch_size=60)}


def measure_pairs(make, label, moment=BEST, estimators=RENYI, **settings):
    network, data = KnownMaps(make), bits_and_labels(label)
    diagnostic = ModifiedInformationPlane(mini_batches=4, permutations=4)
    probe = probe_of(network, data, estimators, **settings)
    diagnostic.check(probe)
    table = LayerTable(probe.measure(network, moment))
    for name, rows in diagnostic.measure(network, probe, moment).items():
        table.extend(rows, name)
    return table, diagnostic


def excess(table, quantity, estimator="renyi"):
    (row,) = table.select(quantity=quantity, estimator=estimator).to_dict("records")
    return row["excess"]


def test_copies_are_redundant_and_exclusive_or_is_synergy():
    copies, _ = measure_pairs(lambda x: torch.cat([upper(x), upper(x)], dim=1), lambda a, b: a)
    assert excess(copies, "Rdn-Syn(Y)") > 0.4
    exclusive, _ = measure_pairs(lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: a ^ b)
    assert excess(exclusive, "Rdn-Syn(Y)") < -0.4
    assert excess(exclusive, "Unq+Unq+2Syn(Y)") > 0.8
    assert excess(exclusive, "least Syn(Y)") > 0.4
    halves, _ = measure_pairs(lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: 2 * a + b)
    assert excess(halves, "Unq+Unq+2Syn(Y)") > excess(copies, "Unq+Unq+2Syn(Y)") + 0.5


def information_of(labels, *grams):
    return entropy(joint(*grams), 1.01) + entropy(labels, 1.01) - entropy(joint(*grams, labels), 1.01)


def test_averages_over_pairs_and_mini_batches_equal_a_slow_reference():
    def make(x):
        return torch.cat([upper(x), lower(x), upper(x) * lower(x)], dim=1)

    table, _ = measure_pairs(make, lambda a, b: 2 * a + b)
    (row,) = table.select(quantity="Unq+Unq+2Syn(Y)", estimator="yu").to_dict("records")
    data = bits_and_labels(lambda a, b: 2 * a + b)
    maps = make(data.val.images).flatten(2).double().numpy()
    assert row["n"] == 240
    width = 5 * 60 ** (-1 / (4 + 8))
    found = []
    for rows in named_rng(0, "mini-batches", "maps").permutation(240).reshape(4, 60):
        grams = [np.exp(-cdist(one, one, "sqeuclidean") / (2 * width**2)) for one in maps[rows].swapaxes(0, 1)]
        labels = delta(data.val.targets.numpy()[rows])
        pairs = [(grams[i], grams[j]) for i, j in ((0, 1), (0, 2), (1, 2))]
        found.append(
            np.mean(
                [
                    2 * information_of(labels, a, b) - information_of(labels, a) - information_of(labels, b)
                    for a, b in pairs
                ]
            )
        )
    assert row["bits"] == pytest.approx(np.mean(found), abs=1e-5)  # activations are float32
    assert row["low"] == pytest.approx(np.mean(found) - 3.182446 * np.std(found, ddof=1) / 2, abs=1e-4)


def test_pairs_of_the_best_checkpoint_are_logged_and_average_to_its_rows():
    table, diagnostic = measure_pairs(
        lambda x: torch.cat([upper(x), lower(x), x[:, :, 1:3]], dim=1), lambda a, b: 2 * a + b
    )
    pairs = table.detail("pairs").query("estimator == 'renyi' and quantity == 'Rdn-Syn(X)'")
    assert pairs[["map", "other"]].to_numpy().tolist() == [[0, 1], [0, 2], [1, 2]]
    (row,) = table.select(quantity="Rdn-Syn(X)", estimator="renyi").to_dict("records")
    assert pairs["bits"].mean() == pytest.approx(row["bits"])
    assert pairs["null_mean"].mean() == pytest.approx(row["null_mean"])
    assert (pairs["null_spread"] > 0).all()
    figures = diagnostic(table).figures
    assert {"pairs", "pairs.yu"} <= figures.keys()
    assert ("profile/Rdn-Syn_X.excess.renyi", row["excess"], row["relative_depth"]) in diagnostic(table).curves
    in_training, _ = measure_pairs(
        lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: a, Moment(1, "epoch", 0)
    )
    assert in_training.detail("pairs").empty


def test_the_published_kernel_is_not_reliable_if_pairs_are_saturated():
    generator = torch.Generator().manual_seed(0)
    table, _ = measure_pairs(lambda x: 3 * torch.randn(len(x), 3, 7, 7, generator=generator), lambda a, b: a)
    rows = table.select(estimator="yu")
    rows = rows[rows["quantity"].str.contains("Syn") & rows["quantity"].str.contains("X")]
    assert (rows["saturation"] > 0.95).all()
    assert rows["reliable"].eq(False).all()


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda x: x, "got 1 feature maps that vary of 1, wanted at least 2"),
        (lambda x: torch.cat([x, 0 * x, 0 * x + 1], dim=1), "got 1 feature maps that vary of 3, wanted at least 2"),
        (lambda x: torch.cat([x, x / 0], dim=1), "NaN or infinite"),
    ],
)
def test_a_layer_without_pairs_gives_rows_with_their_reason(make, reason):
    table, diagnostic = measure_pairs(make, lambda a, b: a)
    rows = table.frame
    skipped = rows[rows["quantity"].str.contains("Syn")]
    assert len(skipped) == 2 * 2 * 3  # estimators, X and Y, readings
    assert skipped["bits"].isna().all()
    assert skipped["reason"].str.contains(reason).all()
    assert rows[(rows["tap"] == "input") & (rows["quantity"] == "I(T;Y)")]["bits"].notna().all()
    assert diagnostic(table).figures == {}


def test_constant_maps_are_left_out_and_the_others_keep_their_numbers():
    table, _ = measure_pairs(
        lambda x: torch.cat([0 * upper(x), upper(x), 0 * upper(x), lower(x)], dim=1), lambda a, b: a
    )
    assert set(table.detail("pairs")[["map", "other"]].itertuples(index=False, name=None)) == {(1, 3)}


def test_more_maps_than_memory_allows_give_rows_with_their_reason():
    table, _ = measure_pairs(lambda x: x.repeat(1, 64, 8, 8), lambda a, b: a, budget_gb=0.02)
    reasons = table.select(quantity="Rdn-Syn(X)")["reason"]
    assert reasons.str.contains("64 feature maps of 1024 values at 240 samples.*probe.budget_gb=0.02").all()
    assert table.select(tap="maps", quantity="I(T;Y)")["bits"].notna().all()


def test_samples_for_only_one_mini_batch_give_rows_with_their_reason():
    estimators = {"renyi": Renyi(batch_size=200)}
    table, _ = measure_pairs(lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: a, estimators=estimators)
    assert table.select(quantity="Rdn-Syn(X)")["reason"].str.contains("at least 2 mini-batches of 200").all()


def test_with_labels_of_one_class_only_information_about_the_input_is_estimated():
    table, _ = measure_pairs(lambda x: torch.cat([upper(x), lower(x)], dim=1), lambda a, b: 0 * a)
    assert table.select(quantity="Rdn-Syn(X)")["bits"].notna().all()
    assert table.select(quantity="Rdn-Syn(Y)")["reason"].str.contains("one class").all()


def test_unsuitable_estimators_are_refused_before_training():
    network, data = KnownMaps(upper), bits_and_labels(lambda a, b: a)
    with pytest.raises(InputError, match="got the estimators kde, wanted also a Rényi one"):
        ModifiedInformationPlane().check(probe_of(network, data, {"kde": KDE()}))
    with pytest.raises(ValueError, match="mini_batches: got 1"):
        ModifiedInformationPlane(mini_batches=1)
