"""Estimators of mutual information, one file each. All values are in bits.

A function returns the number alone, for plain arrays. A class of the same estimator returns an Estimate, with the null,
the interval and the ceiling of the number; `Estimator.estimate` has the arguments. The functions are

- `binning`: plug-in entropy of binned activations.
- `critic`: neural lower bounds InfoNCE, NWJ, MINE and SMILE on held-out samples.
- `gaussian`: canonical correlations, exact for Gaussian variables.
- `kde`: pairwise-distance bounds of the entropy of activations with Gaussian noise.
- `ksg`: neighbour counts of Kraskov, Stögbauer and Grassberger, also for labels, ties and a third variable.
- `latent`: `ksg` of held-out samples, in few columns of autoencoders that predict each other.
- `lnc`: `ksg` with local non-uniformity correction, for strong dependence of few columns.
- `matched`: `ksg` and `lnc` of matched pairs of columns, for strong dependence of several columns.
- `probe`: lower bound by a probe on held-out samples (V-information), also the gain over a third variable.
- `renyi`: entropies of Gram matrices, also with a third variable.
- `variates`: `ksg` of canonical variates of held-out samples, for few informative directions among many columns.

The classes are `Binning`, `Critic`, `Gaussian`, `KDE`, `KSG`, `Latent`, `LNC`, `Matched`, `VInformation` (of `probe`),
`Renyi` and `Variates`, each an `Estimator`. To add an estimator, write a function and a subclass of
`resampled.Resampled`, whose `statistic` is a `statistic.FunctionStatistic` of the function. If permutations should be
fast, write a subclass of `statistic.Statistic` instead.
"""

from bench.estimators.base import Estimator
from bench.estimators.binning import Binning, binning
from bench.estimators.critic import Critic, critic
from bench.estimators.gaussian import Gaussian, gaussian
from bench.estimators.kde import KDE, kde
from bench.estimators.ksg import KSG, ksg
from bench.estimators.latent import Latent, latent
from bench.estimators.lnc import LNC, lnc
from bench.estimators.matched import Matched, matched
from bench.estimators.renyi import Renyi, renyi
from bench.estimators.v_information import VInformation, probe
from bench.estimators.variates import Variates, variates

__all__ = [
    "KDE",
    "KSG",
    "LNC",
    "Binning",
    "Critic",
    "Estimator",
    "Gaussian",
    "Latent",
    "Matched",
    "Renyi",
    "VInformation",
    "Variates",
    "binning",
    "critic",
    "gaussian",
    "kde",
    "ksg",
    "latent",
    "lnc",
    "matched",
    "probe",
    "renyi",
    "variates",
]
