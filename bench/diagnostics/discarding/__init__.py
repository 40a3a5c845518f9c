"""Information discarding: what each layer throws away of an image, cell by cell."""

from bench.diagnostics.discarding.published import PublishedDescent
from bench.diagnostics.discarding.reconstruction import Decoders
from bench.diagnostics.discarding.strict import Discarding, strict_information_discarding
from bench.diagnostics.discarding.water_filling import WaterFilling

__all__ = ["Decoders", "Discarding", "PublishedDescent", "WaterFilling", "strict_information_discarding"]
