"""Tracking: runs and their files in MLflow, beside the command or over the network, written and read back."""

from bench.tracking.offline.writes import FINGERPRINT
from bench.tracking.runs import DESIGN, REUSED, SWEEP, Run, create, ended, png, started, taken_up

__all__ = ["DESIGN", "FINGERPRINT", "REUSED", "SWEEP", "Run", "create", "ended", "png", "started", "taken_up"]
