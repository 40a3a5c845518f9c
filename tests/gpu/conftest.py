"""Each test here runs on the CPU, and on a CUDA device if there is one, and compares the result with the CPU."""

import pytest
import torch

from bench.config.prepare import seed_everything

CUDA = pytest.param(
    "cuda",
    marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device is visible")],
)


@pytest.fixture(params=["cpu", CUDA])
def device(request):
    settings = {name: getattr(torch.backends.cudnn, name) for name in ("deterministic", "benchmark", "allow_tf32")}
    seed_everything(0)
    yield torch.device(request.param)
    for name, value in settings.items():
        setattr(torch.backends.cudnn, name, value)
