"""Labels that may overlap: a folder of masks for each class, root/masks/CLASS/STEM.*."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from bench.datasets.common import list_values
from bench.datasets.files import SUFFIXES, entries, files_by_stem
from bench.datasets.ome_zarr import is_zarr
from bench.datasets.reading import Pair
from bench.errors import InputError

BACKGROUND = "background"
MOST_FOLDERS = 16  # a pixel is a number with a bit for each class
Regions = dict[str, tuple[int, ...]]


def find_class_folders(masks: Path, stems: Mapping[str, Path]) -> list[Path]:
    """Return the folders of classes in the folder of masks. There are none if it has masks itself.

    Args:
        masks: Folder of the masks.
        stems: The images by their stems. A folder with the name of an image is its mask, a DICOM series.
    """
    found = entries(masks) if masks.is_dir() else []
    folders = [path for path in found if path.is_dir() and not is_zarr(path) and path.name not in stems]
    has_masks = any(path.is_dir() or path.name.lower().endswith(SUFFIXES) for path in found if path not in folders)
    return [] if has_masks else folders


def pair_with_classes(
    images: Mapping[str, Path], folders: Sequence[Path], classes: int | Sequence[str] | None
) -> tuple[list[Pair], tuple[str, ...]]:
    """Find the masks of each image in the folders of classes.

    An image without a file in the folder of a class does not have the class. An image without any mask is refused.

    Args:
        images: The images by their stems.
        folders: The folders of classes.
        classes: Names of the classes, the background first and then the folders in any order; the number of the
            classes with the background; or None.

    Returns:
        The pairs, with masks by the numbers of the bits of their classes, and the names of the classes.

    Raises:
        InputError: The classes are not the folders, there are too many, a mask has no image or an image no mask.
    """
    found = {folder.name: files_by_stem(folder) for folder in folders}
    names = _names(folders, classes)
    for name, files in found.items():
        for stem, path in files.items():
            if stem not in images:
                raise InputError(
                    f"{path}: got a mask of {name} without image, wanted images/{stem}.*; add it or remove the mask"
                )
    masks = {stem: {bit: found[name][stem] for bit, name in enumerate(names) if stem in found[name]} for stem in images}
    for stem, path in images.items():
        if not masks[stem]:
            raise InputError(
                f"{path}: got an image without mask, wanted masks/CLASS/{stem}.* for a CLASS of {list_values(names)}; "
                "add one (empty if nothing is there) or remove the image"
            )
    return [Pair(stem, images[stem], masks[stem]) for stem in sorted(images)], names


def _names(folders: Sequence[Path], classes: int | Sequence[str] | None) -> tuple[str, ...]:
    """Return the names of the classes without the background, in the order of dataset.classes if it has names."""
    names = tuple(folder.name for folder in folders)
    if len(names) > MOST_FOLDERS:
        raise InputError(
            f"{folders[0].parent}: got {len(names)} folders of classes, wanted at most {MOST_FOLDERS}; join some"
        )
    wanted = range(classes - 1) if isinstance(classes, int) else names if classes is None else tuple(classes)[1:]
    if len(wanted) != len(names) or (not isinstance(classes, int) and sorted(wanted) != sorted(names)):
        raise InputError(
            f"dataset.classes: got {classes}, wanted the background and then the folders of {folders[0].parent}: "
            f"{list_values(names)}; correct it or set null"
        )
    return names if classes is None or isinstance(classes, int) else tuple(classes)[1:]


def number_combinations(
    codes: Collection[int], names: Sequence[str], background: str, folder: Path
) -> tuple[tuple[int, ...], tuple[str, ...], Regions | None]:
    """Give each combination of classes that occurs a number, so that classes are regions of numbers.

    Args:
        codes: The numbers that occur in the masks, with a bit for each class.
        names: Names of the classes, in the order of the bits.
        background: Name of the background.
        folder: Folder of the masks, for messages.

    Returns:
        The number of each code, from 0 without gaps; a name for each number; and the numbers of each class. One class
        needs no regions.

    Raises:
        InputError: A class has no pixel in any mask.

    Examples:
        >>> table, classes, regions = number_combinations({1, 3}, ("a", "b"), "none", Path("masks"))
        >>> table, classes
        ((0, 1, 0, 2), ('none', 'a', 'a and b'))
        >>> regions
        {'a': (1, 2), 'b': (2,)}
    """
    found = sorted({0, *codes})
    regions = {
        name: tuple(number for number, code in enumerate(found) if code >> bit & 1) for bit, name in enumerate(names)
    }
    if empty := [name for name, numbers in regions.items() if not numbers]:
        raise InputError(
            f"{folder / empty[0]}: got no foreground in the masks of all images, wanted some; correct them, change "
            "dataset.size, or remove the folder"
        )
    numbers = {code: number for number, code in enumerate(found)}
    table = tuple(numbers.get(code, 0) for code in range(2 ** len(names)))
    held = [[name for bit, name in enumerate(names) if code >> bit & 1] for code in found]
    classes = (background, *(" and ".join(each) for each in held[1:]))
    return table, classes, regions if len(names) > 1 else None
