"""Read pictures (PNG, TIFF, JPEG, BMP, GIF, WebP), with corrections and checks that Pillow does not make."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import cast

import numpy as np
from PIL import ExifTags, Image, ImageOps
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from bench.datasets.common import list_values, reason, refuse_damage
from bench.errors import InputError

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp")
FORMATS = ("PNG", "TIFF", "JPEG", "BMP", "GIF", "WEBP")
GREY = ("1", "L", "I", "F", "I;16", "I;16B", "I;16L")
CHANNELS = {**dict.fromkeys(GREY, 1), "LA": 1, **dict.fromkeys(("P", "PA", "RGB", "RGBA", "YCbCr"), 3)}  # by mode
STEPS = {"L;2": 85, "L;4": 17}  # Pillow scales the greys of 2-bit and 4-bit pictures to 0 to 255 by these steps
BITS, PHOTOMETRIC, SAMPLE_FORMAT = 258, 262, 339  # tags of TIFF
WHITE_IS_ZERO, UNSIGNED = 0, 1  # values of these tags
WHOLE = "a whole image file"
PNG = b"\x89PNG\r\n\x1a\n"
CHANNELS_OF_PNG = {0: 1, 2: 3, 3: 3, 4: 1, 6: 3}  # by the type of colour
WITH_ORIENTATION = (b"eXIf", b"tEXt", b"zTXt", b"iTXt", b"acTL")  # chunks of an orientation, or of pages
MOST_PIXELS = 2**26  # of a PNG whose header is read here; Pillow refuses larger ones
NUMBERS = "wanted one channel of class numbers; give each colour a number from 0 and save those as a grey picture"


def is_picture(path: Path) -> bool:
    """Return whether the suffix of a file is that of a picture other than TIFF."""
    return str(path).lower().endswith(SUFFIXES) and not path.is_dir()


def picture_shape(path: Path) -> tuple[int, int, int]:
    """Read (C, H, W) from the header alone. C is 3 for colours and palettes."""
    if (known := _png_shape(path)) is not None:
        return known
    with refuse_damage(path, WHOLE), _open_picture(path) as picture:
        width, height = picture.size
        rotated = picture.getexif().get(ExifTags.Base.Orientation) in (5, 6, 7, 8)
        return CHANNELS[picture.mode], *((width, height) if rotated else (height, width))


def read_picture(path: Path) -> np.ndarray:
    """Read (H, W) or (H, W, 3), upright, in the type of the file. Alpha is ignored."""
    with refuse_damage(path, WHOLE), _open_picture(path) as picture:
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("LA", "RGBA"):
            *colours, alpha = cast(tuple[tuple[int, int], ...], upright.getextrema())  # of several channels
            if alpha[0] < alpha[1] and all(low == high for low, high in colours):
                raise InputError(
                    f"{path}: got a picture that varies only in its alpha channel, wanted grey or colour; save the "
                    "alpha channel as a grey picture"
                )
        if upright.mode not in (*GREY, "RGB"):
            upright = upright.convert("L" if upright.mode == "LA" else "RGB")
        return _to_array(upright, picture)


def read_mask_picture(path: Path) -> np.ndarray:
    """Read class numbers (H, W), upright. For a picture with a palette they are its indices."""
    with refuse_damage(path, WHOLE), _open_picture(path) as picture:
        step = STEPS.get(_raw_mode(picture), 1)
        upright = ImageOps.exif_transpose(picture)
        if upright.mode in ("LA", "PA", "RGBA"):
            low, high = cast(tuple[float, float], upright.getchannel("A").getextrema())  # of one channel
            if low < high:
                raise InputError(
                    f"{path}: got a mask with an alpha channel of {low} to {high}, wanted class numbers in one grey "
                    "channel; save the alpha channel as a grey picture if the mask is there, else remove it"
                )
        if upright.mode not in (*GREY, "RGB", "P"):
            upright = upright.convert("L" if upright.mode == "LA" else "RGB")
        array = _to_array(upright, picture)
    if array.ndim == 3:
        if (array != array[..., :1]).any():
            raise InputError(f"{path}: got a mask in colours, {NUMBERS}")
        array = array[..., 0]
    if picture.format == "JPEG" and not np.isin(array, (0, 255)).all():
        raise InputError(
            f"{path}: got mask values {list_values(np.unique(array))} in a JPEG, whose compression changes class "
            "numbers, wanted a lossless format; round the values to the classes and save them as PNG"
        )
    if upright.mode == "P":
        _check_palette(path, upright, array)
    return array if step == 1 else array // step


def _png_shape(path: Path) -> tuple[int, int, int] | None:
    """Read (C, H, W) of a PNG without metadata. Pillow would decode the whole picture to find its orientation."""
    with suppress(OSError), path.open("rb", buffering=0) as file:
        head = file.read(8 + 8 + 13 + 4)
        if head[:8] != PNG or head[12:16] != b"IHDR" or len(head) < 33 or head[25] not in CHANNELS_OF_PNG:
            return None
        at = len(head)
        while len(chunk := os.pread(file.fileno(), 8, at)) == 8:
            if chunk[4:] == b"IEND":
                width, height = (int.from_bytes(head[i : i + 4], "big") for i in (16, 20))
                return (CHANNELS_OF_PNG[head[25]], height, width) if width * height <= MOST_PIXELS else None
            if chunk[4:] in WITH_ORIENTATION:
                return None
            at += 12 + int.from_bytes(chunk[:4], "big")
    return None


@contextmanager
def _open_picture(path: Path) -> Iterator[ImageFile]:
    """Open a picture, or raise InputError if it has several pages or a format that Pillow does not read correctly."""
    with warnings.catch_warnings(action="ignore"):  # about damaged metadata, which is not read, and many pixels
        try:
            picture = Image.open(path, formats=FORMATS)
        except Image.DecompressionBombError as error:
            raise InputError(
                f"{path}: got too many pixels ({reason(error)}); shrink the picture or cut it into several"
            ) from error
        with picture:
            if picture.mode not in CHANNELS:
                raise InputError(f"{path}: got a picture of mode {picture.mode}, wanted grey or RGB; convert it")
            frames = getattr(picture, "n_frames", 1)
            if frames > 1:
                raise InputError(f"{path}: got {frames} pages, wanted one; save volumes as TIFF, pages as files")
            if isinstance(picture, TiffImageFile):
                _check_tiff(path, picture)
            bits = _bits(picture)
            if bits > 8 and picture.mode not in GREY:
                raise InputError(
                    f"{path}: got colours or alpha of {bits} bits, of which 8 would be kept, wanted 8 bits, or one "
                    "grey channel of 16; convert it to one of them"
                )
            yield picture


def _check_tiff(path: Path, picture: TiffImageFile) -> None:
    """Raise InputError for a TIFF that Pillow does not read correctly."""
    tags = picture.tag_v2
    orientation = tags.get(ExifTags.Base.Orientation, 1)
    if orientation in (5, 6, 7, 8):  # Pillow rotates them wrongly if they are not compressed
        raise InputError(f"{path}: got a TIFF of orientation {orientation}, wanted 1 to 4; save it upright")
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and picture.mode in ("I", "F"):
        raise InputError(f"{path}: got a TIFF where white is zero, wanted black as zero; invert it")


def _to_array(upright: Image.Image, picture: ImageFile) -> np.ndarray:
    """Return the array of a picture, with corrections for tags of TIFF that Pillow ignores."""
    array = np.asarray(upright)
    tags = picture.tag_v2 if isinstance(picture, TiffImageFile) else {}
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO and array.dtype == np.uint16:
        return np.iinfo(array.dtype).max - array
    if upright.mode == "I" and tags.get(BITS) == (32,) and tags.get(SAMPLE_FORMAT, (UNSIGNED,)) == (UNSIGNED,):
        return array.view(np.uint32).astype(np.int64)
    return array


def _raw_mode(picture: ImageFile) -> str:
    """Return Pillow's name for the layout of the values in the file, such as `RGB;16B`."""
    arguments = picture.tile[0][3] if picture.tile else ""
    return str(arguments[0] if isinstance(arguments, tuple) else arguments)


def _bits(picture: ImageFile) -> int:
    """Return the bits of a channel in a TIFF or PNG, and 8 for other formats."""
    if isinstance(picture, TiffImageFile):
        return max(picture.tag_v2.get(BITS, (1,)))
    return 16 if picture.format == "PNG" and ";16" in _raw_mode(picture) else 8


def _check_palette(path: Path, picture: Image.Image, indices: np.ndarray) -> None:
    """Raise InputError if the greys of a palette are not in the order of their indices."""
    colours = np.array(picture.getpalette("RGB")).reshape(-1, 3)
    used = colours[[index for index in np.unique(indices) if index < len(colours)]]
    if (used == used[:, :1]).all() and (np.diff(used[:, 0].astype(int)) < 0).any():
        raise InputError(
            f"{path}: got a palette whose greys {list_values(used[:, 0])} are not in the order of their numbers, "
            "wanted class numbers; save the mask as grey, without a palette"
        )
