"""Known truth: distributions of pairs of variables with known mutual information, one file per family."""

from bench.known_truth.base import Benchmark
from bench.known_truth.discretised import Discretised
from bench.known_truth.dose_response import with_calibrated_bits
from bench.known_truth.gaussian import Gaussian
from bench.known_truth.images import Blob
from bench.known_truth.mixture import Mixture
from bench.known_truth.pairs import Pairs
from bench.known_truth.planted import channel_bits, plant
from bench.known_truth.quantised import Quantised
from bench.known_truth.response import with_response
from bench.known_truth.student import Student
from bench.known_truth.transformed import Transformed
from bench.known_truth.uniform import AdditiveUniform

__all__ = [
    "AdditiveUniform",
    "Benchmark",
    "Blob",
    "Discretised",
    "Gaussian",
    "Mixture",
    "Pairs",
    "Quantised",
    "Student",
    "Transformed",
    "channel_bits",
    "plant",
    "with_calibrated_bits",
    "with_response",
]
