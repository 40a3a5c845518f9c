"""Tracking: runs and their files in MLflow, beside the command or over the network, written and read back."""

from bench.tracking.runs import DESIGN, REUSED, SWEEP, Run, create, ended, png, started, taken_up
from bench.tracking.writes import FINGERPRINT

__all__ = ["DESIGN", "FINGERPRINT", "REUSED", "SWEEP", "Run", "create", "ended", "png", "started", "taken_up"]
