import numpy as np
import onnx
import pytest
import torch

from bench.errors import TrainingError
from bench.pruning.report import export
from models import CNN, UNet


@pytest.mark.parametrize(
    "network",
    [
        UNet(1, 2, widths=(2, 3, 4), skips=("off", "cat"), norm="batch"),
        CNN(1, 3, filters=(2, 3), kernel_size=3, padding="same", hidden=(4,), global_pool="avg", norm="batch"),
        UNet(1, 2, widths=(2, 3), norm="batch", separable=True, up="interpolate"),
    ],
)
def test_the_exported_file_gives_the_output_of_the_network_for_any_number_of_images(network):
    network.eval()
    exported = export.to_onnx(network, torch.randn(2, 1, 16, 16))
    images = torch.randn(5, 1, 16, 16)
    session = onnx.reference.ReferenceEvaluator(onnx.load_from_string(exported))
    got = session.run(None, {"images": images.numpy()})[0]
    assert np.allclose(got, network(images).detach().numpy(), atol=1e-5)


def test_a_file_with_another_output_is_refused(monkeypatch):
    class Other:
        def __init__(self, _):
            pass

        def run(self, *_):
            return [np.zeros((2, 1, 16, 16), np.float32)]

    monkeypatch.setattr("onnx.reference.ReferenceEvaluator", Other)
    with pytest.raises(TrainingError, match="differs by 1 of the largest"):
        export.to_onnx(UNet(1, 1, widths=(2, 3)), torch.randn(2, 1, 16, 16))
