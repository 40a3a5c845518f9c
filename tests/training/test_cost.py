import pytest
import torch
from torch import nn

from bench.training.cost import cost, flops, latency_ms, peak_activation_bytes, used_parameters
from models import CNN, UNet


def test_flops_of_lenet5_are_the_sum_over_its_layers():
    # 2 per multiply-add: conv1 6·28²·25, conv2 16·10²·6·25, then 400·120, 120·84, 84·10
    multiply_adds = 6 * 28**2 * 25 + 16 * 10**2 * 6 * 25 + 400 * 120 + 120 * 84 + 84 * 10
    assert flops(CNN(), torch.zeros(1, 1, 28, 28)) == 2 * multiply_adds


def test_only_parameters_that_affect_the_output_are_counted():
    model = UNet(1, 1, widths=(4, 8))
    everything = sum(p.numel() for p in model.parameters())
    assert used_parameters(model, torch.zeros(1, 1, 8, 8)) == everything
    model.spare = nn.Conv2d(3, 3, 3)
    assert used_parameters(model, torch.zeros(1, 1, 8, 8)) == everything


def test_the_peak_counts_activations_that_exist_at_the_same_time():
    chain = nn.Sequential(*(nn.Conv2d(1, 1, 1, bias=False) for _ in range(5)))
    one_map = 4 * 8 * 8
    assert peak_activation_bytes(chain, torch.zeros(1, 1, 8, 8)) == 2 * one_map  # the input and the output of a layer

    class Skip(nn.Module):
        def forward(self, x):
            branch = x * 2
            return torch.cat([branch, (branch * 3) * 4], dim=1)

    # the branch and its product by 12, together with their concatenation of two maps
    assert peak_activation_bytes(Skip(), torch.zeros(1, 1, 8, 8)) == 4 * one_map


def test_cost_of_a_batch():
    model, images = CNN(), torch.zeros(4, 1, 28, 28)
    costs = cost(model, images)
    assert costs["params"] == 61_706
    assert costs["flops"] == flops(model, images[:1])
    assert costs["latency_batch"] == 4
    assert costs["latency_ms"] > 0
    assert costs["peak_activation_bytes"] == pytest.approx(4 * peak_activation_bytes(model, images[:1]))


def test_latency_is_measured_over_ten_passes_after_two_to_warm_up():
    model, calls = nn.Linear(3, 2), []
    model.register_forward_hook(lambda *_: calls.append(1))
    assert latency_ms(model, torch.zeros(4, 3)) > 0
    assert len(calls) == 12
