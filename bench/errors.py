"""Errors: exception classes, messages for the user and exit codes."""

from __future__ import annotations

import errno
import os
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

OUT_OF_MEMORY = ("can't allocate memory", "Cannot allocate memory", "CUDA out of memory", "MemoryError")
KEPT = "what was logged up to here is kept"
# import name of an optional package -> its name for pip, the extra that installs it
OPTIONAL = {
    "dynamic_network_architectures": ("dynamic-network-architectures", "nnunet"),
    "medmnist": ("medmnist", "medmnist"),
    "nibabel": ("nibabel", "nifti"),
    "onnx": ("onnx", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "optuna": ("optuna", "optuna"),
    "pydicom": ("pydicom", "dicom"),
    "segmentation_models_pytorch": ("segmentation-models-pytorch", "smp"),
    "tifffile": ("tifffile", "tiff"),
    "timm": ("timm", "timm"),
    "torch_pruning": ("torch-pruning", "pruning"),
    "zarr": ("zarr", "zarr"),
}
# errors that constructors of components and plugins raise for settings that they reject
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, AssertionError, NotImplementedError)


class InputError(ValueError):
    """Input of the user is wrong. The message is one line: what was found, what is allowed and how to fix it."""


class EstimationError(ValueError):
    """The quantity can't be estimated from these samples. It becomes a row with the reason."""


class EstimatorFailed(EstimationError):
    """An estimator raised an unexpected error."""


class TrainingError(RuntimeError):
    """Training can't continue, because the loss is NaN or infinite."""


class TrackingError(RuntimeError):
    """The tracking server does not answer, and something was not logged."""


class JobsFailed(RuntimeError):
    """Some jobs of a sweep failed. The other jobs were done."""


def was_stopped(error: BaseException | None) -> bool:
    """Return whether Ctrl-C caused an error.

    A library that is interrupted may raise another error while it handles the interrupt.

    Examples:
        >>> try:
        ...     try:
        ...         raise KeyboardInterrupt
        ...     finally:
        ...         raise ValueError("closed in the middle")
        ... except ValueError as error:
        ...     was_stopped(error)
        True
    """
    return any(isinstance(cause, KeyboardInterrupt) for cause in causes(error))


def missing_extra(error: BaseException, section: str) -> InputError | None:
    """Return an error that names the extra to install if an optional package is missing.

    Args:
        error: Any error. Its causes are searched too.
        section: The part of the config that needs the package, such as `model`.

    Returns:
        The error to raise, or None if no optional package is missing.

    Examples:
        >>> missing_extra(ModuleNotFoundError(name="timm"), "model")
        InputError("model: needs timm, which is not installed; pip install 'infoflow-bench[timm]'")
    """
    for cause in causes(error):
        if isinstance(cause, ModuleNotFoundError) and cause.name in OPTIONAL:
            package, extra = OPTIONAL[cause.name]
            fix = f"pip install 'infoflow-bench[{extra}]'"
            return InputError(f"{section}: needs {package}, which is not installed; {fix}")
    return None


@contextmanager
def optional(section: str) -> Iterator[None]:
    """Guard the import of optional packages.

    Args:
        section: The part of the config that needs the packages.

    Raises:
        InputError: A package is missing. The message names the extra to install.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := missing_extra(error, section):
            raise missing from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error, or one of its causes, reports that there was not enough memory."""
    for cause in causes(error):
        if isinstance(cause, MemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if type(cause).__name__ == "OutOfMemoryError":  # of torch, which is not imported here, because it takes seconds
            return True
        if any(words in str(cause) for words in OUT_OF_MEMORY):
            return True
    return False


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error, then its cause or context, then the cause of that, and so on."""
    seen = set()  # causes may form a cycle
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def explain(error: BaseException) -> tuple[int, str] | None:
    """Return the exit code and a message of one line for a known fault.

    Returns:
        The exit code and the message, or None for a defect. The code is 2 for bad input, 1 for a failure and 130 after
        a stop.
    """
    from hydra.errors import HydraException  # imported here, because the Python API does not need Hydra
    from omegaconf.errors import OmegaConfBaseException

    if isinstance(error, HydraException) and isinstance(error.__cause__, OmegaConfBaseException):
        return 2, f"{error}: {str(error.__cause__).splitlines()[0]}"
    if was_stopped(error):
        return 130, f"stopped; {KEPT}"
    if is_out_of_memory(error):
        return 1, (
            "out of memory: lower train.batch_size, probe.batch_size or probe.budget_gb, or take fewer or smaller "
            f"samples (dataset.n, dataset.size) or a smaller model; {KEPT}"
        )
    if isinstance(error, InputError | HydraException | OmegaConfBaseException):
        return 2, str(error)
    if 'Could not detect "srun"' in str(error):  # submitit has no narrower error
        return 2, "hydra/launcher: got submitit_slurm, but srun is missing; start it on a login node of the cluster"
    if isinstance(error, JobsFailed | TrackingError):
        return 1, str(error)
    if isinstance(error, TrainingError):
        return 1, f"{error}; {KEPT}"
    if getattr(error, "errno", None) == errno.ENOSPC or "database or disk is full" in str(error):
        return 1, f"disk full: make room where tracking.uri keeps runs and artifacts; {KEPT}"
    return None


def exit_with(error: BaseException) -> NoReturn:
    """End the process after an error.

    A known fault prints one line. A defect prints a traceback. With BENCH_TRACEBACK=1 every error prints a traceback.
    """
    code, line = explain(error) or (1, None)
    if line is None or os.environ.get("BENCH_TRACEBACK") == "1":
        traceback.print_exception(error)
    else:
        sys.stderr.write(f"bench: {' '.join(line.split())}\n")
    sys.exit(code)
