"""`bench.discarding`: maps of discarded information for any network."""

import numpy as np
import pytest
import torch
from torch import nn

import bench
from bench.errors import InputError


class UpperHalf(nn.Module):
    """Network that reads only the upper half of an image."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Conv2d(1, 1, 1, bias=False)
        self.cut, self.out = nn.ZeroPad2d((0, 0, 0, -4)), nn.Conv2d(1, 1, 1)

    def forward(self, x):
        return self.out(self.cut(self.scale(x)))


def images(n=2):
    return torch.rand(n, 1, 8, 8, generator=torch.Generator().manual_seed(0))


def test_pixels_that_a_network_does_not_read_are_discarded():
    network = UpperHalf()
    found = bench.discarding(network, images(), layers=["scale", "out"], grid=4, refine=0)
    assert list(found) == ["scale", "out"]
    entropy = found["out"].entropy_bits.numpy()
    most = np.log2(np.sqrt(2 * np.pi * np.e))  # entropy of noise of standard deviation 1, the maximum
    np.testing.assert_allclose(entropy[:, 2:], most, atol=1e-6)
    assert (entropy[:, :2] < most - 1).all()
    every = found["scale"].entropy_bits.numpy()
    np.testing.assert_allclose(every, every[0, 0, 0], atol=0.05)  # this layer reads all cells equally


def test_the_network_is_not_changed_and_the_seed_determines_the_result():
    network = UpperHalf().train()
    network.out.eval()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    runs = [bench.discarding(network, images(), grid=4, refine=0, seed=seed)["out"].sid_bits for seed in (0, 0, 1)]
    assert torch.equal(runs[0], runs[1])
    assert [network.training, network.out.training] == [True, False]
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": torch.zeros(8, 8)}, r"images: got the shape \(8, 8\)"),
        ({"layers": "nope"}, "layers: got 'nope', wanted a module's path"),
        ({"grid": 3}, "grid"),
        ({"beta": -1.0}, "beta: got -1.0, wanted a finite number above 0"),
    ],
)
def test_bad_input_is_an_input_error(change, message):
    with pytest.raises(InputError, match=message):
        bench.discarding(**{"network": UpperHalf(), "images": images(), "grid": 4, "refine": 0} | change)
