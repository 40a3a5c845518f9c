"""Export: a trained network as an ONNX file, checked against the network."""

from __future__ import annotations

import logging
import tempfile
from importlib import import_module
from pathlib import Path
from typing import cast

import numpy as np
import torch

from bench.errors import TrainingError, optional

for chatty in ("onnx_ir", "onnxscript"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

TOLERANCE = 1e-4  # relative to the largest output


def require_onnx(section: str) -> None:
    """Check that the packages for the export are installed.

    Raises:
        InputError: A package is missing. The message starts with this section.
    """
    with optional(section):
        for package in ("onnx", "onnxscript"):
            import_module(package)


def to_onnx(network: torch.nn.Module, images: torch.Tensor) -> bytes:
    """Export a network with torch's own exporter, for any number of images of this size.

    Args:
        network: The network.
        images: (n, channels, *spatial), used to trace and to check the network.

    Returns:
        The content of the ONNX file.

    Raises:
        TrainingError: The file, run by ONNX's reference evaluator, does not give the output of the network.
    """
    import onnx.reference  # optional package

    network = network.cpu().eval()
    with torch.no_grad():
        wanted = network(images).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        batch = torch.export.Dim("batch", min=1)
        program = torch.onnx.export(
            network,
            (images,),
            dynamo=True,
            dynamic_shapes=({0: batch},),
            input_names=["images"],
            output_names=["logits"],
            verbose=False,
        )
        assert program is not None  # with dynamo=True
        program.save(path, external_data=False)
        exported = path.read_bytes()
    evaluator = onnx.reference.ReferenceEvaluator(onnx.load_from_string(exported))
    (got,) = cast(list, evaluator.run(None, {"images": images.numpy()}))
    furthest = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if not furthest <= TOLERANCE:
        raise TrainingError(
            f"export: the ONNX file's output differs by {furthest:.2g} of the largest, wanted at most {TOLERANCE}"
        )
    return exported
