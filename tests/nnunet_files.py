"""Small datasets, plans and checkpoints in the formats of nnU-Net v2."""

import json
import struct
import zlib
from copy import deepcopy
from pathlib import Path

import nibabel as nib
import numpy as np
import torch
from PIL import Image

CHANNELS = {"0": "MRI"}
LABELS = {"background": 0, "inner": 1, "outer": 2}
INTENSITIES = {"mean": 20.0, "std": 8.0, "percentile_00_5": 5.0, "percentile_99_5": 35.0, "median": 20.0}


def plans_content(
    features=(4, 6, 8),
    spacing=(1.0, 1.0, 1.0),
    patch=(16, 16, 16),
    schemes=("ZScoreNormalization",),
    use_mask=(False,),
    transpose=(0, 1, 2),
    network="PlainConvUNet",
    convs=2,
) -> dict:
    """Return the content of plans.json, with the configurations 2d and 3d_fullres, and 3d_lowres that inherits."""
    configurations = {}
    for name, dims in (("2d", 2), ("3d_fullres", 3)):
        stages = len(features)
        count = "n_conv_per_stage" if network == "PlainConvUNet" else "n_blocks_per_stage"
        configurations[name] = {
            "preprocessor_name": "DefaultPreprocessor",
            "batch_size": 2,
            "patch_size": list(patch[-dims:]),
            "spacing": list(spacing[-dims:]),
            "normalization_schemes": list(schemes),
            "use_mask_for_norm": list(use_mask),
            "resampling_fn_data": "resample_data_or_seg_to_shape",
            "resampling_fn_seg": "resample_data_or_seg_to_shape",
            "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
            "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
            "architecture": {
                "network_class_name": f"dynamic_network_architectures.architectures.unet.{network}",
                "arch_kwargs": {
                    "n_stages": stages,
                    "features_per_stage": list(features),
                    "conv_op": f"torch.nn.modules.conv.Conv{dims}d",
                    "kernel_sizes": [[3] * dims] * stages,
                    "strides": [[1] * dims, *[[2] * dims] * (stages - 1)],
                    count: [convs] * stages,
                    "n_conv_per_stage_decoder": [convs] * (stages - 1),
                    "conv_bias": True,
                    "norm_op": f"torch.nn.modules.instancenorm.InstanceNorm{dims}d",
                    "norm_op_kwargs": {"eps": 1e-05, "affine": True},
                    "dropout_op": None,
                    "dropout_op_kwargs": None,
                    "nonlin": "torch.nn.LeakyReLU",
                    "nonlin_kwargs": {"inplace": True},
                },
                "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
            },
            "batch_dice": dims == 2,
        }
    configurations["3d_lowres"] = {"inherits_from": "3d_fullres", "spacing": [2.0, 2.0, 2.0]}
    configurations["3d_cascade_fullres"] = {"inherits_from": "3d_fullres", "previous_stage": "3d_lowres"}
    return {
        "dataset_name": "Dataset901_Test",
        "plans_name": "nnUNetPlans",
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": list(transpose),
        "transpose_backward": list(np.argsort(transpose).tolist()),
        "configurations": configurations,
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {str(i): INTENSITIES for i in range(len(schemes))},
    }


def changed(content: dict, configuration: str, **entries) -> dict:
    """Return plans with other entries in a configuration, or without an entry whose new value is None."""
    content = deepcopy(content)
    of = content["configurations"][configuration]
    for key, value in entries.items():
        if value is None:
            del of[key]
        else:
            of[key] = value
    return content


def write_plans(folder: Path, content: dict | None = None, name: str = "nnUNetPlans.json") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(json.dumps(content or plans_content()))
    return folder / name


