"""Folds: cross-validation, in which each sample of a dataset is a test sample once."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bench.datasets.common import list_values, refuse_damage
from bench.datasets.data import SPLITS, Data
from bench.datasets.index import AUTO, read_csv, require_columns
from bench.datasets.splits import Volumes
from bench.errors import InputError

Folds = int | str
QUARTERS = (0.25, 0.5, 0.75)
FILE = ".json"  # ending of a file of nnU-Net, in place of a column


class Samples(NamedTuple):
    """Names and groups of the samples of all splits, in the order of `data.split("all")`."""

    names: tuple[str, ...]
    groups: np.ndarray


def with_fold(data: Data, folds: Folds, fold: int | None, seed: int = 0, index: Path | None = None) -> Data:
    """Return the data with the split of one fold in place of their own split.

    The test split has the samples of this fold. A share of the other groups is the validation split, as large as it is
    in the data's own split and stratified as the folds are. Folds do not depend on the data's own split.

    Args:
        data: The dataset.
        folds: Number of folds; the column of the index with the number of each sample's fold; or the
            splits_final.json of nnU-Net.
        fold: Number of the fold.
        seed: Seed of the folds and of the validation split.
        index: The csv that has the column.

    Raises:
        InputError: There is no such fold, or the folds do not fit the data.

    Examples:
        >>> from bench.datasets.phantoms import phantoms
        >>> data = phantoms(n=(6, 2, 2), size=16)
        >>> [len(split) for split in with_fold(data, folds=5, fold=0).splits.values()]
        [6, 2, 2]
    """
    samples = data.split("all")
    assigned = assign_folds(data, folds, seed, index)
    known = np.unique(assigned).tolist()
    if fold is None or fold not in known:
        shown = ",".join(map(str, known))
        wanted = f"wanted one of {list_values(known)} for folds={folds}"
        raise InputError(f"fold: got {fold}, {wanted}; write fold={known[0]}, or -m fold={shown} for all of them")
    order = np.argsort(samples.names)
    rest = order[assigned[order] != fold]
    shares = [len(set(data.splits[name].groups)) for name in ("train", "val")]
    held = _draw_val(
        samples.groups[rest], _strata(data)[rest], shares[1] / sum(shares), np.random.default_rng([seed, fold])
    )
    rows = {"train": rest[~held], "val": rest[held], "test": order[assigned[order] == fold]}
    whole = Volumes.join(*(data.volumes[name] for name in SPLITS)) if data.volumes else None
    volumes = {name: whole.take(rows[name]) for name in SPLITS} if whole else None
    train, val, test = (samples.take(rows[name]) for name in SPLITS)
    return replace(data, train=train, val=val, test=test, volumes=volumes)


def assign_folds(data: Data, folds: Folds, seed: int = 0, index: Path | None = None) -> np.ndarray:
    """Return the number of the fold of each sample of all splits, in the order of `data.split("all")`.

    Folds that are drawn are of similar size. Groups stay whole. Folds are stratified by class, or for masks by the
    classes that a mask has and by its share of foreground.

    Args:
        data: The dataset.
        folds: As in `with_fold`.
        seed: Seed of the folds.
        index: The csv that has the column.

    Raises:
        InputError: The folds do not fit the data.
    """
    samples = _samples(data)
    if len(set(samples.names)) < len(samples.names):
        names, counts = np.unique(samples.names, return_counts=True)
        raise InputError(
            f"folds: dataset {data.name} has {counts.max()} samples with the name {names[counts.argmax()]}, wanted "
            "names that differ, by which the folds are paired; rename them"
        )
    if isinstance(folds, str):
        assigned = _of_file(data, samples, Path(folds)) if folds.endswith(FILE) else _of_column(samples, folds, index)
        for group in np.unique(samples.groups):
            if len(several := np.unique(assigned[samples.groups == group])) > 1:
                got = f"got {group} in the folds {list_values(several)} of {folds}"
                raise InputError(f"folds: {got}, wanted each patient or other group in one fold; correct the file")
        return assigned
    groups = len(set(samples.groups))
    if folds > groups:
        raise InputError(
            f"folds: got {folds}, wanted at most {groups}: dataset {data.name} has {len(samples.names)} samples of "
            f"{groups} patients or other groups, which stay whole; lower folds"
        )
    order = np.argsort(samples.names)
    assigned = np.empty(len(order), int)
    assigned[order] = _draw_folds(_strata(data)[order], samples.groups[order], folds, seed)
    if len(np.unique(assigned)) < folds:
        raise InputError(f"folds: got {folds}, but groups stay whole, and some folds would have no sample; lower folds")
    return assigned


def _samples(data: Data) -> Samples:
    """Return the names and groups of all samples, without a copy of their images."""
    splits = [data.splits[name] for name in SPLITS]
    names = tuple(name for split in splits for name in split.names)
    return Samples(names, np.concatenate([split.groups for split in splits]))


def _draw_folds(strata: np.ndarray, groups: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """Draw the fold of each sample. Strata with fewer samples than folds count as one."""
    from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold  # here, because it takes a second to load

    _, at, counts = np.unique(strata, return_inverse=True, return_counts=True)
    strata = np.where(counts[at] < folds, -1, at)
    alone = len(set(groups)) == len(groups)
    drawn = (StratifiedKFold if alone else StratifiedGroupKFold)(folds, shuffle=True, random_state=seed)
    assigned = np.empty(len(groups), int)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # about the stratum of the samples that are left over
        for fold, (_, test) in enumerate(drawn.split(strata, strata, groups)):
            assigned[test] = fold
    return assigned


def _draw_val(groups: np.ndarray, strata: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Choose all samples of a share of the groups, evenly from the strata of the first samples of the groups."""
    members, first = np.unique(groups, return_index=True)
    if len(members) < 2:
        raise InputError(f"folds: a fold leaves {len(members)} group for training and validation, wanted 2 or more")
    count = min(max(1, round(share * len(members))), len(members) - 1)
    order = rng.permutation(len(members))
    order = order[np.argsort(strata[first][order], kind="stable")]
    return np.isin(groups, members[order[((np.arange(count) + 0.5) * len(members) / count).astype(int)]])


