"""The diagnostic of information discarding in a run: its tables, figures and metrics, and refused settings."""

import numpy as np
import pandas as pd
import pytest
import torch
from running import artifact, assert_refused, composed, is_drawing, points, runs, tiny

from bench.config.build import build_each
from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.diagnostics import InformationDiscarding
from bench.diagnostics.discarding import PublishedDescent, WaterFilling
from bench.estimators import KDE
from bench.information.tables import LayerTable, Moment
from bench.layers.probe import Probe
from models import UNet

pytestmark = pytest.mark.processes
FAST = (
    "estimator=[kde]",
    "dataset.classes=3",
    "dataset.difficulty=0",
    "diagnostic=[discarding]",
    "diagnostic.discarding.images=4",
    "diagnostic.discarding.epoch_images=2",
    "diagnostic.discarding.grid=8",
    "diagnostic.discarding.solver.refine=2",
    "diagnostic.discarding.solver.draws=64",
    "diagnostic.discarding.absolute=true",
    "diagnostic.discarding.reconstruction={_target_:bench.diagnostics.discarding.Decoders,images:12,epochs:2,draws:4}",
    "train.epochs=2",
    "probe.epochs=[1]",
    "probe.untrained_seeds=1",
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discarding")
    ended = tiny(folder, *FAST)
    assert ended.code == 0, ended.err
    return folder


@pytest.fixture(scope="module")
def run(folder):
    (run,) = runs(folder)
    return run


@pytest.fixture(scope="module")
def rows(folder, run):
    return pd.read_csv(artifact(folder, run, "tables/discarding.csv"))


def test_every_tap_and_image_of_every_network_has_a_row(rows):
    layers = rows[rows["closed"].isna()]
    counts = layers.groupby(["weights", "epoch"])["image"].agg(["nunique", "size"])
    taps = layers["tap"].nunique()
    assert taps == 8
    assert counts.loc[("untrained", 0)].tolist() == [4, 4 * taps]
    assert counts.loc[("epoch", 0)].tolist() == counts.loc[("epoch", 1)].tolist() == [2, 2 * taps]
    for weights in ("best", "damaged"):
        assert layers[layers["weights"] == weights].groupby("tap").size().eq(4).all()
    skips = rows[rows["closed"].notna()]
    assert set(skips["closed"]) == {"skip1"}
    assert set(skips["weights"]) == {"untrained", "best", "damaged"}


def test_each_row_has_its_safeguards(rows):
    layers = rows[rows["closed"].isna() & rows["sid"].notna()]
    safeguards = ["distortion", "distortion_error", "capped", "unevenness", "seconds"]
    assert layers[[*safeguards, "sid_absolute", "score", "concentration"]].notna().all().all()
    assert layers["concentration.organ"].notna().all()
    assert layers["concentration.lesion"].notna().all()
    of_best = layers[layers["weights"] == "best"]
    assert of_best[["ru", "reconstruction_error", "ru_concentration"]].notna().all().all()
    assert layers.loc[layers["weights"] == "epoch", "ru"].isna().all()
    for _, image in of_best.groupby("image"):
        assert np.allclose(image["sid_running_max"], np.maximum.accumulate(image["sid"]))


def test_the_same_command_gives_the_same_table(folder, rows, tmp_path):
    assert tiny(tmp_path, *FAST).code == 0
    (again,) = runs(tmp_path)
    repeated = pd.read_csv(artifact(tmp_path, again, "tables/discarding.csv"))
    pd.testing.assert_frame_equal(repeated.drop(columns="seconds"), rows.drop(columns="seconds"))


def test_maps_are_logged_and_their_means_are_the_rows(folder, run, rows):
    maps = pd.read_csv(artifact(folder, run, "tables/discarding_maps.csv"))
    cells = [name for name in maps if name[0].isdigit()]
    assert len(cells) == 64
    assert set(maps["weights"]) == {"untrained", "best", "damaged"}
    keys = ["weights", "seed", "tap", "image"]
    means = maps[maps["closed"].isna()].set_index(keys)[cells].mean(axis=1)
    sid = rows[rows["closed"].isna() & (rows["weights"] != "epoch")].set_index(keys)["sid"].reindex(means.index)
    assert np.allclose(means, sid, atol=1e-4)


def test_figures_metrics_and_tables_are_logged(folder, run, rows):
    for name in ("discarding", "discarding_maps", "discarding_maps.untrained", "discarding_maps.damaged",
                 "discarding_carried", "discarding_concentration"):  # fmt: skip
        assert is_drawing(artifact(folder, run, f"figures/{name}.png")), name
    best = rows[(rows["weights"] == "best") & rows["closed"].isna()]
    curve = points(folder, run, "profile/discarding.sid")
    assert list(curve.values()) == pytest.approx(best.groupby("tap", sort=False)["sid"].mean().tolist())
    assert min(curve) == 0
    assert max(curve) == 100
    metrics = run.data.metrics
    concentration = best.query("tap == 'out'")["concentration"].mean()
    assert metrics["discarding/concentration.out"] == pytest.approx(concentration)
    carried = rows.query("weights == 'best' and closed == 'skip1'")["carried"].mean()
    assert metrics["discarding/carried.skip1"] == pytest.approx(carried)
    assert metrics["discarding/damage"] > 0
    assert 0.8 < metrics["discarding/met"] <= 1
    layers = pd.read_csv(artifact(folder, run, "tables/discarding_layers.csv"))
    assert {"sid", "sid_spread", "sid_untrained_low", "sid_untrained_high", "sid_damaged", "ru_damaged"} <= set(layers)
    against = pd.read_csv(artifact(folder, run, "tables/discarding_and_information.csv"))
    assert set(against["quantity"]) == {"I(X;T)", "I(T;Y)"}
    assert against["rank_correlation"].abs().max() <= 1


def test_the_published_preset_has_the_published_settings():
    preset = build_each(composed("diagnostic=[discarding_authors2022]").diagnostic, "diagnostic")
    diagnostic = preset["discarding_authors2022"]
    assert isinstance(diagnostic.solver, PublishedDescent)
    assert (diagnostic.solver.weight, diagnostic.solver.steps) == (5, 100)
    assert diagnostic.noise == {"beta": 1.5, "tau": 0.01, "sigma_max": 1.0}


# Bad input


def test_bad_input_is_refused_with_one_line_before_training(tmp_path):
    asked = ("diagnostic=[discarding]",)
    for override, parts in {
        "diagnostic.discarding.grid=5": ("grid: got [5, 5] cells for an image of [16, 16]",),
        "diagnostic.discarding.damage=enc9": ("damage: got 'enc9', wanted one of enc1.conv1",),
        "diagnostic.discarding.beta=0": ("beta", "got 0"),
        "diagnostic.discarding.images=17": ("images: got 17, wanted at most the 16 samples of the probe",),
        "diagnostic.discarding.solver.probes=0": ("probes: got 0, wanted an integer of at least 1",),
    }.items():
        assert_refused(tiny(tmp_path, *asked, override), *parts)
    assert runs(tmp_path) == []


# Volumes


def test_volumes_are_measured_and_drawn(tmp_path):
    rng = torch.Generator().manual_seed(0)
    volumes = torch.rand(16, 1, 8, 8, 4, generator=rng)
    masks = (volumes[:, 0] > 0.8).long()
    split = Split(volumes, masks, np.arange(16), tuple(map(str, range(16))))
    data = Data("volumes", "segmentation", ("background", "bright"), split, split, split)
    torch.manual_seed(0)
    network = UNet(1, 1, (4, 8), convs_per_level=1, spatial_dims=3).eval()
    probe = Probe(network, data, {"kde": KDE()}, seed=0, views=["image"])
    diagnostic = InformationDiscarding(images=2, solver=WaterFilling())
    diagnostic.check(probe)
    table = LayerTable()
    for weights in ("untrained", "best"):
        for name, measured in diagnostic.measure(network, probe, Moment(0, weights, 0)).items():
            table.extend(measured, name)
    found = diagnostic(table)
    layers = found.tables["discarding_layers"].set_index("tap")
    assert layers.loc["enc1.conv1", ["sid", "concentration"]].notna().all()
    assert "7.7.3" in table.detail("discarding_maps")
    for name, figure in found.figures.items():
        figure.savefig(tmp_path / f"{name}.png")
        assert is_drawing(tmp_path / f"{name}.png"), name
