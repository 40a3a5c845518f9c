"""Tracking: write runs and their files to a local or remote MLflow store, and read them back.

MLflow takes seconds to load, so it loads when one of these names is first used.
"""

import logging
import os

import lazy_loader

# Settings of MLflow, unless the environment has others. Requests to an unreachable server are repeated for about 12 s,
# not for minutes, because writes can wait in files.
SETTINGS = {
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "3",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "60",  # seconds
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # runs and sweeps print their own address
}
for variable, value in SETTINGS.items():
    os.environ.setdefault(variable, value)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submod_attrs={
        "offline.writes": ["FINGERPRINT"],
        "runs": ["COLLAPSED", "DESIGN", "MISSED", "REUSED", "SWEEP", "Run", "ended", "png"],
        "starting": ["create", "resume", "resumed", "started"],
        "store": ["connect"],
    },
)

logging.getLogger("alembic").setLevel(logging.WARNING)  # set before MLflow, which MONAI may load, imports alembic