def ball(rng: np.random.Generator, shape=(14, 18, 16), channels: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Draw an image (channels, *shape) of 10 to 40 with a bright shell, and its mask of 0, 1 (inside) and 2 (shell)."""
    centre = [rng.uniform(0.4, 0.6) * side for side in shape]
    distance = sum(((axis - c) / s) ** 2 for axis, c, s in zip(np.indices(shape), centre, shape, strict=True))
    mask = np.select([distance < 0.03, distance < 0.07], [1, 2], 0).astype(np.uint8)
    image = 10 + 10 * mask + 10 * rng.random((channels, *shape))
    return image.astype(np.float32), mask


def write_array(path: Path, array: np.ndarray, spacing=(1.0, 1.0, 1.0)) -> None:
    """Write an array of (slices, rows, columns), or (rows, columns[, 3]) for a picture, in the format of the ending."""
    if path.name.endswith((".nii.gz", ".nii")):
        nib.save(nib.Nifti1Image(array.T, np.diag([*spacing[::-1], 1])), path)
    elif path.suffix == ".nrrd":
        path.write_bytes(nrrd_bytes(array, spacing))
    elif path.suffix in (".tif", ".tiff") and array.ndim == 3 and array.shape[-1] != 3:
        first, *rest = [Image.fromarray(each) for each in array]
        first.save(path, save_all=True, append_images=rest)
    else:
        Image.fromarray(array).save(path)


def nrrd_bytes(array: np.ndarray, spacing, encoding: str = "gzip", **fields: str) -> bytes:
    """Return the bytes of an NRRD file."""
    kinds = {"f4": "float", "u1": "unsigned char", "i2": "short"}
    axes = array.ndim
    directions = [f"({','.join(str(spacing[::-1][i] if i == j else 0) for j in range(axes))})" for i in range(axes)]
    header = {
        "type": kinds[array.dtype.str[1:]], "dimension": axes, "space dimension": axes,
        "sizes": " ".join(map(str, array.shape[::-1])), "space directions": " ".join(directions),
        "kinds": " ".join(["domain"] * axes), "endian": "little", "encoding": encoding,
    } | {key.replace("_", " "): value for key, value in fields.items()}  # fmt: skip
    lines = "\n".join(f"{key}: {value}" for key, value in header.items() if value != "")
    data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    if encoding == "gzip":
        raw = zlib.compressobj(wbits=-15)
        packed = raw.compress(data) + raw.flush()
        tail = struct.pack("<II", zlib.crc32(data), len(data))
        data = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff" + packed + tail
    return f"NRRD0004\n# a comment\n{lines}\n\n".encode() + data


def write_raw(
    folder: Path,
    cases: int = 10,
    ending: str = ".nii.gz",
    part: str = "Tr",
    seed: int = 0,
    channels: int = 1,
    **changes,
) -> Path:
    """Write a dataset of `cases` volumes with the name case00 and so on; `changes` change dataset.json."""
    rng = np.random.default_rng(seed)
    for name in (f"images{part}", f"labels{part}"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    for number in range(cases):
        image, mask = ball(rng, channels=channels)
        name = f"{'case' if part == 'Tr' else 'test'}{number:02d}"
        for channel, array in enumerate(image):
            values = array if ending.startswith((".nii", ".nrrd")) else array.astype(np.uint8)
            write_array(folder / f"images{part}" / f"{name}_{channel:04d}{ending}", values)
        write_array(folder / f"labels{part}" / f"{name}{ending}", mask)
    names = {str(number): f"channel {number}" for number in range(channels)}
    content = {"channel_names": names, "labels": LABELS, "numTraining": cases, "file_ending": ending} | changes
    (folder / "dataset.json").write_text(
        json.dumps({key: value for key, value in content.items() if value is not None})
    )
    return folder


def write_checkpoint(path: Path, network: torch.nn.Module, content: dict, configuration: str, **changes) -> Path:
    """Write a checkpoint with the keys and the types of those of nnU-Net."""
    path.parent.mkdir(parents=True, exist_ok=True)
    checkpoint = {
        "network_weights": network.state_dict(),
        "optimizer_state": {"state": {}, "param_groups": [{"lr": 0.01}]},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float32(0.5)], "train_losses": [np.float64(0.1)], "lrs": [0.01]},
        "_best_ema": np.float32(0.5),
        "current_epoch": 2,
        "init_args": {
            "plans": content,
            "configuration": configuration,
            "fold": 0,
            "dataset_json": {"channel_names": CHANNELS, "labels": LABELS, "file_ending": ".nii.gz"},
            "device": torch.device("cpu"),
        },
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1),
    }
    torch.save(checkpoint | changes, path)
    return path
