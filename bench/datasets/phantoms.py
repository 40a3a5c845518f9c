"""Synthetic images of a body with organs and lesions, made of ellipses, with an adjustable difficulty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F

from bench.datasets.augment import augmentation
from bench.datasets.data import SPLITS, Data
from bench.datasets.memory import FLOAT, INT, check_memory
from bench.datasets.splits import Split
from bench.errors import InputError

KINDS = ("no lesion", "solid lesion", "ring lesion", "dark lesion", "split lesion")
MOST_CLASSES = {"segmentation": 8, "classification": len(KINDS)}
WORK, WORK_OF_CHANNEL = 12, 4  # float64 arrays of the size of an image while a split is drawn: in all, and per channel
BODY, ORGAN, LESION = 0.3, 0.3, 0.6  # grey of the body, and grey that organs and lesions add to it


def phantoms(
    task: Literal["segmentation", "classification"] = "segmentation",
    classes: int = 2,
    n: Sequence[int] = (160, 128, 64),
    size: int = 64,
    channels: int = 1,
    difficulty: float = 0.5,
    seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Draw images (channels, size, size) in [0, 1] in which every structure is known.

    Args:
        task: `segmentation` into background and organ (2 classes), into background, organ and lesion (3), or with more
            kinds of organ; or `classification` of the lesion: none, solid, ring, dark or split.
        classes: Number of classes. In classification they have equal shares.
        n: Number of samples in train, val and test.
        size: Side of an image in pixels.
        channels: Number of channels.
        difficulty: 0 to 1. It lowers the contrast and raises noise, texture and bias field. The anatomy of a seed does
            not change.
        seed: Seed of the images.
        augment: Any of `flips`, `rotations`, `intensity`.

    Raises:
        InputError: An option is out of range.

    Examples:
        >>> data = phantoms(classes=3, n=(8, 2, 2), size=32)
        >>> data.classes, tuple(data.train.images.shape), tuple(data.train.targets.shape)
        (('background', 'organ', 'lesion'), (8, 1, 32, 32), (8, 32, 32))
    """
    _check(task, classes, n, size, channels, difficulty, seed)
    work = WORK + WORK_OF_CHANNEL * channels
    needed = size**2 * (max(n) * work * INT + sum(n) * (channels * FLOAT + INT))
    what = f"dataset: {sum(n)} phantoms of {channels}x{size}x{size}"
    check_memory(needed, what, "lower dataset.n or dataset.size")
    splits = {}
    for number, (part, count) in enumerate(zip(SPLITS, n, strict=True)):
        rng = np.random.default_rng([seed, number])
        labels = rng.permutation(np.arange(count) % classes) if task == "classification" else np.ones(count, int)
        organs = max(classes - 2, 1) if task == "segmentation" else 1
        body, added, mask = _draw_anatomy(rng, labels, organs, size)
        images = _draw_images(rng, body, added, channels, difficulty)
        targets = mask.clip(max=classes - 1) if task == "segmentation" else labels
        names = tuple(f"{part}-{row:04d}" for row in range(count))
        splits[part] = Split(
            torch.from_numpy(images), torch.from_numpy(targets.astype(np.int64)), np.array(names), names
        )
    return Data(
        name="phantoms",
        task=task,
        classes=_class_names(task, classes),
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        augment=augmentation(augment, spatial_dims=2),
        licence="CC0-1.0",
        source="bench.datasets.phantoms",
    )


def _class_names(task: str, classes: int) -> tuple[str, ...]:
    if task == "classification":
        return KINDS[:classes]
    if classes <= 3:
        return ("background", "organ", "lesion")[:classes]
    return ("background", *(f"organ {number}" for number in range(1, classes - 1)), "lesion")


