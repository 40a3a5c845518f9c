"""Sizes: refuse networks that do not fit in memory, while they are built."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch
from hydra.errors import InstantiationException
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.nn.parameter import is_lazy

from bench.errors import InputError

COPIES = 4  # arrays of the size of the parameters while Adam trains them: parameters, gradients, two moments
MOST_TENSORS = 5_000
TOO_LARGE = ("allocate memory", "overflow", "Storage size", "numel: integer multiplication")


@contextmanager
def limit_memory() -> Iterator[None]:
    """Refuse a network that is built inside this context and is too large.

    The check runs when a parameter is registered, before it is filled.

    Raises:
        InputError: If training the network does not fit in the free memory, or if it has too many tensors.
    """
    free = psutil.virtual_memory().available
    built = tensors = 0

    def count(_module, name: str, parameter: torch.nn.Parameter | None) -> None:
        nonlocal built, tensors
        if parameter is None or parameter.is_meta or is_lazy(parameter):
            return
        built, tensors = built + parameter.numel() * parameter.element_size(), tensors + 1
        if COPIES * built > free:
            raise InputError(
                f"model: got parameters of {built / 1e9:.3g} GB or more, and training takes {COPIES} times as much, "
                f"wanted at most the {free / 1e9:.3g} GB of free memory; make the network smaller"
            )
        if tensors > MOST_TENSORS:
            raise InputError(f"model: got more than {MOST_TENSORS} parameter tensors; give the network fewer layers")

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    except (RuntimeError, InstantiationException) as error:  # PyTorch raises it for a tensor larger than any memory
        cause = error.__cause__ if isinstance(error, InstantiationException) else error
        if not any(words in str(cause) for words in TOO_LARGE):
            raise
        reason = " ".join(str(cause).split())
        raise InputError(f"model: does not fit in memory ({reason}); make the network smaller") from error
    finally:
        handle.remove()
