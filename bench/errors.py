"""Errors: what can go wrong, what the user is told, and the exit code."""

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
# optional packages, as they are imported -> their name for pip, the extra that installs them
OPTIONAL = {
    "medmnist": ("medmnist", "medmnist"),
    "nibabel": ("nibabel", "nifti"),
    "onnx": ("onnx", "onnx"),
    "onnxscript": ("onnxscript", "onnx"),
    "segmentation_models_pytorch": ("segmentation-models-pytorch", "smp"),
    "timm": ("timm", "timm"),
}
# what constructors of components and plugins raise for settings that they refuse or do not expect
REFUSALS = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, AssertionError, NotImplementedError)


class InputError(ValueError):
    """Something the user gave is wrong: one line that says got, wanted and fix."""


class EstimationError(ValueError):
    """This quantity can't be estimated from these samples; becomes a row with its reason."""


class EstimatorFailed(EstimationError):
    """An estimator ended in an error that it does not raise on purpose."""


class TrainingError(RuntimeError):
    """Training can't go on: the loss is NaN or infinite."""


class TrackingError(RuntimeError):
    """The tracking server is away; what was to be logged is not there."""


class JobsFailed(RuntimeError):
    """Jobs of a sweep failed; the others were done."""


def was_stopped(error: BaseException | None) -> bool:
    """Whether a Ctrl-C is behind an error: a library interrupted halfway may raise one of its own on top.

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
    """An error that names the extra to install, where an optional package is missing.

    Args:
        error: any error; its causes are searched too.
        section: what needs the package, such as `model`.

    Returns:
        The error to raise; None where no optional package is missing.

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
    """Import optional packages inside; raises InputError with the extra to install where one is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if missing := missing_extra(error, section):
            raise missing from error
        raise


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error, or one of its causes, says that there was not enough memory."""
    from torch import OutOfMemoryError  # here, because it takes seconds that tab completion would wait for

    for cause in causes(error):
        if isinstance(cause, MemoryError | OutOfMemoryError) or getattr(cause, "errno", None) == errno.ENOMEM:
            return True
        if any(words in str(cause) for words in OUT_OF_MEMORY):
            return True
    return False


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that it was raised from or on top of, the last first."""
    seen = set()  # causes may go round in a circle
    while error is not None and id(error) not in seen:
        yield error
        seen.add(id(error))
        error = error.__cause__ or error.__context__


def explain(error: BaseException) -> tuple[int, str] | None:
    """Exit code and one line for a known fault, None for a defect: 2 bad input, 1 failed, 130 stopped."""
    from hydra.errors import HydraException  # here, because the Python API does without Hydra
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
    if 'Could not detect "srun"' in str(error):  # of submitit, which has no narrower error
        return 2, "hydra/launcher: got submitit_slurm, and srun is not here; start it on a login node of the cluster"
    if isinstance(error, JobsFailed | TrackingError):
        return 1, str(error)
    if isinstance(error, TrainingError):
        return 1, f"{error}; {KEPT}"
    if getattr(error, "errno", None) == errno.ENOSPC or "database or disk is full" in str(error):
        return 1, f"disk full: make room where tracking.uri keeps runs and artifacts; {KEPT}"
    return None


def leave(error: BaseException) -> NoReturn:
    """End the process: with one line for a known fault, with a traceback for a defect or where it was asked for."""
    code, line = explain(error) or (1, None)
    if line is None or os.environ.get("BENCH_TRACEBACK") == "1":
        traceback.print_exception(error)
    else:
        sys.stderr.write(f"bench: {' '.join(line.split())}\n")
    sys.exit(code)
