"""Tracking: runs and their files in MLflow, beside the command or over the network, written and read back.

MLflow takes seconds to load, and so it loads when one of these names is used.
"""

import logging

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "offline.writes": ["FINGERPRINT"],
        "runs": ["DESIGN", "REUSED", "SWEEP", "Run", "create", "ended", "png", "started", "taken_up"],
        "store": ["connect"],
    },
)

logging.getLogger("alembic").setLevel(logging.WARNING)  # before MONAI loads MLflow, and MLflow loads it
