"""Preprocessing of nnU-Net v2: crop to the nonzero region, normalise each channel, and resample to a spacing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from bench.datasets.common import list_values
from bench.errors import InputError
from models.nnunet_plans import Plans

ANISOTROPY = 3  # from this ratio of spacings on, nnU-Net resamples slices one by one
OUTSIDE = -1  # label of voxels outside the nonzero region
EPSILON = 1e-8  # smallest divisor of a normalisation
RESAMPLING = "resample_data_or_seg_to_shape"
PREPROCESSOR = "DefaultPreprocessor"
ORDERS = {"resampling_fn_data": 3, "resampling_fn_seg": 1}  # orders of interpolation by default
Intensities = dict[str, float]


@dataclass(frozen=True)
class Recipe:
    """The steps of nnU-Net's preprocessing.

    Attributes:
        transpose: Order of the axes, as axes of the file.
        spacing: Size of a voxel after resampling, in millimetres; two numbers keep the spacing between slices. None
            does not resample.
        schemes: Name of the normalisation of each channel, a key of `SCHEMES`.
        use_mask: Whether each channel is normalised inside the nonzero region alone.
        intensities: Statistics of each channel for CTNormalization.
        orders: Orders of the splines for images and for masks.
        separate: Whether slices are resampled one by one. None does so for anisotropic voxels.
    """

    transpose: tuple[int, ...]
    spacing: tuple[float, ...] | None
    schemes: tuple[str, ...]
    use_mask: tuple[bool, ...]
    intensities: tuple[Intensities, ...] = ()
    orders: tuple[int, int] = (3, 1)
    separate: bool | None = None

    @classmethod
    def of(cls, plans: Plans) -> Recipe:
        """Return the recipe of plans.

        Raises:
            InputError: The plans name a step that is not known.
        """
        where, content = f"dataset.plans: {plans.path}: configuration {plans.configuration}", plans.content
        if content.get("preprocessor_name", PREPROCESSOR) != PREPROCESSOR:
            got = content["preprocessor_name"]
            raise InputError(f"{where}: got the preprocessor {got}, wanted {PREPROCESSOR}; choose other plans")
        settings = {}
        for key in ORDERS:
            settings[key] = content.get(f"{key}_kwargs") or {}
            name, order_z = content.get(key, RESAMPLING), settings[key].get("order_z", 0)
            if name != RESAMPLING or order_z != 0:
                raise InputError(
                    f"{where}: got {key} {name} with order_z {order_z}, wanted {RESAMPLING} with 0; choose other plans"
                )
        if unknown := [scheme for scheme in plans.normalization_schemes if scheme not in SCHEMES]:
            raise InputError(
                f"{where}: got the normalisation {unknown[0]}, wanted one of {list_values(SCHEMES)}; choose other plans"
            )
        if "CTNormalization" in plans.normalization_schemes and len(plans.intensities) < len(plans.use_mask_for_norm):
            raise InputError(
                f"{where}: CTNormalization without foreground_intensity_properties_per_channel, wanted one entry per "
                "channel; make the plans again"
            )
        return cls(
            plans.transpose_forward,
            plans.spacing,
            plans.normalization_schemes,
            plans.use_mask_for_norm,
            plans.intensities,
            (_order(settings, "resampling_fn_data"), _order(settings, "resampling_fn_seg")),
            settings["resampling_fn_data"].get("force_separate_z"),
        )

    @classmethod
    def without_plans(cls, channels: int) -> Recipe:
        """Return the recipe for images without plans: z-scores of each channel at the spacing of the file."""
        return cls((0, 1, 2), None, ("ZScoreNormalization",) * channels, (False,) * channels)


def _order(settings: dict[str, dict], key: str) -> int:
    return int(settings[key].get("order", ORDERS[key]))


def preprocess(
    image: np.ndarray, mask: np.ndarray, spacing: Sequence[float], recipe: Recipe
) -> tuple[np.ndarray, np.ndarray, tuple[float, ...]]:
    """Preprocess an image and its mask as nnU-Net's DefaultPreprocessor does.

    Args:
        image: (channels, *spatial) with three spatial axes; pictures have one slice.
        mask: (*spatial) class numbers.
        spacing: Size of a voxel along each axis, in millimetres.
        recipe: The steps.

    Returns:
        Image (channels, *spatial) float32, mask (*spatial) int16 in which `OUTSIDE` are background voxels outside the
        nonzero region, and the new size of a voxel along each axis. It differs from the spacing of the recipe by the
        rounding of the shape.

    Examples:
        >>> image = np.zeros((1, 1, 4, 4), dtype=np.float32)
        >>> image[0, 0, 1:3, 1:4] = [[1, 2, 3], [1, 2, 3]]
        >>> image, mask, _ = preprocess(image, np.zeros((1, 4, 4)), (999, 1, 1), Recipe.without_plans(1))
        >>> image.shape, mask.shape, image[0, 0, 0].round(2)
        ((1, 1, 2, 3), (1, 2, 3), array([-1.22,  0.  ,  1.22], dtype=float32))
    """
    image = image.astype(np.float32).transpose(0, *(axis + 1 for axis in recipe.transpose))
    mask = mask.astype(np.int16).transpose(recipe.transpose)
    spacing = [float(spacing[axis]) for axis in recipe.transpose]
    image, mask = _crop_to_nonzero(image, mask)
    for number, scheme in enumerate(recipe.schemes):
        inside = mask >= 0 if recipe.use_mask[number] else np.ones(mask.shape, dtype=bool)
        known = recipe.intensities[number] if number < len(recipe.intensities) else {}
        image[number] = SCHEMES[scheme](image[number], inside, known)
    if recipe.spacing is None:
        return image, mask, tuple(spacing)
    wanted = [*spacing[: len(spacing) - len(recipe.spacing)], *recipe.spacing]  # 2d keeps the first axis
    shape = [round(old / new * side) for old, new, side in zip(spacing, wanted, mask.shape, strict=True)]
    if min(shape) < 1:
        raise InputError(
            f"spacing of {list_values(spacing)} mm: leaves no voxel at {list_values(wanted)} mm; check both"
        )
    if tuple(shape) == mask.shape:
        return image, mask, tuple(spacing)
    extents = [side * length for side, length in zip(spacing, mask.shape, strict=True)]  # resampling keeps them
    alone = _lone_axis(spacing, wanted, recipe.separate)
    images = [_resample(channel, shape, alone, lambda x, to: _zoom(x, to, recipe.orders[0])) for channel in image]
    labels = _resample(mask, shape, alone, lambda x, to: _zoom_labels(x, to, recipe.orders[1]))
    resampled = tuple(extent / side for extent, side in zip(extents, shape, strict=True))
    return np.stack(images).astype(np.float32), labels.astype(np.int16), resampled


def _crop_to_nonzero(image: np.ndarray, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Crop to the box around voxels that are not 0 in some channel, with holes filled."""
    nonzero = ndimage.binary_fill_holes((image != 0).any(axis=0))
    found = ndimage.find_objects(nonzero.astype(np.int8))
    box = found[0] if found else tuple(slice(None) for _ in mask.shape)
    image, mask, nonzero = np.ascontiguousarray(image[:, *box]), mask[box].copy(), nonzero[box]
    mask[(mask == 0) & ~nonzero] = OUTSIDE
    return image, mask


