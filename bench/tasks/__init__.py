"""Known truth: pairs of variables made from the mutual information they are wanted to have, one file per family."""

from bench.tasks.base import Task
from bench.tasks.discretised import Discretised
from bench.tasks.gaussian import Gaussian
from bench.tasks.images import Blob
from bench.tasks.mixture import Mixture
from bench.tasks.planted import channel_bits, plant
from bench.tasks.response import with_response
from bench.tasks.student import Student
from bench.tasks.transformed import Transformed
from bench.tasks.uniform import AdditiveUniform

__all__ = [
    "AdditiveUniform",
    "Blob",
    "Discretised",
    "Gaussian",
    "Mixture",
    "Student",
    "Task",
    "Transformed",
    "channel_bits",
    "plant",
    "with_response",
]
