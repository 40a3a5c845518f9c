"""Data: a dataset with its splits, for training and measurements."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
import torch

from bench.datasets.class_names import Task, check_classes
from bench.datasets.splits import Split, Volumes
from bench.datasets.storage import BLOCK, Samples, Stored
from bench.datasets.stored_volumes import Files
from bench.errors import InputError

SPLITS = ("train", "val", "test")
TOLERANCE = 2.0  # of the normalised surface Dice, in millimetres


@dataclass(frozen=True)
class Data:
    """A dataset for training and measurements.

    Attributes:
        name: Name of the dataset.
        task: Task of the dataset.
        classes: Names of the classes. For segmentation the background is first.
        train: Training split.
        val: Validation split.
        test: Test split.
        augment: MONAI transform of training samples, from {"image": (C, *spatial), "mask": (1, *spatial)} (without mask
            for classification) to the same. `set_random_state(seed)` seeds it for each sample.
        volumes: Volumes by split, if the samples are patches. Training then draws patches of them by `augment`, and
            accuracy is of whole volumes.
        regions: Regions that may overlap, with the numbers of their classes. Outputs and accuracy then are of regions.
        tolerance: Largest distance in millimetres at which surfaces agree, for the normalised surface Dice (NSD).
        licence: Licence of the data.
        source: Where the data come from.
        splits: The splits by name.

    Raises:
        InputError: A split is empty or has no foreground, pixels are not finite, or a name of a class is not allowed.
    """

    name: str
    task: Task
    classes: tuple[str, ...]
    train: Split
    val: Split
    test: Split
    augment: Callable[[dict], dict] | None = None
    volumes: dict[str, Volumes] | None = None
    regions: dict[str, tuple[int, ...]] | None = None
    tolerance: float = TOLERANCE
    licence: str = "unknown"
    source: str = ""
    splits: dict[str, Split] = field(init=False, repr=False)

    def __post_init__(self):
        splits = {name: getattr(self, name) for name in SPLITS}
        for name, split in splits.items():
            if len(split) == 0:
                raise InputError(
                    f"dataset {self.name}: the {name} split is empty, wanted at least one sample; "
                    "give it samples in the split column or a larger share"
                )
        object.__setattr__(self, "splits", splits)
        check_classes(self.name, self.task, self.classes)
        check_classes(self.name, self.task, tuple(self.regions or ()))
        for name in SPLITS:
            self._check_values(name)

    def _check_values(self, split: str) -> None:
        """Raise InputError if pixels are not finite, or if no mask of the split has foreground."""
        whole = self.whole(split)
        known = isinstance(whole.images, Stored | Files) and whole.images.finite
        for image, name in () if known else zip(whole.images, whole.names, strict=True):
            if not torch.isfinite(image).all():
                raise InputError(
                    f"dataset {self.name}: {name} has NaN or infinite pixels after scaling, wanted numbers; change "
                    "dataset.intensity, or remove the image"
                )
        if self.task == "segmentation" and not any(bool((mask > 0).any()) for mask in whole.targets):
            raise InputError(
                f"dataset {self.name}: no mask of the {split} split has foreground, wanted some in each split; correct "
                "the masks, or change dataset.size, dataset.crop or the split"
            )

    def split(self, name: str) -> Split:
        """Return a split by name. `trainval` and `all` join splits in the order train, val, test."""
        match name:
            case "trainval":
                return Split.join(self.train, self.val)
            case "all":
                return Split.join(*self.splits.values())
        return self.splits[name]

    def whole(self, name: str) -> Split | Volumes:
        """Return the data of a split for training and evaluation: its volumes, or its samples if there are none."""
        return self.volumes[name] if self.volumes else self.splits[name]

    @property
    def channels(self) -> int:
        """Return the number of channels of an image."""
        return self.train.images.shape[1]

    @property
    def image_size(self) -> tuple[int, ...]:
        """Return the spatial size of an image."""
        return tuple(self.train.images.shape[2:])

    @property
    def outputs(self) -> int:
        """Return the number of output channels of a network for these data, 1 for a binary mask."""
        binary_mask = self.task == "segmentation" and len(self.classes) == 2
        return len(self.regions) if self.regions else 1 if binary_mask else len(self.classes)

    @cached_property
    def fingerprint(self) -> str:
        """Compute a hash of all images, targets, groups and splits."""
        digest = hashlib.sha256()
        for name, split in self.splits.items():
            digest.update(f"{name}{tuple(split.images.shape)}{list(split.groups)}{self.regions or ''}".encode())
            whole = self.whole(name)
            if whole.spacing is not None:
                sides = [f"{side:.4g}" for side in whole.spacing.flatten()]  # formats store other numbers of digits
                digest.update(f"{sides} {self.tolerance}".encode())
            volumes = (whole.images, whole.targets) if self.volumes else ()
            for samples in (split.images, split.targets, *volumes):
                for tensor in _batches(samples):
                    digest.update(np.ascontiguousarray(tensor.numpy()).data)
        return digest.hexdigest()[:16]

    def card(self) -> dict:
        """Describe the data: counts, shape, classes, share of foreground, licence and fingerprint."""
        card: dict[str, object] = {
            "name": self.name,
            "task": self.task,
            "n": {name: len(split) for name, split in self.splits.items()},
            "groups": {name: len(set(split.groups)) for name, split in self.splits.items()},
            "shape": list(self.train.images.shape[1:]),
            "classes": list(self.classes),
            "licence": self.licence,
            "source": self.source,
            "fingerprint": self.fingerprint,
        }
        if self.task == "segmentation":
            card |= {"regions": self.regions} if self.regions else {}
            card["foreground_share"] = self._foreground_share()
        if (spacing := self.whole("train").spacing) is not None:
            card["spacing_mm"] = np.median(spacing, axis=0).round(6).tolist()
        if self.volumes:
            sizes = [tuple(mask.shape) for volumes in self.volumes.values() for mask in volumes.targets]
            card["volumes"] = {"smallest": np.min(sizes, axis=0).tolist(), "largest": np.max(sizes, axis=0).tolist()}
        return card

    def _foreground_share(self) -> float:
        foreground = pixels = 0
        for name in self.splits:
            for masks in _batches(self.whole(name).targets):
                foreground, pixels = foreground + int((masks > 0).sum()), pixels + masks.numel()
        return float(torch.tensor(foreground, dtype=torch.float32) / pixels)


def _batches(samples: Samples | Sequence[torch.Tensor]) -> Iterator[torch.Tensor]:
    """Yield all samples in their order, several at once if they have one size."""
    yield from samples.split(BLOCK) if isinstance(samples, torch.Tensor | Stored) else samples