def _draw_anatomy(rng: np.random.Generator, labels: np.ndarray, organs: int, size: int):
    """Draw body (n, size, size) bool, grey of organs and lesions, and mask (0, organs from 1, lesion last).

    The field of view lies anywhere on the body and may cut it off, but it shows all organs. A single organ is anywhere
    in the image, and several organs form a ring with a fixed order. A position in the image tells little of the label.
    """
    n = len(labels)
    radius, turn = rng.uniform(0.6, 1, n), rng.uniform(0, 2 * np.pi, n)
    if organs == 1:
        ring, reach = radius * rng.uniform(0, 0.6, n), np.full(n, 0.45)
    else:
        ring, reach = 0.5 * radius, 0.45 * radius * np.sin(np.pi / organs)
    focus = (1 - reach - (organs > 1) * ring) * rng.uniform(-1, 1, (2, n))  # of the only organ, or of the ring
    middle = focus - (organs == 1) * ring * np.stack([np.cos(turn), np.sin(turn)])
    x, y = _ellipse_coordinates(size, middle, radius * rng.uniform(0.9, 1.1, (2, n)), rng.uniform(0, np.pi, n))
    body = x**2 + y**2 < 1
    added, mask = np.zeros(body.shape), np.zeros(body.shape, int)

    host, lesion_centre = rng.integers(organs, size=n), np.zeros((2, n))
    for organ in range(organs):
        angle = turn + 2 * np.pi * organ / organs
        centre = middle + ring * np.stack([np.cos(angle), np.sin(angle)])
        x, y = _ellipse_coordinates(size, centre, reach * rng.uniform(0.7, 1, (2, n)), rng.uniform(0, np.pi, n))
        inside = x**2 + y**2 < 1
        grey = ORGAN * (1 - 0.5 * organ / organs) * rng.uniform(0.85, 1.15, n)
        added = np.where(inside, grey[:, None, None], added)
        mask[inside] = organ + 1
        lesion_centre = np.where(host == organ, centre, lesion_centre)

    lesion_centre = lesion_centre + reach * rng.uniform(-0.2, 0.2, (2, n))
    x, y = _ellipse_coordinates(size, lesion_centre, reach * rng.uniform(0.35, 0.5, (2, n)), rng.uniform(0, np.pi, n))
    radius = x**2 + y**2
    kind = labels[:, None, None]
    lesion = (radius < 1) & (kind > 0) & ((kind != 2) | (radius > 0.4)) & ((kind != 4) | (abs(x) > 0.3))
    added = np.where(lesion, np.where(kind == 3, 0, LESION), added)
    mask[lesion] = organs + 1
    return body, added, mask


def _draw_images(rng: np.random.Generator, body: np.ndarray, added: np.ndarray, channels: int, difficulty: float):
    """Draw (n, channels, size, size) float32. The draws are the same at every difficulty, only their weights change."""
    shape = (len(body), channels, *body.shape[1:])
    contrast = (1 - 0.7 * difficulty) * np.linspace(1, 0.6, channels)[:, None, None]
    image = BODY * body[:, None] + contrast * added[:, None]
    image = image + (0.02 + 0.08 * difficulty) * _smooth_noise(rng, shape, cells=shape[-1] // 4) * body[:, None]
    image = image * np.exp(0.5 * difficulty * _smooth_noise(rng, shape, cells=3))
    image = image + (0.02 + 0.13 * difficulty) * rng.standard_normal(shape)
    return image.clip(0, 1).astype(np.float32)


def _ellipse_coordinates(
    size: int, centre: np.ndarray, radii: np.ndarray, angle: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return two coordinates (n, size, size) along the axes of an ellipse. Inside it, x² + y² < 1.

    The image spans -1 to 1.
    """
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    x, y = x - centre[0][:, None, None], y - centre[1][:, None, None]
    cos, sin = np.cos(angle)[:, None, None], np.sin(angle)[:, None, None]
    return (cos * x + sin * y) / radii[0][:, None, None], (cos * y - sin * x) / radii[1][:, None, None]


def _smooth_noise(rng: np.random.Generator, shape: tuple[int, ...], cells: int) -> np.ndarray:
    """Draw smooth Gaussian noise with `cells` independent values per side."""
    coarse = torch.from_numpy(rng.standard_normal((*shape[:2], cells, cells)))
    return F.interpolate(coarse, size=shape[2:], mode="bicubic", align_corners=True).numpy()


def _check(task, classes, n, size, channels, difficulty, seed):
    if task not in MOST_CLASSES:
        raise InputError(f"dataset.task: got {task!r}, wanted one of {list(MOST_CLASSES)}; change dataset.task")
    fits = {
        f"classes from 2 to {MOST_CLASSES[task]}": 2 <= classes <= MOST_CLASSES[task],
        "n of three positive numbers": len(n) == len(SPLITS) and min(n) >= 1,
        "size of at least 16": size >= 16,
        "channels of at least 1": channels >= 1,
        "difficulty from 0 to 1": 0 <= difficulty <= 1,
        "seed of at least 0": seed >= 0,
    }
    given = {"classes": classes, "n": n, "size": size, "channels": channels, "difficulty": difficulty, "seed": seed}
    for wanted, met in fits.items():
        option = wanted.split()[0]
        if not met:
            raise InputError(f"dataset.{option}: got {given[option]}, wanted {wanted}; change dataset.{option}")
