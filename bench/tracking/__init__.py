"""Tracking: write runs and their files to a local or remote MLflow store, and read them back.

MLflow takes seconds to load, so it loads when one of these names is first used.
"""

import logging

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "offline.writes": ["FINGERPRINT"],
        "runs": ["DESIGN", "REUSED", "SWEEP", "Run", "create", "ended", "png", "started", "resumed"],
        "store": ["connect"],
    },
)

logging.getLogger("alembic").setLevel(logging.WARNING)  # set before MLflow, which MONAI may load, imports alembic
