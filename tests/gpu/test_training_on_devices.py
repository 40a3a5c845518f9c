"""Training on a device gives the numbers of the CPU. The tolerances are for the rounding of float32 in other orders."""

from dataclasses import replace

import pytest
import torch

from bench.datasets import phantoms
from bench.training.checkpoint import Checkpoint
from bench.training.cost import cost
from bench.training.evaluate import evaluate
from bench.training.predictions import predict_volume
from bench.training.train import fit, loss_function
from models import UNet

CLOSE = 1e-4  # relative, of losses and weights after 3 epochs of gradient descent
CPU = torch.device("cpu")
DATA = phantoms(classes=3, n=(24, 8, 8), size=16, augment=["flips", "intensity"])
REGIONS = replace(DATA, regions={"both": (1, 2), "second": (2,)})


def train(device, data=DATA, loss="dice_ce", checkpoint=None, stop=None, **options):
    """Return the losses and scores of 3 epochs and the weights on the CPU."""
    torch.manual_seed(0)
    model = UNet(1, data.outputs, widths=(4, 8), norm="batch").to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1, momentum=0.9)
    seen = []

    def on_epoch(epoch, metrics):
        seen.append(metrics)
        if epoch == stop:
            raise KeyboardInterrupt

    options = {"amp": False, "schedule": None} | options
    fit(model, data, epochs=3, batch_size=8, optimizer=optimizer, loss=loss_function(loss, data), seed=0,
        on_epoch=on_epoch, checkpoint=checkpoint, **options)  # fmt: skip
    return [each.get("train/loss", 0.0) for each in seen], {k: v.cpu() for k, v in model.state_dict().items()}


def assert_close(found, wanted, tolerance=CLOSE):
    assert found[0] == pytest.approx(wanted[0], rel=tolerance)
    for name, tensor in wanted[1].items():
        torch.testing.assert_close(found[1][name], tensor, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("loss", ["dice_ce", "weighted_ce"])
def test_losses_and_weights(device, loss):
    assert_close(train(device, loss=loss), train(CPU, loss=loss))


def test_regions(device):
    assert_close(train(device, REGIONS, "weighted_bce"), train(CPU, REGIONS, "weighted_bce"))


def test_settings(device):
    settings = {"sampler": "balanced", "clip": 0.1}
    assert_close(train(device, workers=2, **settings), train(CPU, **settings))


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_is_near_float32(device, amp):
    assert train(device, amp=amp)[0] == pytest.approx(train(CPU)[0], rel=2e-2)


def test_a_teacher(device):
    torch.manual_seed(1)
    teacher = UNet(1, DATA.outputs, widths=(4, 8)).eval()
    wanted = train(CPU, teacher=teacher)
    assert_close(train(device, teacher=teacher.to(device)), wanted)


def test_a_stopped_training_continues(device, tmp_path):
    wanted = train(device)
    with pytest.raises(KeyboardInterrupt), Checkpoint(tmp_path / "c" / "run", {}, 0) as checkpoint:
        train(device, checkpoint=checkpoint, stop=2)
    with Checkpoint(tmp_path / "c" / "run", {}, 0) as checkpoint:
        found = train(device, checkpoint=checkpoint)
    assert_close((wanted[0][:2] + found[0], found[1]), wanted, 1e-6)


def test_accuracy(device):
    torch.manual_seed(0)
    model = UNet(1, DATA.outputs, widths=(4, 8))
    wanted, _ = evaluate(model, DATA, "test", seed=0)
    found, _ = evaluate(model.to(device), DATA, "test", seed=0)
    assert found == pytest.approx(wanted, rel=1e-3, nan_ok=True)  # a pixel at the threshold may change its class


def test_sliding_windows(device):
    torch.manual_seed(0)
    model, volume = UNet(1, 2, widths=(4, 8), spatial_dims=3), torch.randn(1, 12, 10, 9)
    wanted = predict_volume(model, volume, (8, 8, 8))
    found = predict_volume(model.to(device), volume, (8, 8, 8))
    torch.testing.assert_close(found, wanted, rtol=CLOSE, atol=CLOSE)


def test_cost(device):
    model = UNet(1, 2, widths=(4, 8))
    keys = ("params", "flops", "peak_activation_bytes")
    wanted = cost(model, DATA.test.images)
    found = cost(model.to(device), DATA.test.images)
    assert {key: found[key] for key in keys} == {key: wanted[key] for key in keys}


def test_compilation(device):
    if device.type == "cpu":
        pytest.skip("takes a minute; tests/training/test_precision.py tests it without code generation")
    assert_close(train(device, compile=True), train(CPU), 1e-3)


def test_a_step_does_not_wait_for_the_device(device, monkeypatch):
    """The loss is read once in an epoch. On CUDA, PyTorch raises an error if anything waits between loss and step."""
    model = UNet(1, DATA.outputs, widths=(4, 8)).to(device)
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    reads, item, step = [], torch.Tensor.item, optimizer.step
    loss = loss_function("weighted_ce", DATA)

    def strict(logits, targets):
        if logits.requires_grad and device.type == "cuda":
            torch.cuda.set_sync_debug_mode("error")
        return loss(logits, targets)

    def lenient():
        step()
        if device.type == "cuda":
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(
        torch.Tensor, "item", lambda tensor: reads.append(model.training and tensor.is_floating_point()) or item(tensor)
    )
    monkeypatch.setattr(optimizer, "step", lenient)
    fit(model, DATA, epochs=2, batch_size=4, optimizer=optimizer, schedule=None, loss=strict, amp="bf16", seed=0,
        clip=1.0, on_epoch=lambda *_: None)  # fmt: skip
    assert sum(reads) == 2
