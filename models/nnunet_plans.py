"""Plans of nnU-Net v2: the choices of one configuration, read from plans.json and checked."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from models import checks

NETWORKS = ("PlainConvUNet", "ResidualEncoderUNet")  # of dynamic_network_architectures.architectures
PACKAGE = "dynamic_network_architectures.architectures."
MAKE_AGAIN = "make them again by nnUNetv2_plan_and_preprocess of a present nnU-Net v2"
ENTRIES = ("patch_size", "spacing", "normalization_schemes", "use_mask_for_norm")
PER_STAGE = ("features_per_stage", "kernel_sizes", "strides")


@dataclass(frozen=True)
class Plans:
    """The choices of nnU-Net for one configuration of a dataset. Axes are those after `transpose_forward`.

    Attributes:
        path: The file.
        dataset: Name of the dataset.
        configuration: Name of the configuration, such as 2d or 3d_fullres.
        network: Name of the class of the network, one of `NETWORKS`.
        arguments: Arguments of this class as in the file.
        imported: The arguments whose values are names of classes.
        patch_size: Sides of a patch, in voxels.
        spacing: Size of a voxel after resampling, in millimetres. For 2d, the last two axes.
        normalization_schemes: Name of the normalisation of each channel.
        use_mask_for_norm: Whether each channel is normalised inside the nonzero region alone.
        transpose_forward: Order of the axes of the network, as axes of the file.
        intensities: For each channel, the `mean`, `std`, `percentile_00_5` and `percentile_99_5` of foreground voxels.
        reader: Name of nnU-Net's class that reads the images.
        content: The entries of the configuration, with inherited entries.
    """

    path: str
    dataset: str
    configuration: str
    network: str
    arguments: dict[str, Any]
    imported: tuple[str, ...]
    patch_size: tuple[int, ...]
    spacing: tuple[float, ...]
    normalization_schemes: tuple[str, ...]
    use_mask_for_norm: tuple[bool, ...]
    transpose_forward: tuple[int, ...]
    intensities: tuple[dict[str, float], ...]
    reader: str
    content: dict[str, Any]

    @property
    def dims(self) -> int:
        """Return the number of spatial axes of the network."""
        return len(self.patch_size)

    @property
    def n_stages(self) -> int:
        """Return the number of stages of the encoder; the last is the bottleneck."""
        return len(self.features_per_stage)

    @property
    def features_per_stage(self) -> tuple[int, ...]:
        """Return the channels of each stage, full resolution first."""
        return tuple(self.arguments["features_per_stage"])

    @property
    def strides(self) -> tuple[tuple[int, ...], ...]:
        """Return the stride of the first convolution of each stage, one number per axis."""
        given = self.arguments["strides"]
        return tuple((each,) * self.dims if isinstance(each, int) else tuple(each) for each in given)


def read_plans(path: str | Path | None, configuration: str | None) -> Plans:
    """Read one configuration of plans.json.

    Args:
        path: The file, which nnU-Net writes as nnUNetPlans.json into the folder of the preprocessed dataset, and as
            plans.json into the folder of a trained model.
        configuration: Name of the configuration: 2d, 3d_lowres, 3d_fullres or one of your own.

    Raises:
        ValueError: The file is missing or holds no plans of nnU-Net v2, lacks the configuration, or names a network
            that is not in `NETWORKS`.

    Example::

        read_plans("nnUNet_preprocessed/Dataset004_Hippocampus/nnUNetPlans.json", "2d").features_per_stage
    """
    return plans_of(_read_json(path), configuration, str(path))


def plans_of(content: Mapping[str, Any], configuration: str | None, path: str) -> Plans:
    """Read one configuration of the content of plans.json, such as that in a checkpoint.

    Args:
        content: The content.
        configuration: Name of the configuration.
        path: The file that has the content, for messages.

    Raises:
        ValueError: As `read_plans`.
    """
    known = content.get("configurations")
    if not isinstance(known, dict):
        old = any(key in content for key in ("plans_per_stage", "num_stages", "base_num_features"))
        got = "got plans of nnU-Net v1" if old else "got no entry configurations"
        raise ValueError(f"plans: {path}: {got}, wanted plans of nnU-Net v2; {MAKE_AGAIN}")
    names = ", ".join(known)
    if configuration is None:
        raise ValueError(f"configuration: got nothing, wanted one of {names}, those of {path}; set configuration")
    if configuration not in known:
        raise ValueError(f"configuration: got {configuration!r}, wanted one of {names}, those of {path}; change it")
    return _parse(path, content, configuration, _inherited(known, configuration, path))


def _read_json(path: str | Path | None) -> dict[str, Any]:
    if path is None:
        raise ValueError("plans: got nothing, wanted the plans.json of nnU-Net; give plans=FILE")
    if Path(path).suffix == ".pkl":
        raise ValueError(f"plans: {path}: got a pickle, as nnU-Net v1 writes, wanted plans.json of v2; {MAKE_AGAIN}")
    try:
        content = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise ValueError(f"plans: {path}: {reason}, wanted the plans.json of nnU-Net; check the path") from error
    except (ValueError, RecursionError) as error:
        reason = " ".join(str(error).split())[:100]
        raise ValueError(
            f"plans: {path}: is no JSON ({reason}), wanted plans.json of nnU-Net v2; replace it"
        ) from error
    if not isinstance(content, dict):
        raise ValueError(f"plans: {path}: got a {type(content).__name__}, wanted plans of nnU-Net v2; replace it")
    return content


def _inherited(known: Mapping[str, Any], name: str, path: str) -> dict[str, Any]:
    """Return the entries of a configuration, with those of the configurations that it inherits from."""
    chain_of_names: list[str] = []
    entries: dict[str, Any] = {}
    following: Any = name
    while following is not None:
        if following in chain_of_names or not isinstance(known.get(following), dict):
            raise ValueError(
                f"plans: {path}: configuration {name} inherits from {following!r}, wanted another one of "
                f"{', '.join(known)}; correct inherits_from"
            )
        chain_of_names.append(following)
        entries = known[following] | entries
        following = known[following].get("inherits_from")
    return entries


def _parse(path: str, content: Mapping[str, Any], name: str, entries: dict[str, Any]) -> Plans:
    where = f"plans: {path}: configuration {name}"
    if entries.get("previous_stage"):
        raise ValueError(
            f"{where}: got a stage of a cascade, which takes the masks of {entries['previous_stage']} too, wanted one "
            "that takes images alone; choose another configuration"
        )
    if "architecture" not in entries and "UNet_class_name" in entries:
        raise ValueError(
            f"{where}: got plans of an older nnU-Net v2 (UNet_class_name), wanted architecture; {MAKE_AGAIN}"
        )
    missing = [key for key in ("architecture", *ENTRIES) if key not in entries]
    missing += [key for key in ("transpose_forward", "image_reader_writer") if key not in content]
    if missing:
        raise ValueError(f"{where}: lacks {', '.join(missing)}, wanted plans of nnU-Net v2; {MAKE_AGAIN}")
    network, arguments = _architecture(entries["architecture"], where)
    patch = checks.counts(f"{where}: patch_size", entries["patch_size"], least=2)
    plans = Plans(
        path=path,
        dataset=str(content.get("dataset_name", "")),
        configuration=name,
        network=network,
        arguments=arguments,
        imported=tuple(entries["architecture"].get("_kw_requires_import", ())),
        patch_size=patch,
        spacing=tuple(float(side) for side in entries["spacing"]),
        normalization_schemes=tuple(map(str, entries["normalization_schemes"])),
        use_mask_for_norm=tuple(map(bool, entries["use_mask_for_norm"])),
        transpose_forward=tuple(content["transpose_forward"]),
        intensities=_intensities(content),
        reader=str(content["image_reader_writer"]),
        content=entries,
    )
    _check_lengths(plans, where)
    return plans


def _architecture(entry: Any, where: str) -> tuple[str, dict[str, Any]]:
    """Return the name of the network's class and its arguments."""
    if not isinstance(entry, dict) or not isinstance(entry.get("arch_kwargs"), dict):
        raise ValueError(f"{where}: wanted architecture with network_class_name and arch_kwargs; {MAKE_AGAIN}")
    full = str(entry.get("network_class_name"))
    name = full.rpartition(".")[2]
    if name not in NETWORKS or not full.startswith(PACKAGE):
        raise ValueError(f"{where}: got the network {full}, wanted one of {', '.join(NETWORKS)} of {PACKAGE[:-1]}")
    arguments = dict(entry["arch_kwargs"])
    for key in PER_STAGE:
        if not isinstance(arguments.get(key), list) or len(arguments[key]) != arguments.get("n_stages"):
            raise ValueError(
                f"{where}: got n_stages {arguments.get('n_stages')} and {key} {arguments.get(key)}, wanted a list with "
                f"one entry per stage; {MAKE_AGAIN}"
            )
    checks.counts(f"{where}: features_per_stage", arguments["features_per_stage"], least=2)
    return name, arguments


def _intensities(content: Mapping[str, Any]) -> tuple[dict[str, float], ...]:
    """Return the statistics of each channel; none if the plans have none."""
    found = content.get("foreground_intensity_properties_per_channel") or {}
    return tuple(found[key] for key in sorted(found, key=int))


def _check_lengths(plans: Plans, where: str) -> None:
    """Raise ValueError if entries do not fit together."""
    dims, channels = plans.dims, len(plans.normalization_schemes)
    lists = chain(plans.arguments["strides"], plans.arguments["kernel_sizes"])
    wrong = {
        "spacing": len(plans.spacing) != dims,
        "use_mask_for_norm": len(plans.use_mask_for_norm) != channels,
        "transpose_forward": sorted(plans.transpose_forward) != [0, 1, 2],
        "strides or kernel_sizes": any(isinstance(each, list) and len(each) != dims for each in lists),
    }
    if found := [key for key, is_wrong in wrong.items() if is_wrong]:
        raise ValueError(f"{where}: {found[0]} does not fit {dims} axes and {channels} channels; {MAKE_AGAIN}")