def _zscore(image: np.ndarray, inside: np.ndarray, _: Intensities) -> np.ndarray:
    values = image[inside] if not inside.all() else image
    mean, std = values.mean(), values.std()
    return np.where(inside, (image - mean) / max(std, EPSILON), image)


def _ct(image: np.ndarray, _: np.ndarray, known: Intensities) -> np.ndarray:
    clipped = np.clip(image, known["percentile_00_5"], known["percentile_99_5"])
    return (clipped - known["mean"]) / max(known["std"], EPSILON)


def _rescale(image: np.ndarray, _: np.ndarray, __: Intensities) -> np.ndarray:
    shifted = image - image.min()
    return shifted / max(shifted.max(), EPSILON)


def _rgb(image: np.ndarray, _: np.ndarray, __: Intensities) -> np.ndarray:
    if image.min() < 0 or image.max() > 255:
        raise InputError(
            f"RGBTo01Normalization: got pixels of {image.min():g} to {image.max():g}, wanted 0 to 255; make plans with "
            "another normalisation"
        )
    return image / 255


SCHEMES: dict[str, Callable[[np.ndarray, np.ndarray, Intensities], np.ndarray]] = {
    "ZScoreNormalization": _zscore,
    "CTNormalization": _ct,
    "NoNormalization": lambda image, *_: image,
    "RescaleTo01Normalization": _rescale,
    "RGBTo01Normalization": _rgb,
}


def _lone_axis(spacing: Sequence[float], wanted: Sequence[float], separate: bool | None) -> int | None:
    """Return the axis of large spacing whose slices are resampled one by one, or None."""
    if separate is None:
        anisotropic = [each for each in (spacing, wanted) if max(each) / min(each) > ANISOTROPY]
        widest = anisotropic[0] if anisotropic else None
    else:
        widest = spacing if separate else None
    if widest is None:
        return None
    axes = [axis for axis, side in enumerate(widest) if max(widest) / side == 1]
    return axes[0] if len(axes) == 1 else None


def _resample(array: np.ndarray, shape: Sequence[int], alone: int | None, zoom: Callable[..., Any]) -> np.ndarray:
    """Resample to a shape; with an axis that stands alone, in each slice, and to the nearest slice along the axis."""
    values = array.astype(float)
    if alone is None:
        return zoom(values, tuple(shape))
    in_slice = tuple(side for axis, side in enumerate(shape) if axis != alone)
    slices = np.stack([zoom(each, in_slice) for each in np.moveaxis(values, alone, 0)])
    scale = len(slices) / shape[alone]
    nearest = np.floor((scale * (np.arange(shape[alone]) + 0.5) - 0.5) + 0.5).astype(int)
    return np.moveaxis(slices[np.clip(nearest, 0, len(slices) - 1)], 0, alone)


def _zoom(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Interpolate by splines at the centres of the new voxels, within the range of the old values."""
    factors = [1 / (old / new) for old, new in zip(array.shape, shape, strict=True)]
    zoomed = ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True)
    return np.clip(zoomed, array.min(), array.max())


def _zoom_labels(array: np.ndarray, shape: tuple[int, ...], order: int) -> np.ndarray:
    """Interpolate the indicator of each label; the largest wins, and the nearest label if it shares the lead."""
    labels = np.unique(array)
    if order == 0 or len(labels) == 1:
        return _zoom(array, shape, 0)
    scores = np.stack([_zoom((array == label).astype(float), shape, order) for label in labels])
    nearest = np.searchsorted(labels, _zoom(array, shape, 0))
    best = scores.max(axis=0)
    shares_lead = np.take_along_axis(scores, nearest[None], axis=0)[0] == best
    return labels[np.where(shares_lead, nearest, scores.argmax(axis=0))]
