"""Data, Split and Volumes: a dataset in memory, in a fixed order."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch

from bench.datasets.class_names import check_classes
from bench.errors import InputError

Task = Literal["segmentation", "classification", "multilabel", "reconstruction"]
SPLITS = ("train", "val", "test")
TOLERANCE = 2.0  # of the normalised surface Dice, in millimetres


@dataclass(frozen=True)
class Split:
    """Samples of one split, in memory and in a fixed order.

    Attributes:
        images: (n, channels, *spatial) float32.
        targets: int64: (n, *spatial) class masks, (n,) classes, or (n, labels) of 0 and 1. For reconstruction float32,
            the images to reconstruct.
        groups: (n,) the group of each sample, such as a patient. Without groups, each sample is a group.
        names: n names for messages and tables.
        spacing: (n, axes) the size of a pixel along each axis in millimetres, or None if it is not known.
    """

    images: torch.Tensor
    targets: torch.Tensor
    groups: np.ndarray
    names: tuple[str, ...]
    spacing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows) -> Split:
        """Return the samples of some rows."""
        rows = np.asarray(rows)
        index = torch.from_numpy(rows)
        names = tuple(self.names[row] for row in rows)
        spacing = None if self.spacing is None else self.spacing[rows]
        return Split(self.images[index], self.targets[index], self.groups[rows], names, spacing)

    @staticmethod
    def join(*splits: Split) -> Split:
        """Return the samples of several splits in one."""
        spacings = [split.spacing for split in splits if split.spacing is not None]
        return Split(
            torch.cat([split.images for split in splits]),
            torch.cat([split.targets for split in splits]),
            np.concatenate([split.groups for split in splits]),
            tuple(name for split in splits for name in split.names),
            np.concatenate(spacings) if len(spacings) == len(splits) else None,
        )


@dataclass(frozen=True)
class Volumes:
    """Volumes, or large pictures, of one split, of different sizes. A `Split` with the same names has a patch of each.

    Attributes:
        images: n arrays (channels, *spatial) float32.
        targets: n class masks (*spatial) int64.
        groups: (n,) the group of each volume.
        names: n names.
        spacing: (n, axes) as in `Split`.
    """

    images: tuple[torch.Tensor, ...]
    targets: tuple[torch.Tensor, ...]
    groups: np.ndarray
    names: tuple[str, ...]
    spacing: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.images)

    def take(self, rows) -> Volumes:
        """Return the volumes of some rows."""
        images, targets, names = (tuple(each[row] for row in rows) for each in (self.images, self.targets, self.names))
        return Volumes(images, targets, self.groups[rows], names, None if self.spacing is None else self.spacing[rows])


def in_regions(targets: torch.Tensor, regions: dict[str, tuple[int, ...]]) -> torch.Tensor:
    """Return which pixels are in each region: class masks (n, *spatial) to (n, regions, *spatial) of 0 and 1.

    Examples:
        >>> in_regions(torch.tensor([[0, 1, 2]]), {"whole": (1, 2), "core": (2,)}).tolist()
        [[[0.0, 1.0, 1.0], [0.0, 0.0, 1.0]]]
    """
    return torch.stack([torch.stack([targets == n for n in each]).any(0) for each in regions.values()], dim=1).float()


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
        for image, name in zip(whole.images, whole.names, strict=True):
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

    @property
    def fingerprint(self) -> str:
        """Compute a hash of all images, targets, groups and splits."""
        digest = hashlib.sha256()
        for name, split in self.splits.items():
            digest.update(f"{name}{tuple(split.images.shape)}{list(split.groups)}{self.regions or ''}".encode())
            whole = self.whole(name)
            volumes = [*whole.images, *whole.targets] if self.volumes else []
            if whole.spacing is not None:
                sides = [f"{side:.4g}" for side in whole.spacing.flatten()]  # formats store other numbers of digits
                digest.update(f"{sides} {self.tolerance}".encode())
            for tensor in (split.images, split.targets, *volumes):
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
            pixels = torch.cat([mask.flatten() for name in self.splits for mask in self.whole(name).targets])
            card["foreground_share"] = float((pixels > 0).float().mean())
        if (spacing := self.whole("train").spacing) is not None:
            card["spacing_mm"] = np.median(spacing, axis=0).round(6).tolist()
        if self.volumes:
            sizes = [tuple(mask.shape) for volumes in self.volumes.values() for mask in volumes.targets]
            card["volumes"] = {"smallest": np.min(sizes, axis=0).tolist(), "largest": np.max(sizes, axis=0).tolist()}
        return card
