import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import nn

from bench.datasets.splits import Split
from bench.errors import InputError
from bench.information.reductions import Columns, Distances, RowCodes
from bench.layers.capture import capture
from bench.layers.hooks import tap_shapes
from models import CNN, Tap, UNet

READS = (Distances(), RowCodes(0.1))


@pytest.fixture
def split():
    images = torch.rand(12, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    return Split(images, torch.zeros(12, dtype=torch.int64), np.arange(12), tuple("abcdefghijkl"))


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNet(1, 1, widths=(16, 8, 4), norm="batch", init="glorot")


def folded(model, split, **settings):
    return {each.tap.name: each for each in capture(model, split, model.taps(), READS, **settings)}


def test_distances_and_codes_equal_those_of_the_activations(unet, split):
    activations = {}
    for tap in unet.taps():
        unet.get_submodule(tap.module).register_forward_hook(
            lambda _m, _i, output, tap=tap: activations.setdefault(tap.name, []).append(
                (torch.sigmoid(output) if tap.name == "out" else output.clone()).flatten(1).numpy()
            )
        )
    captured = folded(unet, split, batch_size=5)
    unet.eval()
    activations.clear()
    with torch.no_grad():
        for image in split.images.split(5):
            unet(image)
    assert list(captured) == [tap.name for tap in unet.taps()]
    for name, each in captured.items():
        rows = np.concatenate(activations[name]).astype(np.float64)
        expected = cdist(rows, rows, "sqeuclidean")
        np.testing.assert_allclose(
            each.variable.read(Distances()), expected, atol=1e-6 * expected.max()
        )  # products in float32
        codes = np.unique(np.floor(rows / 0.1), axis=0, return_inverse=True)[1].ravel()
        same = codes[:, None] == codes[None, :]
        got = each.variable.read(RowCodes(0.1))
        np.testing.assert_array_equal(got[:, None] == got[None, :], same)
        assert each.variable.dim == rows.shape[1]


def test_results_do_not_depend_on_the_memory_budget(unet, split):
    # one part for all taps; about one part for each tap; every large tap in slices of 4096 columns
    whole, parts, slices = (folded(unet, split, budget_gb=budget) for budget in (1.0, 0.001, 0.0002))
    for name, each in whole.items():
        for other in (parts[name], slices[name]):
            for reduction in READS:
                np.testing.assert_array_equal(other.variable.read(reduction), each.variable.read(reduction))


def test_rows_have_the_order_of_the_samples_for_every_batch_size(unet, split):
    one, other = (folded(unet, split, batch_size=size)["out"].variable.read(Distances()) for size in (1, 12))
    np.testing.assert_allclose(one, other, atol=1e-6)
    reverse = np.arange(12)[::-1]
    turned = folded(unet, split.take(reverse.copy()))["out"].variable.read(Distances())
    np.testing.assert_allclose(turned, other[np.ix_(reverse, reverse)], atol=1e-6)


def test_an_in_place_operation_after_a_tap_does_not_change_the_captured_values(split):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.ReLU(inplace=True))
    taps = [Tap("before", "0", "feature", 1, 0), Tap("after", "1", "feature", 1, 1)]
    before, after = capture(model, split, taps, READS)
    with torch.no_grad():
        linear = model[0](split.images).flatten(1).numpy().astype(np.float64)
    for each, rows in ((before, linear), (after, linear.clip(min=0))):
        np.testing.assert_allclose(
            each.variable.read(Distances()), cdist(rows, rows, "sqeuclidean"), rtol=1e-5, atol=1e-5
        )


