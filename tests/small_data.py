"""Small random data sets in the formats of the real ones, for commands of the documentation."""

import csv
import json
import struct
from pathlib import Path

import nibabel as nib
import numpy as np
from nnunet_files import write_raw
from PIL import Image

COUNT = 110  # images or volumes: a random validation split has the 16 samples that a run needs


def write_data(dataset: str, path: Path) -> None:
    """Write data for `dataset=NAME` to the folder, or for medmnist to the file, that a command names."""
    path.parent.mkdir(parents=True, exist_ok=True)
    WRITERS[dataset](path, np.random.default_rng(0))


def disc(rng: np.random.Generator, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a noisy image of 0 to 255 with a bright disc or ball, and its mask of 0 and 1."""
    centre = [rng.uniform(side / 3, 2 * side / 3) for side in shape]
    distance = sum((axis - middle) ** 2 for axis, middle in zip(np.indices(shape), centre, strict=True))
    mask = (distance < (min(shape) / 4) ** 2).astype(np.uint8)
    return (100 * mask + rng.integers(0, 100, shape)).astype(np.uint8), mask


def _image_folder(root: Path, rng: np.random.Generator) -> None:
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True, exist_ok=True)
    with open(root / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["stem", "patient", "split"])
        for number in range(COUNT):
            image, mask = disc(rng, (32, 32))
            Image.fromarray(image).save(root / "images" / f"image{number}.png")
            Image.fromarray(255 * mask).save(root / "masks" / f"image{number}.png")
            rows.writerow([f"image{number}", f"patient{number // 2}", ("train", "val", "test")[number // 2 % 3]])


def _dsb2018(root: Path, rng: np.random.Generator) -> None:
    for number in range(COUNT):
        image, mask = disc(rng, (32, 32))
        for part, name, array in (("images", f"case{number}", image), ("masks", "0", 255 * mask)):
            folder = root / f"case{number}" / part
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(array).save(folder / f"{name}.png")


def _medmnist(file: Path, rng: np.random.Generator) -> None:
    arrays = {}
    for part, n in {"train": 48, "val": 24, "test": 24}.items():
        arrays[f"{part}_images"] = rng.integers(0, 256, (n, 28, 28), np.uint8)
        arrays[f"{part}_labels"] = np.arange(n, dtype=np.uint8)[:, None] % 2
    with open(file, "wb") as opened:  # a name gets no suffix
        np.savez(opened, **arrays)


def _mednist(root: Path, rng: np.random.Generator) -> None:
    for name in ("AbdomenCT", "BreastMRI", "CXR", "ChestCT", "Hand", "HeadCT"):
        (root / "MedNIST" / name).mkdir(parents=True, exist_ok=True)
        for number in range(30):
            image = rng.integers(0, 256, (32, 32), np.uint8)
            Image.fromarray(image).save(root / "MedNIST" / name / f"{number:06d}.jpeg")


def _mnist(root: Path, rng: np.random.Generator) -> None:
    root.mkdir(parents=True, exist_ok=True)
    for part, n in {"train": 2600, "t10k": 240}.items():
        images, labels = rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10
        for name, array in ((f"{part}-images-idx3-ubyte", images), (f"{part}-labels-idx1-ubyte", labels)):
            header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
            (root / name).write_bytes(header + array.tobytes())


def _decathlon(root: Path, rng: np.random.Generator) -> None:
    folder, listed = root / "Task04_Hippocampus", []
    for number in range(COUNT):
        for part, array in zip(("imagesTr", "labelsTr"), disc(rng, (16, 16, 16)), strict=True):
            (folder / part).mkdir(parents=True, exist_ok=True)
            nib.save(nib.Nifti1Image(array, np.eye(4)), folder / part / f"v{number}.nii.gz")
        listed.append({"image": f"./imagesTr/v{number}.nii.gz", "label": f"./labelsTr/v{number}.nii.gz"})
    labels = {"0": "background", "1": "Ball"}
    (folder / "dataset.json").write_text(json.dumps({"labels": labels, "licence": "CC0", "training": listed}))


def _class_folders(root: Path, rng: np.random.Generator) -> None:
    for name in ("benign", "malignant"):
        (root / name).mkdir(parents=True, exist_ok=True)
        for number in range(COUNT // 2):
            image = disc(rng, (32, 32))[0] if name == "malignant" else rng.integers(0, 100, (32, 32), np.uint8)
            Image.fromarray(image).save(root / name / f"patient{number // 2}_{number}.png")


def _table(root: Path, rng: np.random.Generator) -> None:
    (root / "files").mkdir(parents=True, exist_ok=True)
    with open(root / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["path", "label", "effusion", "nodule", "patient"])
        for number in range(COUNT):
            Image.fromarray(disc(rng, (32, 32))[0]).save(root / "files" / f"{number}.png")
            rows.writerow([f"files/{number}.png", number % 2, number % 2, number % 3 // 2, f"patient{number // 2}"])


WRITERS = {
    "class_folders": _class_folders,
    "decathlon": _decathlon,
    "dsb2018": _dsb2018,
    "fashion_mnist": _mnist,
    "image_folder": _image_folder,
    "medmnist": _medmnist,
    "mednist": _mednist,
    "mnist": _mnist,
    "table": _table,
    "nnunet": lambda root, rng: write_raw(root, COUNT),
}
