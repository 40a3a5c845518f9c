"""InfoFlow Bench: how information flows through networks for medical images, and how far to believe it."""

from __future__ import annotations

from bench.config.load import load

__all__ = ["load"]
