"""Information discarding: the information about each cell of an image that the layers of a network discard."""

from bench.diagnostics.discarding.measures import Decoders, Discarding, strict_information_discarding
from bench.diagnostics.discarding.optimization import PublishedDescent
from bench.diagnostics.discarding.water_filling import WaterFilling

__all__ = ["Decoders", "Discarding", "PublishedDescent", "WaterFilling", "strict_information_discarding"]