def _strata(data: Data) -> np.ndarray:
    """Return the stratum of each sample of all splits: its class, or the classes and the foreground of its mask."""
    if data.task == "reconstruction":
        return np.zeros(sum(map(len, data.splits.values())), int)
    targets = (target for name in SPLITS for target in data.whole(name).targets)
    if data.task == "segmentation":
        counts = np.stack([torch.bincount(mask.flatten(), minlength=len(data.classes)).numpy() for mask in targets])
        share = 1 - counts[:, 0] / counts.sum(axis=1)
        kinds = np.column_stack([counts > 0, np.searchsorted(np.quantile(share, QUARTERS), share)])
    else:
        kinds = np.stack([np.atleast_1d(target.numpy()) for target in targets])
    return np.unique(kinds, axis=0, return_inverse=True)[1].reshape(-1)


def _of_column(samples: Samples, column: str, index: Path | None) -> np.ndarray:
    """Read the fold of each sample from a column of the index."""
    if index is None:
        raise InputError(
            f"folds: got {column!r}, and this dataset has no index with columns, wanted a number or a splits_final.json"
        )
    table = read_csv(index)
    require_columns(table, [column], index, "folds")
    keys = [key for key in table if set(samples.names) <= set(table[key])]
    if not keys:
        raise InputError(
            f"{index}: no column has the names of all samples, such as {samples.names[0]}; correct the csv"
        )
    found = table.drop_duplicates(keys[0]).set_index(keys[0]).loc[list(samples.names)][column]
    if len(wrong := found[~found.str.fullmatch(r"\d{1,6}")]):
        got = f"got {column} {wrong.iloc[0]!r} of {wrong.index[0]}"
        raise InputError(f"{index}: {got}, wanted the number of a fold; correct the csv")
    if found.nunique() < 2:
        raise InputError(f"{index}: got the single fold {found.iloc[0]} in {column}, wanted 2 or more; correct the csv")
    return found.to_numpy(int)


def _of_file(data: Data, samples: Samples, path: Path) -> np.ndarray:
    """Read the fold of each sample from a file of nnU-Net, which names samples or their groups."""
    if not path.is_file():
        raise InputError(f"folds: got {path}, which is no file; set it to the splits_final.json of nnU-Net")
    with refuse_damage(path, "a list of folds with train and val", "correct it"):
        content = [
            {part: set(map(str, each[part])) for part in ("train", "val")} for each in json.loads(path.read_text())
        ]
    everything = set().union(*(each["val"] for each in content))
    cases = [
        name if name in everything else str(group) for name, group in zip(samples.names, samples.groups, strict=True)
    ]
    held: dict[str, int] = {}
    for fold, each in enumerate(content):
        if twice := sorted(each["val"] & held.keys()):
            raise InputError(f"{path}: {twice[0]} is in val of the folds {held[twice[0]]} and {fold}, wanted it in one")
        held |= dict.fromkeys(each["val"], fold)
    if missing := sorted(set(cases) - held.keys()):
        raise InputError(
            f"{path}: {list_values(missing, 3)} of dataset {data.name} is in val of no fold, wanted each sample in "
            "one; correct the file, or remove these samples"
        )
    for fold, each in enumerate(content):
        if wrong := sorted(set(cases) - each["val"] - each["train"]):
            raise InputError(
                f"{path}: fold {fold} has {list_values(wrong, 3)} neither in train nor in val, wanted each sample in "
                "one of them; correct the file"
            )
    return np.array([held[case] for case in cases])


def index_of(dataset: Mapping) -> Path | None:
    """Return the csv of the samples that the config of a dataset names, or None.

    Examples:
        >>> index_of({"root": "data/cardiac", "index": "auto"}).as_posix(), index_of({"n": 3})
        ('data/cardiac/index.csv', None)
    """
    name = dataset.get("index")
    if not dataset.get("root") or not name:
        return None
    return Path(dataset["root"]) / ("index.csv" if name == AUTO else name)
