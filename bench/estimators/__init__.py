"""Estimators of mutual information, one file each; all report bits with null, ceiling and interval."""

from bench.estimators.base import Estimator
from bench.estimators.binning import Binning
from bench.estimators.critic import Critic
from bench.estimators.gaussian import Gaussian
from bench.estimators.kde import KDE
from bench.estimators.ksg import KSG
from bench.estimators.lnc import LNC
from bench.estimators.renyi import Renyi
from bench.estimators.v_information import VInformation

__all__ = ["KDE", "KSG", "LNC", "Binning", "Critic", "Estimator", "Gaussian", "Renyi", "VInformation"]