def test_a_module_that_runs_twice_or_never_is_refused():
    class Reused(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.relu, self.unused = nn.Conv2d(1, 1, 3, padding=1), nn.ReLU(), nn.ReLU()

        def forward(self, x):
            return self.relu(self.conv(self.relu(x)))

    for name, times in (("relu", 2), ("unused", 0)):
        with pytest.raises(InputError, match=f"tap t: its module {name} runs {times} times"):
            tap_shapes(Reused(), [Tap("t", name, "feature", 1, 0)], torch.zeros(1, 1, 8, 8))


def test_a_tap_that_gives_no_tensor_is_refused():
    class Pair(nn.Module):
        def forward(self, x):
            return x, x

    with pytest.raises(InputError, match="gives a tuple, wanted a tensor"):
        tap_shapes(nn.Sequential(Pair()), [Tap("t", "0", "feature", 1, 0)], torch.zeros(1, 1, 8, 8))


def test_activations_that_are_not_finite_give_a_reason_and_do_not_affect_other_taps(split):
    torch.manual_seed(0)
    model = CNN(1, 3, filters=(4, 4), input_size=(32, 32))
    with torch.no_grad():
        model.get_submodule("conv2")[0].bias[0] = float("nan")
    captured = folded(model, split)
    assert captured["conv1"].reason is None
    assert captured["conv1"].variable.read(Distances()).max() > 0
    for name in ("conv2", "fc1", "out"):
        assert "NaN" in captured[name].reason
        assert captured[name].variable is None


def test_the_network_is_not_changed(unet, split):
    unet.train()
    before = {name: tensor.clone() for name, tensor in unet.state_dict().items()}
    folded(unet, split)
    assert unet.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in unet.state_dict().items())
    assert not any(module._forward_hooks for module in unet.modules())


def test_a_budget_below_one_slice_is_refused_with_the_minimum(unet, split):
    with pytest.raises(InputError, match=r"probe.budget_gb: got 1e-05, wanted at least 0.00"):
        folded(unet, split, budget_gb=1e-5)


def error_by_hand(model, tap, image, target, loss):
    """Return the gradient of the loss of one image with respect to the output of a tap."""
    kept = []
    handle = model.get_submodule(tap.module).register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    value = loss(model(image), target)
    handle.remove()
    return torch.autograd.grad(value, kept[0])[0].flatten()


def test_errors_are_the_gradients_of_the_loss_of_each_sample():
    torch.manual_seed(0)
    model = CNN(num_classes=3, filters=(4, 6), norm="batch", input_size=(16, 16), kernel_size=3).eval()
    images, targets = torch.randn(7, 1, 16, 16), torch.arange(7) % 3
    split = Split(images, targets, np.arange(7), tuple("abcdefg"))
    loss = nn.CrossEntropyLoss()
    captured = list(capture(model, split, model.taps(), (Columns(),), batch_size=3, loss=loss))
    for each in captured:
        alone = zip(images.split(1), targets.split(1), strict=True)
        rows = [error_by_hand(model, each.tap, image, target, loss) for image, target in alone]
        np.testing.assert_allclose(each.variable.read(Columns()), torch.stack(rows).numpy(), atol=1e-7)
        assert each.variable.signal == "error"
    probabilities = torch.softmax(model(images), dim=1)
    at_output = (probabilities - torch.eye(3)[targets]).detach().numpy()
    np.testing.assert_allclose(captured[-1].variable.read(Columns()), at_output, atol=1e-6)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not split.images.requires_grad


def test_feature_maps_are_counted_and_columns_are_in_their_order(split):
    torch.manual_seed(0)
    model = CNN(filters=(3, 5), input_size=(32, 32))
    captured = {each.tap.name: each.variable for each in capture(model, split, model.taps(), (Columns(),))}
    assert [variable.maps for variable in captured.values()] == [3, 5, 1, 1, 1]
    maps = captured["conv2"].read(Columns()).reshape(12, 5, 12, 12)
    with torch.no_grad():
        expected = model.conv2(model.pool1(model.conv1(split.images)))
    np.testing.assert_allclose(maps, expected.numpy(), atol=1e-6)


def test_maps_are_counted_if_a_layer_has_positions(split):
    network = nn.Sequential(nn.Flatten(2), nn.Conv1d(1, 3, 5, stride=8), nn.Flatten(), nn.Linear(3 * 128, 4))
    taps = [Tap(f"l{i}", str(i), "feature", 1, i) for i in (1, 3)]
    captured = {each.tap.name: each.variable for each in capture(network, split, taps, READS)}
    assert (captured["l1"].maps, captured["l3"].maps) == (3, 1)
