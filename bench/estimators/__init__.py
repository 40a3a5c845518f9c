"""Estimators of mutual information, one file each; all report bits with null, ceiling and interval."""

from bench.estimators.base import Estimator
from bench.estimators.binning import Binning
from bench.estimators.kde import KDE
from bench.estimators.renyi import Renyi

__all__ = ["KDE", "Binning", "Estimator", "Renyi"]
