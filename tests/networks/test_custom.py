"""Custom: any network with taps by module paths, whose levels are found by tracing."""

import pytest
import torch
from torch import nn

from models import Custom
from models.taps import sigmoid, softmax
from models.tracing import calls, level


class Net(nn.Module):
    """Network that halves twice with a shared layer and has two outputs; `spare` never runs, `pair` returns a tuple."""

    def __init__(self):
        super().__init__()
        self.first = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU())
        self.shared = nn.MaxPool2d(2)
        self.second = nn.Conv2d(4, 6, 3, padding=1)
        self.spare = nn.Linear(3, 3)
        self.pair = Pair()
        self.head = nn.Linear(6, 2)

    def forward(self, x):
        x = self.shared(self.second(self.shared(self.first(x))))
        x, _ = self.pair(x)
        return self.head(x.mean(dim=(2, 3)))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


def tap(module, role="feature", **more):
    return {"module": module, "role": role} | more


def custom(*taps, **arguments):
    return Custom(Net(), [*taps, tap("head", "output")], in_channels=1, input_size=(16, 12), **arguments)


def test_taps_are_at_the_given_modules():
    model = custom(tap("first", name="stem"), tap("second"))
    found = [(tap.name, tap.module, tap.role, tap.level, tap.order) for tap in model.taps()]
    assert found == [
        ("stem", "network.first", "feature", 1, 0),
        ("second", "network.second", "feature", 2, 1),
        ("head", "network.head", "output", 3, 2),
    ]
    x = torch.randn(3, 1, 16, 12)
    assert torch.equal(model(x), model.network(x))


def test_the_output_tap_gives_probabilities():
    assert custom().taps()[-1].transform is softmax
    assert custom(multilabel=True).taps()[-1].transform is sigmoid


@pytest.mark.parametrize(
    ("module", "message"),
    [
        ("scond", r"got 'scond', which is no module of the network; the nearest are second, .*`python -m bench taps`"),
        ("spare", r"got 'spare', which runs 0 times in a forward pass, wanted once"),
        ("shared", r"got 'shared', which runs 2 times in a forward pass, wanted once"),
        ("pair", r"got 'pair', whose output is no tensor"),
    ],
)
def test_a_path_that_cannot_be_a_tap_is_refused(module, message):
    with pytest.raises(ValueError, match=f"^taps: {message}"):
        custom(tap(module))


def test_a_bad_list_of_taps_or_network_is_refused():
    with pytest.raises(ValueError, match="taps: wanted a list that ends in the output"):
        Custom(Net(), [tap("first")], in_channels=1)
    with pytest.raises(ValueError, match=r"taps: got 'first', wanted module and role, such as"):
        Custom(Net(), ["first", tap("head", "output")], in_channels=1)
    with pytest.raises(ValueError, match=r"layers: got 'fist', wanted a module's path or a pattern of: first.0"):
        Custom(Net(), ["fist"], in_channels=1)
    with pytest.raises(ValueError, match=r"role: got 'layer', wanted one of input, encoder"):
        custom(tap("first", "layer"))
    with pytest.raises(ValueError, match=r"network: got 'Net', wanted the _target_ of a torch.nn.Module"):
        Custom("Net", [])
    with pytest.raises(ValueError, match=r"the network, given an image of \(3, 16, 12\), refuses: .*expected input"):
        Custom(Net(), [tap("head", "output")], in_channels=3, input_size=(16, 12))


def test_an_empty_list_of_taps_is_accepted():
    assert Custom(Net(), [], in_channels=1).taps() == []


def test_calls_are_in_the_order_in_which_modules_end():
    seen = calls(Net(), torch.zeros(1, 1, 16, 12))
    assert list(seen) == ["first.0", "first.1", "first", "second", "shared", "pair", "head"]
    assert seen["shared"].times == 2
    assert seen["first"].shape == (4, 16, 12)
    assert seen["pair"].shape is None


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ((8, 64, 64), 1),
        ((8, 32, 32), 2),
        ((8, 1, 1), 7),
        ((8, 64, 16), 1),
        ((8, 33, 33), 2),
        ((8, 40, 32), 1),
        ((5,), 9),
    ],
)
def test_the_level_is_that_of_the_side_that_was_reduced_least(shape, wanted):
    assert level(shape, (64, 64), otherwise=9) == wanted
