"""Write real images in other formats, read them again, and count those that are equal.

python tests/studies/round_trips.py FOLDER_WITH_IMAGES_AND_MASKS FOLDER_OF_TASK04_HIPPOCAMPUS
"""

import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import tifffile

sys.path.insert(0, str(Path(__file__).parents[1] / "datasets"))
from dataset_helpers import save_series

from bench.datasets.files import read_image, read_mask, read_pair
from bench.datasets.grids import read_grid

STEPS = 2**16 - 1  # of the whole numbers in a DICOM slice


def as_ome_tiff(folder: Path, scratch: Path) -> None:
    """Write each picture and its mask as OME-TIFF."""
    count = equal = 0
    for path in sorted((folder / "images").glob("*.png")):
        image, mask = read_image(path), read_mask(folder / "masks" / path.name)
        for values, name in ((image, "image"), (mask[np.newaxis].astype(np.uint8), "mask")):
            options = {"photometric": "minisblack", "metadata": {"axes": "CYX"}}
            tifffile.imwrite(scratch / f"{name}.ome.tif", values, ome=True, **options)
        again, mask_again = read_pair(scratch / "image.ome.tif", scratch / "mask.ome.tif")
        same_type = image.dtype == again.dtype
        equal += same_type and np.array_equal(image, again) and np.array_equal(mask, mask_again)
        count += 1
    print(f"OME-TIFF: {equal} of {count} pictures and masks are equal", flush=True)


def as_dicom(folder: Path, scratch: Path) -> None:
    """Write each volume as a series of slices in random order, with a slope if its values are not whole numbers."""
    count = whole = equal = masks = affines = 0
    worst = 0.0
    for number, path in enumerate(sorted((folder / "imagesTr").glob("*.nii.gz"))):
        volume, affine = read_grid(path)
        is_whole = np.array_equal(volume, np.round(volume)) and volume.max() <= STEPS
        slope = 1 if is_whole else float(volume.max()) / STEPS
        order = np.random.default_rng(number).permutation(volume.shape[2])
        series = scratch / f"case{number}"
        stored = np.round(volume / slope).astype(np.uint16)
        save_series(series, stored, affine, order, RescaleSlope=f"{slope:.10g}", RescaleIntercept=0)
        again, affine_again = read_grid(series)
        label = folder / "labelsTr" / path.name
        whole += is_whole
        equal += is_whole and np.array_equal(volume, again)
        worst = max(worst, float(np.abs(volume - again).max() / slope))
        affines += np.allclose(affine, affine_again, atol=1e-4)
        masks += np.array_equal(read_pair(series, label)[1], read_pair(path, label)[1])
        count += 1
    print(f"DICOM: {count} volumes; {whole} have whole numbers, and {equal} of these are equal")
    print(f"  largest difference of the others: {worst:.2f} of a step of 16 bits")
    print(f"  equal masks: {masks}; equal affines: {affines}")


def main(pictures: str, volumes: str) -> None:
    with TemporaryDirectory() as scratch:
        as_ome_tiff(Path(pictures), Path(scratch))
        as_dicom(Path(volumes), Path(scratch))


if __name__ == "__main__":
    main(*sys.argv[1:])
