"""MedMNIST in two and three dimensions, and any other npz with its layout."""

from __future__ import annotations

import re
import zipfile
from collections.abc import Sequence
from math import prod
from pathlib import Path

import numpy as np

from bench.datasets.arrays import read_header
from bench.datasets.common import classification, existing_folder, list_values, reason, refuse_damage
from bench.datasets.data import SPLITS, Data, Task
from bench.datasets.memory import RAW_AND_SAMPLES, check_memory
from bench.errors import InputError, optional

SIZES = {2: (28, 64, 128, 224), 3: (28, 64)}  # by the number of axes


def medmnist(
    flag: str | None = None,
    file: str | None = None,
    root: str | None = None,
    download: bool = False,
    size: int = 28,
    n: Sequence[int | None] | None = None,
    split_seed: int = 0,
    augment: str | Sequence[str] | None = None,
) -> Data:
    """Load a set of MedMNIST, (1 or 3, size, size) or (1, size, size, size) in [0, 1], with its official splits.

    Args:
        flag: Name of the set. The file is root/FLAG.npz, or for example root/FLAG_64.npz for size=64.
        file: Another npz with this layout, in place of root: train_images (n, H, W), (n, H, W, 3) or (n, D, H, W)
            uint8; train_labels (n, 1), or (n, L) for multilabel; the same for val and test. The names of the classes
            are those of the flag in the name of the file, or the lines of classes.txt in the same folder.
        root: Folder of the files.
        download: Whether to download the file by medmnist, which checks its MD5.
        size: Side of the images, 28, 64, 128 or 224; in three dimensions 28 or 64.
        n: Number of images to draw for (train, val, test). None in it, or for it, takes all.
        split_seed: Seed of the draw.
        augment: Any of `flips`, `rotations`, `intensity`.

    Raises:
        InputError: The flag is unknown, the file or keys are missing, arrays are pickled objects, or labels are out of
            range.

    References:
        Yang et al., "MedMNIST v2", Scientific Data 10:41 (2023), https://medmnist.com.

    Example::

        medmnist(flag="pneumoniamnist", root="data", download=True).card()
    """
    with optional("dataset=medmnist"):
        from medmnist import INFO

    if flag is not None and flag not in INFO:
        raise InputError(f"dataset.flag: got {flag!r}, wanted one of {list(INFO)}; change dataset.flag")
    if file is None:
        path = _path_by_flag(INFO, flag, root, size, download)
    else:
        path = Path(file)
        named = re.sub(r"_\d+$", "", path.stem)
        flag = flag or (named if named in INFO else None)
    if not path.is_file():
        raise InputError(f"{path}: no such file; check dataset.root or dataset.file, or set dataset.download=true")
    images, labels, split = read_npz(path)
    task: Task = "multilabel" if labels.shape[1] > 1 else "classification"
    classes = tuple(INFO[flag]["label"].values()) if flag else _class_names(path, labels)
    if task == "multilabel" and labels.shape[1] != len(classes):
        raise InputError(f"{path}: got {labels.shape[1]} labels per row, wanted {len(classes)}; check dataset.flag")
    return classification(
        flag or path.stem,
        images,
        labels if task == "multilabel" else labels[:, 0],
        split,
        classes,
        task=task,
        n=n,
        seed=split_seed,
        augment=augment,
        spatial_dims=3 if images.shape[3:] not in ((), (3,)) else 2,
        licence=INFO[flag]["license"] if flag else "unknown",
        source=str(path),
    )


