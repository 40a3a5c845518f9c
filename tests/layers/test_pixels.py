import numpy as np
import pytest
import torch
from torch import nn

from bench.datasets import phantoms
from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.errors import InputError
from bench.estimators import KDE
from bench.information.variables import Variable
from bench.layers.pixels import Locations, PixelLabels, capture_at, image_at
from models import Tap, UNet


def data_of(images, targets, groups=None, task="segmentation"):
    names = tuple(map(str, range(len(images))))
    if task == "segmentation" and not targets.any():
        targets = targets.clone()
        targets[0].view(-1)[0] = 1  # a split must have foreground
    split = Split(images, targets, np.arange(len(images)) if groups is None else np.asarray(groups), names)
    return Data("made", task, ("ground", "organ"), split, split, split)


def positions(size, images=6):
    """Return images whose two or three channels are the coordinates of each pixel."""
    grid = torch.stack(torch.meshgrid(*[torch.arange(side, dtype=torch.float32) for side in size], indexing="ij"))
    return grid.expand(images, *grid.shape).clone()


class Pooled(nn.Module):
    """Network whose level 1 is the padded image, and whose levels 2 and 3 average the level before."""

    def __init__(self, pad, axes=2):
        super().__init__()
        self.level1 = nn.ConstantPad2d(pad, -9.0) if axes == 2 else nn.ConstantPad3d(pad, -9.0)
        pool = nn.AvgPool2d if axes == 2 else nn.AvgPool3d
        self.level2, self.level3 = pool(2), pool(2)
        self.weight = nn.Parameter(torch.zeros(1))

    def forward(self, x):
        return self.level3(self.level2(self.level1(x)))


TAPS = [Tap(f"level{level}", f"level{level}", "feature", level, level) for level in (1, 2, 3)]


