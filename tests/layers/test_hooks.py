"""A tap must run once in each forward pass, with the batch on the first axis and a constant shape, or it is refused."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from bench.datasets.splits import Split
from bench.errors import InputError
from bench.information.reductions import Distances
from bench.layers.capture import capture
from bench.layers.hooks import function_up_to, tap_hooks, tap_shapes
from bench.layers.maps import averaged
from models import Tap

TAP = Tap("layer", "layer", "feature", 1, 0)


class Net(nn.Module):
    """Network that calls its layer in a given way, which may depend on the batch."""

    def __init__(self, way):
        super().__init__()
        torch.manual_seed(0)
        self.first, self.layer, self.way = nn.Conv2d(1, 2, 3, padding=1), nn.Identity(), way

    def forward(self, x):
        return self.way(self, self.first(x))


def split(n=10):
    images = torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    images[-1] += 2  # `is_last_batch` recognises the last batch by these values
    return Split(images, torch.zeros(n, dtype=torch.int64), np.arange(n), tuple(map(str, range(n))))


def is_last_batch(y):
    return float(y.detach().abs().max()) > 1.2


WAYS = {
    "runs 0 times": lambda net, y: y if is_last_batch(y) else net.layer(y),
    "runs 2 times": lambda net, y: net.layer(net.layer(y)) if is_last_batch(y) else net.layer(y),
    "in one pass and": lambda net, y: net.layer(y[..., :4]) if is_last_batch(y) else net.layer(y),
    "for a batch of": lambda net, y: net.layer(y[:1]) if is_last_batch(y) else net.layer(y),
    "gives a tuple, wanted a tensor": lambda net, y: net.layer((y, y)) if is_last_batch(y) else net.layer(y),
}


@pytest.mark.parametrize(("message", "way"), WAYS.items())
def test_a_tap_that_changes_in_a_later_batch_is_refused(message, way):
    network = Net(way)
    assert not is_last_batch(network.first(split().images[:8]))
    assert is_last_batch(network.first(split().images[8:]))
    with pytest.raises(InputError, match=f"tap layer: .*{message}"):
        list(capture(network, split(), [TAP], (Distances(),), batch_size=8))
    with pytest.raises(InputError, match=f"tap layer: .*{message}"):
        averaged(network, split(), [TAP], batch_size=8)


@pytest.mark.parametrize(
    "way",
    [
        lambda net, y: net.layer(y.flatten(2).permute(2, 0, 1)),  # tokens first
        lambda net, y: net.layer(y.unfold(2, 4, 4).permute(0, 2, 1, 3, 4).flatten(0, 1)),  # windows
        lambda net, y: net.layer(y.mean((2, 3)).T[:1]),  # one row, which equals the batch size of one by chance
        lambda net, y: net.layer(y.sum()),
    ],
)
def test_a_first_axis_that_is_not_the_batch_is_refused(way):
    with pytest.raises(InputError, match=r"tap layer: .*wanted . on the first axis"):
        tap_shapes(Net(way), [TAP], split().images[:1])
    with pytest.raises(InputError, match=r"tap layer: .*wanted . on the first axis"):
        function_up_to(Net(way), TAP)(split().images)


def test_a_tap_that_back_propagation_does_not_reach_is_refused():
    network = Net(lambda net, y: y.mean((1, 2, 3))[:, None] + 0 * net.layer(y.detach()).mean((1, 2, 3))[:, None])
    with pytest.raises(InputError, match="tap layer: back-propagation brings 0 errors"):
        list(capture(network, split(), [TAP], (Distances(),), loss=lambda output, _: output.mean()))


def test_a_layer_with_checkpointing_is_captured():
    network = Net(lambda net, y: checkpoint(net.layer, y, use_reentrant=False) * 2)
    plain = Net(lambda net, y: net.layer(y) * 2)
    one, other = (
        next(capture(net, split(), [TAP], (Distances(),))).variable.read(Distances()) for net in (network, plain)
    )
    np.testing.assert_array_equal(one, other)


def test_an_in_place_change_after_a_tap_does_not_change_its_mean():
    network = Net(lambda net, y: net.layer(y.mean((2, 3))).mul_(0))
    assert np.abs(averaged(network, split(), [TAP])["layer"]).max() > 0


def test_a_hook_does_not_report_without_a_forward_pass():
    seen = []
    with tap_hooks(Net(lambda net, y: y), [TAP], lambda *reported: seen.append(reported)):
        assert seen == []
