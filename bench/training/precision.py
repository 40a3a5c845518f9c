"""Precision and compilation: the settings that make a training step faster."""

from __future__ import annotations

import os
import shutil

import torch

from bench.errors import InputError


def precision(amp: bool | str, device: torch.device) -> torch.dtype | None:
    """Return the type of numbers that mixed precision uses beside float32, or None without mixed precision.

    Args:
        amp: `bf16`, `fp16` (with a scaled loss), `off` or False. True is `fp16` on a GPU and `off` on the CPU.
        device: The device of the network.

    Examples:
        >>> precision(True, torch.device("cpu")), precision("bf16", torch.device("cpu"))
        (None, torch.bfloat16)
    """
    if amp is True:
        return torch.float16 if device.type == "cuda" else None
    return {"bf16": torch.bfloat16, "fp16": torch.float16}.get(str(amp))


def mixed(amp: bool | str, device: torch.device) -> torch.autocast:
    """Return the context in which a network computes in mixed precision, or as usual if `precision` is None."""
    dtype = precision(amp, device)
    return torch.autocast(device.type, dtype, enabled=dtype is not None)


def check_compiler(device: torch.device) -> None:
    """Raise InputError if torch.compile can't produce code for a device, because there is no C++ compiler."""
    compiler = os.environ.get("CXX", "g++")
    if device.type == "cpu" and shutil.which(compiler) is None:
        raise InputError(
            f"train.compile: got true, which needs a C++ compiler on the CPU, but {compiler} is not installed; install "
            "it, set CXX to another one, or set train.compile=false"
        )
