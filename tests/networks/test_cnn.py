import pytest
import torch
import torch.nn.functional as F
from omegaconf import OmegaConf

from models import CNN


def parameters(model) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def shapes(model, x) -> dict[str, tuple[int, ...]]:
    """Return the output shape of each tap for one image, by the name of the tap."""
    found = {}
    for tap in model.taps():
        model.get_submodule(tap.module).register_forward_hook(
            lambda module, inputs, output, name=tap.name: found.update({name: tuple(output.shape[1:])})
        )
    model(x)
    return found


def test_lenet5_has_the_published_parameters_and_shapes():
    # 6*25+6, 16*6*25+16, 400*120+120, 120*84+84, 84*10+10
    assert parameters(CNN()) == 156 + 2_416 + 48_120 + 10_164 + 850 == 61_706
    assert shapes(CNN(), torch.zeros(1, 1, 28, 28)) == {
        "conv1": (6, 28, 28),
        "conv2": (16, 10, 10),
        "fc1": (120,),
        "fc2": (84,),
        "out": (10,),
    }


@pytest.mark.parametrize("pool", ["max", "avg"])
def test_lenet5_equals_the_formula(pool):
    torch.manual_seed(0)
    model, x = CNN(pool=pool), torch.rand(3, 1, 28, 28)
    weights, shrink = model.state_dict(), getattr(F, f"{pool}_pool2d")
    first = shrink(F.relu(F.conv2d(x, weights["conv1.0.weight"], weights["conv1.0.bias"], padding=2)), 2)
    second = shrink(F.relu(F.conv2d(first, weights["conv2.0.weight"], weights["conv2.0.bias"])), 2)
    features = second.flatten(1)
    for name in ("fc1.0", "fc2.0"):
        features = F.relu(F.linear(features, weights[f"{name}.weight"], weights[f"{name}.bias"]))
    expected = F.linear(features, weights["out.weight"], weights["out.bias"])
    assert torch.allclose(model(x), expected, atol=1e-6)


@pytest.mark.parametrize("filters", [(2, 4), (24, 48)])
def test_parameters_by_number_of_filters(filters):
    # a*25+a + b*a*25+b + 25b*120+120 + 10164+850
    a, b = filters
    assert parameters(CNN(filters=filters)) == 26 * a + 25 * a * b + b + 3_000 * b + 120 + 10_164 + 850


def test_shapes_of_a_vgg():
    model = CNN(3, 5, (4, 8), 3, "same", (2, 3), global_pool="avg", norm="batch", hidden=[16], input_size=(20, 12))
    assert shapes(model, torch.zeros(2, 3, 20, 12)) == {
        "conv1_1": (4, 20, 12),
        "conv1_2": (4, 20, 12),
        "conv2_1": (8, 10, 6),
        "conv2_2": (8, 10, 6),
        "conv2_3": (8, 10, 6),
        "fc1": (16,),
        "out": (5,),
    }


@pytest.mark.parametrize(("global_pool", "reduce"), [("avg", torch.mean), ("max", torch.amax)])
def test_global_pool_takes_any_size(global_pool, reduce):
    model = CNN(filters=(4,), kernel_size=3, padding="same", global_pool=global_pool, hidden=()).eval()
    x = torch.rand(2, 1, 31, 9)
    pooled = reduce(F.max_pool2d(model.conv1(x), 2), dim=(2, 3))
    assert torch.allclose(model(x), model.out(pooled), atol=1e-6)


def test_volumes():
    model = CNN(1, 2, (4, 8), 3, "same", hidden=(6,), input_size=(8, 6, 4), spatial_dims=3)
    found = shapes(model, torch.zeros(1, 1, 8, 6, 4))
    assert (found["conv1"], found["conv2"]) == ((4, 8, 6, 4), (8, 4, 3, 2))
    assert model.fc1[0].in_features == 8 * 2 * 1 * 1


def test_glorot_statistics():
    model = CNN(init="glorot")
    for layer, fans in {model.fc1[0]: 400 + 120, model.conv2[0]: (6 + 16) * 25}.items():
        assert layer.weight.std().item() == pytest.approx((2 / fans) ** 0.5, rel=0.05)
        assert not layer.bias.any()


def test_weights_depend_on_the_seed():
    def logits(seed):
        torch.manual_seed(seed)
        return CNN()(torch.ones(1, 1, 28, 28))

    assert torch.equal(logits(0), logits(0))
    assert not torch.equal(logits(0), logits(1))


def test_lists_of_omegaconf_are_accepted():
    model = CNN(
        **OmegaConf.create({"filters": [4, 8], "padding": ["same", "same"], "input_size": [12, 12], "hidden": []})
    )
    assert (model.filters, model.hidden, model.out.in_features) == ((4, 8), (), 8 * 3 * 3)


def test_the_smallest_input_size_is_accepted_and_a_smaller_one_is_refused():
    # a valid convolution of 5 and a pool reduce 6 pixels to 1 (6 -> 2 -> 1); the stage before them halves: 12
    assert CNN(input_size=(12, 12)).fc1[0].in_features == 16
    with pytest.raises(
        ValueError, match=r"input_size: got \(12, 11\), wanted 12 or more a side, as 2 pools need; enlarge"
    ):
        CNN(input_size=(12, 11))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"filters": []}, r"filters: got \[\], wanted at least 1 positive integer"),
        ({"filters": [6, 0]}, r"filters: got \[6, 0\]"),
        ({"filters": [6, 16, 32]}, r"padding: got \('same', 'valid'\), wanted one entry per stage, 3 in all; add 1"),
        ({"hidden": [120, -1]}, r"hidden: got \[120, -1\]"),
        ({"hidden": None}, r"hidden: got None"),
        ({"kernel_size": 0}, r"kernel_size: got 0"),
        ({"kernel_size": [5, 5, 5]}, r"kernel_size: got \[5, 5, 5\], wanted one entry per stage, 2 in all; remove 1"),
        ({"padding": 2}, r"padding: got 2, wanted one of same, valid"),
        ({"convs_per_stage": [1, 0]}, r"convs_per_stage: got 0"),
        ({"pool": "mean"}, r"pool: got 'mean', wanted one of max, avg"),
        ({"global_pool": True}, r"global_pool: got True, wanted one of none, max, avg"),
        ({"norm": "layer"}, r"norm: got 'layer', wanted one of none, batch, instance, group"),
        ({"activation": None}, r"activation: got None"),
        ({"init": "he"}, r"init: got 'he'"),
        ({"num_classes": None}, r"num_classes: got None"),
        ({"num_classes": 1}, r"num_classes: got 1, wanted 2 or more"),
        ({"multilabel": None}, r"multilabel: got None, wanted one of True, False"),
        ({"spatial_dims": 1}, r"spatial_dims: got 1, wanted one of 2, 3"),
        ({"spatial_dims": 3}, r"input_size: got \(28, 28\), wanted 3 sides"),
        ({"input_size": None}, r"input_size: got None"),
    ],
)
def test_bad_arguments_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        CNN(**arguments)
    assert "\n" not in str(error.value)


def test_images_of_another_shape_are_refused():
    with pytest.raises(ValueError, match=r"input: got shape \(1, 3, 28, 28\), wanted \(N, 1, H, W\)"):
        CNN()(torch.zeros(1, 3, 28, 28))
    with pytest.raises(ValueError, match=r"input: got size \(32, 32\), wanted \(28, 28\); resize"):
        CNN()(torch.zeros(1, 1, 32, 32))
