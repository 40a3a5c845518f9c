"""Mixed precision, compilation, clipping and warm-up give what their formulas say."""

import math
from functools import partial

import pytest
import torch
from omegaconf import OmegaConf

from bench.config.rehearsal import optimizer_and_schedule, rehearse
from bench.datasets import phantoms
from bench.errors import InputError
from bench.training.precision import precision
from bench.training.train import fit, loss_function
from bench.training.trial import check_training
from models import UNet

ADAM = partial(torch.optim.Adam, lr=0.01)
CPU, GPU = torch.device("cpu"), torch.device("cuda")


@pytest.fixture(scope="module")
def data():
    return phantoms(n=(16, 4, 4), size=16)


def network():
    torch.manual_seed(0)
    return UNet(1, 1, widths=(4, 8), norm="batch")


def train(data, optimizer=ADAM, **options):
    """Return the losses of 3 epochs and the weights."""
    model, seen = network(), []
    options = {"epochs": 3, "batch_size": 8, "amp": False, "schedule": None, "seed": 0} | options
    fit(model, data, optimizer=optimizer(model.parameters()), loss=loss_function("dice_ce", data), **options,
        on_epoch=lambda _, metrics: seen.append(metrics.get("train/loss")))  # fmt: skip
    return seen[1:], model.state_dict()


def test_the_type_of_mixed_precision():
    assert [precision(amp, CPU) for amp in (True, False, "off", "bf16", "fp16")] == [
        None, None, None, torch.bfloat16, torch.float16,
    ]  # fmt: skip
    assert [precision(amp, GPU) for amp in (True, False, "off", "bf16", "fp16")] == [
        torch.float16, None, None, torch.bfloat16, torch.float16,
    ]  # fmt: skip


def test_true_changes_nothing_on_the_cpu(data):
    wanted, weights = train(data)
    for amp in (True, "off"):
        losses, others = train(data, amp=amp)
        assert losses == wanted
        assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_rounds_the_network_and_keeps_float32_weights(data, amp):
    wanted, _ = train(data)
    losses, weights = train(data, amp=amp)
    assert losses != wanted
    assert losses == pytest.approx(wanted, rel=5e-3)  # bf16 has 8 bits of precision, 0.4 %
    assert all(tensor.dtype in (torch.float32, torch.int64) for tensor in weights.values())


def test_a_step_with_clipped_gradients_has_the_largest_norm(data):
    descent = partial(torch.optim.SGD, lr=1.0)
    before = network().state_dict()

    def change(**options):
        _, weights = train(data, descent, epochs=1, batch_size=16, **options)
        parameters = [name for name, _ in network().named_parameters()]
        return math.sqrt(sum(float((weights[name] - before[name]).square().sum()) for name in parameters))

    whole = change()
    assert change(clip=whole / 4) == pytest.approx(whole / 4, rel=1e-4)
    assert change(clip=2 * whole) == pytest.approx(whole, rel=1e-6)
    assert change(clip=whole / 4, amp="fp16") == pytest.approx(whole / 4, rel=1e-3)  # of the gradients without scale


def section(**values):
    optimizer = {"_target_": "torch.optim.SGD", "_partial_": True, "lr": 0.8}
    return OmegaConf.create({"optimizer": optimizer, "schedule": None, "epochs": 7, "warmup": 0} | values)


def rates(config):
    optimizer, schedule = optimizer_and_schedule(config, [torch.nn.Parameter(torch.zeros(1))])
    found = []
    for _ in range(config.epochs):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if schedule:
            schedule.step()
    return found


def test_the_rate_rises_linearly_and_then_follows_the_schedule():
    assert rates(section()) == [0.8] * 7
    assert rates(section(warmup=3)) == pytest.approx([0.2, 0.4, 0.6, 0.8, 0.8, 0.8, 0.8])
    cosine = {"_target_": "torch.optim.lr_scheduler.CosineAnnealingLR", "_partial_": True, "T_max": 4}
    falling = [0.4 * (1 + math.cos(math.pi * epoch / 4)) for epoch in range(4)]
    assert rates(section(warmup=3, schedule=cosine)) == pytest.approx([0.2, 0.4, 0.6, *falling])
    steps = {"_target_": "torch.optim.lr_scheduler.StepLR", "_partial_": True, "step_size": 2, "gamma": 0.5}
    assert rates(section(warmup=1, schedule=steps)) == pytest.approx([0.4, 0.8, 0.8, 0.4, 0.4, 0.2, 0.2])


def test_a_warmup_without_an_epoch_after_it_is_refused():
    rehearse(section(warmup=6))
    rehearse(section(warmup=6, epochs=0))
    with pytest.raises(InputError, match=r"train.warmup: got 7, wanted fewer epochs than train.epochs=7; lower it"):
        rehearse(section(warmup=7))


def test_a_schedule_that_can_not_follow_a_warmup_is_refused():
    schedule = {"_target_": "torch.optim.lr_scheduler.MultiplicativeLR", "_partial_": True, "lr_lambda": math.cos}
    config = OmegaConf.create(section(warmup=2), flags={"allow_objects": True})
    config.schedule = schedule
    with pytest.raises(
        InputError, match=r"train.warmup: got a warm-up before MultiplicativeLR, which can't follow one"
    ):
        optimizer_and_schedule(config, [torch.nn.Parameter(torch.zeros(1))])


def test_a_compiled_copy_is_trained_with_the_parameters_of_the_network(data, monkeypatch):
    wanted, weights = train(data)
    compiled, compile = [], torch.compile
    monkeypatch.setattr(torch, "compile", lambda model: compiled.append(model) or compile(model, backend="eager"))
    losses, others = train(data, compile=True)
    assert len(compiled) == 1
    assert losses == wanted
    assert all(torch.equal(tensor, others[name]) for name, tensor in weights.items())


@pytest.mark.slow
def test_compiled_code_gives_the_losses_of_the_network(data):
    wanted, _ = train(data)
    losses, _ = train(data, compile=True)
    assert losses == pytest.approx(wanted, rel=1e-3)


def test_a_compilation_without_a_compiler_is_refused_before_training(data, monkeypatch):
    monkeypatch.setenv("CXX", "no-compiler")
    message = (
        r"train.compile: got true, which needs a C\+\+ compiler on the CPU, but no-compiler is not installed; inst"
    )
    with pytest.raises(InputError, match=message):
        check_training(network(), data, loss_function("auto", data), 1, 8, compile=True)


def test_a_compilation_that_fails_is_refused_before_training(data, monkeypatch):
    def fail(images):
        raise RuntimeError("the backend\nfails")

    monkeypatch.setenv("CXX", "true")
    monkeypatch.setattr(torch, "compile", lambda model: fail)
    with pytest.raises(
        InputError, match=r"train.compile: got true, but a compiled step fails; .*\(the backend fails\)"
    ):
        check_training(network(), data, loss_function("auto", data), 1, 8, compile=True)