@pytest.mark.parametrize(("size", "pad"), [((32, 24), 0), ((29, 21), (1, 2, 1, 2)), ((8, 12, 8), 0)])
def test_a_location_has_the_activations_of_the_cell_that_contains_it(size, pad):
    images = positions(size)
    data = data_of(images, torch.zeros(len(images), *size, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 200, np.random.default_rng(0))
    where = locations.positions.reshape(-1, len(size))
    model = Pooled(pad, len(size))
    first, second, third = capture_at(model, data.train, TAPS, locations, "pixel", batch_size=4)
    np.testing.assert_array_equal(first.variable.samples, where)
    margin = 1 if pad else 0
    for captured, factor in ((second, 2), (third, 4)):
        cell = (where + margin) // factor
        middle = cell * factor + (factor - 1) / 2 - margin
        inside = (cell * factor >= margin).all(1) & ((cell + 1) * factor - margin <= np.array(size)).all(1)
        np.testing.assert_allclose(captured.variable.samples[inside], middle[inside], atol=1e-5)
        assert inside.mean() > 0.5


def test_a_patch_is_the_neighbourhood_and_repeats_pixels_at_the_border():
    images = positions((8, 8))
    data = data_of(images, torch.zeros(6, 8, 8, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 6 * 64, np.random.default_rng(0))  # every pixel of every image
    patch = image_at(data.train, locations, "patch").samples.reshape(-1, 2, 3, 3)
    where = locations.positions.reshape(-1, 2)
    for row, (y, x) in zip(patch, where, strict=True):
        np.testing.assert_array_equal(row[0, :, 0], np.clip([y - 1, y, y + 1], 0, 7))
        np.testing.assert_array_equal(row[1, 0], np.clip([x - 1, x, x + 1], 0, 7))
    pixel = image_at(data.train, locations, "pixel").samples
    np.testing.assert_array_equal(patch[:, :, 1, 1], pixel)


def test_locations_are_stratified_over_every_image():
    data = data_of(positions((32, 32), 10), torch.zeros(10, 32, 32, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 170, np.random.default_rng(0))
    assert locations.positions.shape == (10, 16, 2)  # 4 × 4 cells in each image
    for image in locations.positions:
        assert len({(y // 8, x // 8) for y, x in image}) == 16
    again = Locations.draw(data, data.train, 170, np.random.default_rng(0))
    np.testing.assert_array_equal(again.positions, locations.positions)
    assert not np.array_equal(locations.positions[0], locations.positions[1])


def test_vectors_equal_the_activations_for_every_memory_budget():
    data = phantoms(n=[6, 6, 6], size=18)  # padded to 20 by the network
    torch.manual_seed(0)
    model = UNet(1, 1, widths=(3, 4, 5), init="glorot").eval()
    taps = [tap for tap in model.taps() if tap.role != "skip"]
    locations = Locations.draw(data, data.val, 60, np.random.default_rng(1))
    seen = {}
    handles = [
        model.get_submodule(tap.module).register_forward_hook(
            lambda _m, _i, output, tap=tap: seen.update({tap.name: output.clone()})
        )
        for tap in taps
    ]
    with torch.no_grad():
        model(data.val.images)
    for handle in handles:
        handle.remove()
    seen["out"] = torch.sigmoid(seen["out"])
    for budget in (1.0, 1e-9):
        for captured in capture_at(model, data.val, taps, locations, "pixel", budget_gb=budget, batch_size=6):
            activation = seen[captured.tap.name].numpy()
            factor, margin = 2 ** (captured.tap.level - 1), 0 if captured.tap.name == "out" else 1
            cells = (locations.positions + margin) // factor
            expected = [activation[image, :, y, x] for image, places in enumerate(cells) for y, x in places]
            np.testing.assert_allclose(captured.variable.samples, expected, atol=1e-6)
            assert captured.variable.n == 54
            np.testing.assert_array_equal(captured.variable.groups, np.repeat(data.val.groups, 9))


def test_the_null_exchanges_whole_label_maps_between_patients():
    rng = np.random.default_rng(0)
    targets = torch.from_numpy(rng.integers(0, 2, (6, 16, 16)))
    data = data_of(positions((16, 16)), targets, groups=[0, 0, 1, 1, 2, 2])
    locations = Locations.draw(data, data.train, 6 * 16, rng)
    labels = PixelLabels.at(data.train, locations)
    maps = targets.numpy()
    own = [maps[image, y, x] for image, places in enumerate(locations.positions) for y, x in places]
    np.testing.assert_array_equal(labels.labels, own)
    for seed in range(10):
        moved = labels.shuffled(np.random.default_rng(seed), True).reshape(6, 16)
        sources = []
        for image, places in enumerate(locations.positions):
            candidates = [
                j for j in range(6) if all(maps[j, y, x] == m for (y, x), m in zip(places, moved[image], strict=True))
            ]
            assert len(candidates) == 1
            sources += candidates
        assert sorted(sources) == list(range(6))
        assert all(
            sources[a] // 2 == sources[a + 1] // 2 for a in (0, 2, 4)
        )  # both slices of a patient come from the same patient


def test_pixels_of_one_image_are_not_independent_samples():
    # T and the label are constant over each image and independent of each other
    rng = np.random.default_rng(0)
    data = data_of(positions((16, 16), 16), torch.zeros(16, 16, 16, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 16 * 16, rng)
    alarms = {"maps": 0, "pixels": 0}
    for _ in range(20):
        targets = torch.from_numpy(rng.permutation(16) % 2)[:, None, None].expand(16, 16, 16)
        split = Split(data.train.images, targets, data.train.groups, data.train.names)
        labels = PixelLabels.at(split, locations)
        t = rng.normal(size=(16, 2))[locations.images] + 0.1 * rng.normal(size=(256, 2))
        alarms["maps"] += KDE(1.0).estimate(Variable.of(t, labels.groups), labels, rng=rng).significant
        alarms["pixels"] += KDE(1.0).estimate(t, labels.labels, rng=rng).significant
    assert alarms["maps"] <= 4
    assert alarms["pixels"] >= 15


def test_data_without_pixel_labels_are_refused():
    images = positions((8, 8))
    classes = data_of(images, torch.tensor([0, 1] * 3), task="classification")
    with pytest.raises(InputError, match=r"probe.views: got pixel or patch for classification"):
        Locations.draw(classes, classes.train, 100, np.random.default_rng(0))
    masks = data_of(images, torch.zeros(6, 8, 8, dtype=torch.int64))
    with pytest.raises(InputError, match=r"probe.pixels: got 5, wanted at least one per image: 6"):
        Locations.draw(masks, masks.train, 5, np.random.default_rng(0))


def test_a_layer_without_positions_has_a_reason():
    model = nn.Sequential(nn.Conv2d(2, 3, 1), nn.Flatten(), nn.Linear(3 * 64, 5))
    taps = [Tap("conv", "0", "feature", 1, 0), Tap("dense", "2", "feature", 1, 1)]
    data = data_of(positions((8, 8)), torch.zeros(6, 8, 8, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 24, np.random.default_rng(0))
    conv, dense = capture_at(model, data.train, taps, locations, "pixel")
    assert conv.variable.dim == 3
    assert dense.variable is None
    assert dense.reason == "got a layer of shape (5,), wanted one with places"


def test_values_that_are_not_finite_give_a_reason():
    class Reciprocal(nn.Module):
        def forward(self, x):
            return 1 / x

    images, model = positions((8, 8)), Pooled(0)
    model.level1 = Reciprocal()  # infinite at coordinate 0
    data = data_of(images, torch.zeros(len(images), 8, 8, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 6 * 64, np.random.default_rng(0))
    (found,) = capture_at(model, data.train, TAPS[:1], locations, "pixel")
    assert found.variable is None
    assert "NaN or infinite" in found.reason


@pytest.mark.parametrize(("share", "passes"), [(1.01, 1), (0.99, 2)])
def test_layers_are_captured_in_one_pass_if_the_budget_allows(share, passes):
    """Two layers of two channels at 24 locations need 8 bytes for each value."""
    images = positions((8, 8))
    data = data_of(images, torch.zeros(len(images), 8, 8, dtype=torch.int64))
    locations = Locations.draw(data, data.train, 6 * 4, np.random.default_rng(0))
    model, seen = Pooled(0), []
    model.register_forward_hook(lambda *_: seen.append(1))
    list(capture_at(model, data.train, TAPS[:2], locations, "pixel", budget_gb=1.0))
    before = len(seen)
    budget_gb = share * 2 * 24 * 2 * 8e-9
    list(capture_at(model, data.train, TAPS[:2], locations, "pixel", budget_gb=budget_gb))
    assert len(seen) - before == before + passes - 1
