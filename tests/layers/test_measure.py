"""The Python API measures any network, with images and labels of several kinds, and agrees with a run."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from running import artifact, composed, runs, tiny
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import bench
from bench.config.build import build
from bench.errors import InputError
from bench.estimators import KSG
from bench.information.tables import LayerTable

QUICK = {"estimators": "gaussian", "untrained": 0, "locations": 64}


def images_and_masks(n=16, size=8):
    images = torch.rand(n, 1, size, size, generator=torch.Generator().manual_seed(0))
    return images, (images[:, 0] > 0.5).long()


def chain():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 1, 1))


class Hourglass(nn.Module):
    """Small U-Net without taps, with a skip and one ReLU that two layers share."""

    def __init__(self):
        super().__init__()
        self.down, self.norm, self.relu = nn.Conv2d(1, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU()
        self.pool, self.bottom = nn.MaxPool2d(2), nn.Sequential(nn.Conv2d(4, 8, 3, padding=1), nn.ReLU())
        self.up, self.merge = nn.ConvTranspose2d(8, 4, 2, stride=2), nn.Conv2d(8, 4, 3, padding=1)
        self.out = nn.Conv2d(4, 1, 1)

    def forward(self, x):
        skip = self.relu(self.norm(self.down(x)))
        x = self.up(self.bottom(self.pool(skip)))
        return self.out(self.relu(self.merge(torch.cat([skip, x], dim=1))))


def test_measure_equals_the_estimates_of_a_run(tmp_path):
    """Measure the network of a tracked run again, with the same images and estimators."""
    settings = ("estimator=[kde,ksg_mixture]", "probe.views=[image,pixel]", "probe.split=val", "threads=1")
    assert tiny(tmp_path, *settings).code == 0
    (run,) = runs(tmp_path)
    measured = LayerTable.from_csv(artifact(tmp_path, run, "layers.csv")).select(weights="best", split="val")
    network = bench.load(run.info.run_id, uri=f"sqlite:///{tmp_path / 'mlflow.db'}")
    data = build(composed("dataset.size=16", "dataset.n=[16,16,8]").dataset, "dataset")
    for view in ("image", "pixel"):
        table = bench.measure(
            network, data.val.images, data.val.targets, estimators=["kde", "ksg_mixture"], view=view,
            groups=data.val.groups, untrained=0, locations=64,
        )  # fmt: skip
        of_run = measured[(measured["view"] == view)]
        keys = ["tap", "quantity", "estimator"]
        pair = of_run.merge(table.frame, on=keys, suffixes=("", "_again"))
        assert len(pair) == len(of_run) == len(table.frame) > 0
        for column in ("bits", "low", "high", "null_mean", "null_quantile", "ceiling"):
            np.testing.assert_array_equal(pair[column].astype(float), pair[f"{column}_again"].astype(float))


@pytest.mark.parametrize("kind", ["tensors", "arrays", "batches", "loader", "mappings", "masks with a channel"])
def test_every_kind_of_images_and_labels_gives_the_same_result(kind):
    images, masks = images_and_masks()
    wanted = bench.measure(chain(), images, masks, **QUICK).frame
    given = {
        "tensors": (images, masks),
        "arrays": (images.numpy().astype(np.float64), masks.numpy().astype(bool)),
        "batches": (images.split(5), masks.split(5)),
        "loader": (DataLoader(TensorDataset(images, masks), batch_size=5),),
        "mappings": ([{"image": i, "label": m} for i, m in zip(images.split(5), masks.split(5), strict=True)],),
        "masks with a channel": (images, masks[:, None].float()),
    }[kind]
    got = bench.measure(chain(), *given, **QUICK).frame
    np.testing.assert_array_equal(got["bits"], wanted["bits"])


def test_the_network_is_not_changed():
    network, (images, masks) = chain(), images_and_masks()
    network.train()
    network[1].eval()
    network(images).sum().backward()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    gradients = [parameter.grad.clone() for parameter in network.parameters()]
    state = torch.get_rng_state()
    bench.measure(network, images, masks, **QUICK | {"untrained": 1})
    assert [module.training for module in network] == [True, False, True, True]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(torch.equal(p.grad, g) for p, g in zip(network.parameters(), gradients, strict=True))
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
    assert torch.equal(torch.get_rng_state(), state)


def test_the_blocks_of_a_network_without_taps_are_found():
    table = bench.measure(Hourglass(), *images_and_masks(), **QUICK)
    found = table.frame.drop_duplicates("tap").set_index("tap")
    assert found["role"].to_dict() == {
        "input": "input", "norm": "encoder", "bottom.1": "bottleneck", "up": "up", "merge": "decoder", "out": "output",
    }  # fmt: skip
    assert found["level"].to_dict() == {"input": 1, "norm": 1, "bottom.1": 2, "up": 1, "merge": 1, "out": 1}
    assert found["relative_depth"].loc["bottom.1"] == 50


@pytest.mark.parametrize(
    ("layers", "wanted"),
    [("bottom.*", ["bottom.0", "bottom.1"]), (["up", "norm"], ["norm", "up"]), (["out"], ["out"])],
)
def test_layers_are_chosen_by_path_or_pattern(layers, wanted):
    frame = bench.measure(Hourglass(), *images_and_masks(), layers=layers, **QUICK).frame
    assert frame["tap"].tolist() == ["input", *wanted]


def test_layers_of_a_network_with_taps_are_chosen_by_their_names():
    from models import UNet

    frame = bench.measure(UNet(1, 1, widths=(2, 4)), *images_and_masks(), layers="dec*", **QUICK).frame
    assert frame["tap"].tolist() == ["input", "dec1.conv1", "dec1.conv2"]


def test_classes_are_measured_with_the_image_view():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 3))
    images = torch.rand(30, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    frame = bench.measure(network, images, np.arange(30) % 3, estimators="kde", untrained=0).frame
    assert set(frame["view"]) == {"image"}
    assert set(frame["quantity"]) == {"I(X;T)", "I(T;Y)"}
    assert frame["tap"].unique().tolist() == ["input", "1", "4"]


def test_untrained_references_are_drawn_from_the_seed_or_given():
    images, masks = images_and_masks()
    drawn = [bench.measure(chain(), images, masks, **QUICK | {"untrained": 2}).frame for _ in range(2)]
    np.testing.assert_array_equal(drawn[0]["bits"], drawn[1]["bits"])
    references = drawn[0][drawn[0]["weights"] == "untrained"]
    assert references["seed"].unique().tolist() == [1, 2]
    given = bench.measure(chain(), images, masks, **QUICK | {"untrained": [chain()]}).frame
    best, reference = (given.loc[given["weights"] == weights, "bits"] for weights in ("best", "untrained"))
    np.testing.assert_array_equal(best, reference)  # the same weights


class Own(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale, self.conv = nn.Parameter(torch.ones(1)), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.conv(x * self.scale)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"network": 3}, "network: got int, wanted a torch.nn.Module"),
        ({"images": torch.zeros(16, 8, 8)}, r"images: got the shape \(16, 8, 8\), wanted \(n, channels, \*spatial\)"),
        ({"images": torch.zeros(4, 1, 8, 8), "labels": torch.ones(4, 8, 8)}, "images: got 4, wanted at least 16"),
        ({"images": torch.zeros(16, 3, 8, 8)}, r"the network, given an image of \(3, 8, 8\), refuses"),
        ({"labels": np.arange(3)}, "labels: got 3 of them, wanted one for each of 16 images"),
        ({"labels": np.full(16, 0.5)}, "labels: got fractions, wanted whole numbers"),
        ({"labels": np.full(16, -1)}, "labels: got -1, wanted classes from 0 up"),
        ({"labels": np.ones((16, 4, 4), int)}, r"labels: got the shape \(16, 4, 4\) for images of \(8, 8\)"),
        ({"labels": None}, r"labels: got None, wanted labels, or images that are an iterable of pairs"),
        ({"groups": [1, 2]}, r"groups: got the shape \(2,\), wanted \(16,\)"),
        ({"layers": "nope"}, "layers: got 'nope', wanted a module's path or a pattern of: 0, 1, 2, 3"),
        ({"estimators": "nope"}, "estimator: got 'nope', wanted an Estimator or one of binning, gaussian"),
        ({"estimators": ["kde", "kde"]}, "estimators: got kde, kde, wanted each once"),
        (
            {"labels": np.arange(16) % 2, "view": "pixel"},
            "view: got 'pixel' for labels of whole images",
        ),
        ({"view": "voxel"}, "got 'voxel', wanted any of image, pixel, patch"),
        ({"network": Own(), "untrained": 1}, r"untrained: the network \(Own\) has parameters and no reset_parameters"),
        ({"network": nn.ReLU()}, "network: has no layer with weights that runs once in a forward pass"),
    ],
)
def test_bad_input_is_an_input_error(change, message):
    images, masks = images_and_masks()
    arguments = {"network": chain(), "images": images, "labels": masks} | QUICK | change
    with pytest.raises(InputError, match=message):
        bench.measure(**arguments)


def test_estimate_equals_that_of_the_estimator():
    t, noise = np.random.default_rng(0).normal(size=(2, 500, 1))
    found = bench.estimate(t, t + noise, "ksg")
    assert found.bits == bench.estimate(t, t + noise, KSG()).bits == pytest.approx(0.5, abs=0.2)
    assert bench.estimate(t, t + noise, "ksg", given=t).bits == pytest.approx(0, abs=0.1)
    groups = np.repeat(np.arange(250), 2)
    assert bench.estimate(t, t + noise, "ksg", groups=groups).null != found.null
    with pytest.raises(InputError, match="got 500 samples of t, 3 samples of y, wanted the same number of each"):
        bench.estimate(t, [1, 2, 3])


def test_a_u_plot_is_drawn_from_a_table():
    table = bench.measure(chain(), *images_and_masks(), **QUICK | {"untrained": 1})
    figure = bench.plot_u(table)
    (axes,) = figure.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["input", "2", "3"]
    with pytest.raises(InputError, match="estimator: got 'nope', wanted an estimator of the table: gaussian"):
        bench.plot_u(table, "nope")


def test_importing_the_package_loads_no_large_library():
    code = "import sys, bench; print([m for m in ('torch', 'numpy', 'mlflow', 'hydra', 'pandas') if m in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_measure_needs_neither_hydra_nor_mlflow():
    code = (
        "import sys, torch, bench; network = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 3))\n"
        "bench.measure(network, torch.rand(16, 1, 8, 8), torch.arange(16) % 2, estimators='kde', untrained=0)\n"
        "print([m for m in ('mlflow', 'hydra', 'matplotlib.pyplot') if m in sys.modules])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
