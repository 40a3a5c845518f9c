"""Permutations of samples for nulls. Samples of one group, such as the images of a patient, stay together."""

from __future__ import annotations

import numpy as np


def permuted_groups(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation that moves whole groups. Row i gets the partner of row order[i].

    The groups are concatenated in a random order. If each sample is a group, this is a uniform permutation. If groups
    have different sizes, some of them get partners of several groups: use `donor_rows` where rows may be repeated.

    Args:
        groups: (n,) the group of each sample.
        rng: Generator of the order.

    Returns:
        order: (n,) row numbers.
    """
    names, group = np.unique(groups, return_inverse=True)
    place = np.argsort(rng.permutation(len(names)))  # of each group in the random order
    order = np.empty(len(groups), dtype=np.int64)
    order[np.argsort(group, kind="stable")] = np.argsort(place[group], kind="stable")
    return order


def donor_rows(groups: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw a permutation of groups. Row i gets the label of row order[i], which is a row of the donor of its group.

    A larger donor gives its first rows, and a smaller one repeats its rows. So a label that is the same in each group
    remains so. With `permuted_groups`, groups of different sizes would get labels of several groups, and a null that is
    too low. For groups of equal size both draw the same.

    Args:
        groups: (n,) the group of each sample.
        rng: Generator of the donors.

    Returns:
        order: (n,) row numbers.

    Examples:
        >>> donor_rows(np.array(["a", "a", "a", "b", "b"]), np.random.default_rng(3))
        array([3, 4, 3, 0, 1])
    """
    names, group = np.unique(groups, return_inverse=True)
    members = [np.flatnonzero(group == one) for one in range(len(names))]
    order = np.empty(len(groups), dtype=np.int64)
    for own, donor in zip(members, rng.permutation(len(names)), strict=True):
        order[own] = np.resize(members[donor], len(own))
    return order