def read_npz(path: Path) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Read the arrays of an npz with the layout of MedMNIST.

    Returns:
        Images (n, H, W), (n, H, W, 3) or (n, D, H, W) uint8, labels (n, L) int64, and the split of each image, (n,).

    Raises:
        InputError: The file is damaged, does not fit in memory, or has another layout.
    """
    keys = [f"{part}_{what}" for part in SPLITS for what in ("images", "labels")]
    with refuse_damage(path, "an npz of plain arrays", "fetch it again"):
        with zipfile.ZipFile(path) as archive:
            missing = [key for key in keys if f"{key}.npy" not in archive.namelist()]
            claimed = 0 if missing else sum(_claimed_bytes(archive, f"{key}.npy") for key in keys)
        check_memory(RAW_AND_SAMPLES * claimed, f"{path}", "take a smaller dataset.size or file")
        if not missing:
            with np.load(path, allow_pickle=False) as content:
                arrays = {key: content[key] for key in keys}
    if missing:
        raise InputError(f"{path}: got no {list_values(missing)}, wanted the MedMNIST layout; rename or add the arrays")
    for part in SPLITS:
        images, labels = arrays[f"{part}_images"], arrays[f"{part}_labels"]
        if images.dtype != np.uint8 or images.ndim not in (3, 4):
            raise InputError(
                f"{path}: got {part}_images {images.dtype} {images.shape}, wanted uint8 (n, H, W), (n, H, W, 3) "
                "or (n, D, H, W); convert them"
            )
        if labels.dtype.kind not in "biu" or labels.ndim != 2 or len(labels) != len(images):
            raise InputError(
                f"{path}: got {part}_labels {labels.dtype} {labels.shape}, wanted integers ({len(images)}, labels); "
                "convert them"
            )
    shapes = {arrays[key].shape[1:] for key in keys if key.endswith("images")}
    widths = {arrays[key].shape[1:] for key in keys if key.endswith("labels")}
    if len(shapes) > 1 or len(widths) > 1:
        raise InputError(f"{path}: got splits of shapes {list_values(shapes | widths)}, wanted one shape; convert them")
    images, labels = (np.concatenate([arrays[f"{part}_{what}"] for part in SPLITS]) for what in ("images", "labels"))
    return images, labels.astype(np.int64), np.repeat(SPLITS, [len(arrays[f"{part}_images"]) for part in SPLITS])


def _claimed_bytes(archive: zipfile.ZipFile, key: str) -> int:
    """Return the bytes of an array by its header, or raise ValueError if the archive has another number of bytes."""
    with archive.open(key) as member:
        try:
            shape, dtype = read_header(member, archive.getinfo(key).file_size)
        except ValueError as error:
            raise ValueError(f"{key}: {error}") from error
    return prod(shape) * dtype.itemsize


def _path_by_flag(known: dict, flag: str | None, root: str | None, size: int, download: bool) -> Path:
    if flag is None:
        raise InputError(f"dataset.flag: got neither flag nor file, wanted one of {list(known)}, or dataset.file=NPZ")
    sizes = SIZES[3 if flag.endswith("3d") else 2]
    if size not in sizes:
        raise InputError(f"dataset.size: got {size}, wanted one of {list(sizes)} for {flag}; change dataset.size")
    if download and root is not None:
        Path(root).mkdir(parents=True, exist_ok=True)
    path = existing_folder(root) / (f"{flag}.npz" if size == 28 else f"{flag}_{size}.npz")
    if download and not path.exists():
        _download(known[flag]["python_class"], path, size)
    return path


def _download(python_class: str, path: Path, size: int):
    """Download by medmnist, which checks the MD5."""
    import medmnist

    try:
        getattr(medmnist, python_class)(split="train", root=str(path.parent), size=size, download=True)
    except (OSError, RuntimeError) as error:
        raise InputError(
            f"{path}: download failed ({reason(error.__context__ or error)}); put the file there by hand"
        ) from error


def _class_names(path: Path, labels: np.ndarray) -> tuple[str, ...]:
    """Return the lines of classes.txt, `NAME` or `NUMBER NAME`, or the numbers if there is no such file."""
    listing = path.with_name("classes.txt")
    if not listing.exists():
        return tuple(str(number) for number in range(labels.shape[1] if labels.shape[1] > 1 else labels.max() + 1))
    with refuse_damage(listing, "a name on each line", "correct it"):
        lines = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines() if line.strip()]
    return tuple(line.removeprefix(f"{number} ") for number, line in enumerate(lines))
