"""Export: a trained network as an ONNX file, checked against the network."""

from __future__ import annotations

import logging
import tempfile
from importlib import import_module
from pathlib import Path

import numpy as np
import torch

from bench.errors import TrainingError, optional

for chatty in ("onnx_ir", "onnxscript"):
    logging.getLogger(chatty).setLevel(logging.WARNING)

TOLERANCE = 1e-4  # of the largest output


def require_onnx(section: str) -> None:
    """Raise InputError, which names this section, where a package that an export needs is not installed."""
    with optional(section):
        for package in ("onnx", "onnxscript"):
            import_module(package)


def to_onnx(network: torch.nn.Module, images: torch.Tensor) -> bytes:
    """The network as ONNX by torch's own exporter, for any number of images of this size.

    images: (n, channels, *spatial), to trace and to check by.
    Raises TrainingError where the file, run by ONNX's reference evaluator, does not give the network's output.
    """
    import onnx.reference  # here, because only a hand-over needs it

    network = network.cpu().eval()
    with torch.no_grad():
        wanted = network(images).numpy()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        batch = torch.export.Dim("batch", min=1)
        names = {"input_names": ["images"], "output_names": ["logits"]}
        shapes = ({0: batch},)
        program = torch.onnx.export(network, (images,), dynamo=True, dynamic_shapes=shapes, verbose=False, **names)
        program.save(path, external_data=False)
        exported = path.read_bytes()
    got = onnx.reference.ReferenceEvaluator(onnx.load_from_string(exported)).run(None, {"images": images.numpy()})[0]
    furthest = float(np.abs(got - wanted).max() / np.abs(wanted).max())
    if not furthest <= TOLERANCE:
        raise TrainingError(
            f"export: the ONNX file's output is off by {furthest:.2g} of the largest, wanted {TOLERANCE}"
        )
    return exported
