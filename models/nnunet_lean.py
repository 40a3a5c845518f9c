"""Leaner plans of nnU-Net: fewer channels, stages and convolutions, in the words of the plans."""

from __future__ import annotations

import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

from models import checks
from models.nnunet_plans import PER_STAGE, Plans

ENCODER_CONVS = {"PlainConvUNet": "n_conv_per_stage", "ResidualEncoderUNet": "n_blocks_per_stage"}
DECODER_CONVS = "n_conv_per_stage_decoder"
LEAST_STAGES = 2


def encoder_convs(plans: Plans) -> tuple[int, ...]:
    """Return the number of convolutions (or residual blocks) of each stage of the encoder, full resolution first."""
    key = ENCODER_CONVS[plans.network]
    return checks.one_per(key, plans.arguments[key], plans.n_stages, "stage")


def decoder_convs(plans: Plans) -> tuple[int, ...]:
    """Return the number of convolutions of each stage of the decoder, in nnU-Net's order: the deepest first."""
    return checks.one_per(DECODER_CONVS, plans.arguments[DECODER_CONVS], plans.n_stages - 1, "stage")


def lean(
    plans: Plans,
    features_per_stage: Sequence[int] | None = None,
    n_conv_per_stage: int | Sequence[int] | None = None,
    n_conv_per_stage_decoder: int | Sequence[int] | None = None,
) -> Plans:
    """Return plans with other widths, fewer stages or other numbers of convolutions. None keeps those of the plans.

    Args:
        plans: The plans.
        features_per_stage: Channels of each stage, full resolution first. If there are fewer numbers than the plans
            have stages, the deepest stages are removed, and all lists of the plans are shortened in the same way.
        n_conv_per_stage: Convolutions of each stage of the encoder (in a residual one, blocks), or one number for all.
        n_conv_per_stage_decoder: Convolutions of each stage of the decoder, the deepest first, or one number for all.

    Raises:
        ValueError: There are more stages than in the plans, or fewer than two, or a list has the wrong length.
    """
    if features_per_stage is n_conv_per_stage is n_conv_per_stage_decoder is None:
        return plans
    widths = checks.counts("features_per_stage", features_per_stage or plans.features_per_stage, least=LEAST_STAGES)
    stages, removed = len(widths), plans.n_stages - len(widths)
    if removed < 0:
        raise ValueError(
            f"features_per_stage: got {list(widths)}, wanted at most {plans.n_stages} numbers, as the plans "
            f"{plans.path} have stages; shorten it"
        )
    encoder, decoder = encoder_convs(plans)[:stages], decoder_convs(plans)[removed:]
    if n_conv_per_stage is not None:
        encoder = _counts("n_conv_per_stage", n_conv_per_stage, stages)
    if n_conv_per_stage_decoder is not None:
        decoder = _counts(DECODER_CONVS, n_conv_per_stage_decoder, stages - 1)
    arguments = plans.arguments | {name: plans.arguments[name][:stages] for name in PER_STAGE}
    arguments |= {"n_stages": stages, "features_per_stage": list(widths)}
    arguments |= {ENCODER_CONVS[plans.network]: list(encoder), DECODER_CONVS: list(decoder)}
    content = deepcopy(plans.content)
    content["architecture"]["arch_kwargs"] = arguments
    return replace(plans, arguments=arguments, content=content)


def _counts(name: str, given: int | Sequence[int], count: int) -> tuple[int, ...]:
    """Return a positive number for each stage."""
    return checks.counts(name, checks.one_per(name, given, count, "stage"))


def data_folder(plans: Plans) -> str:
    """Return the name of the folder that has the preprocessed cases of the plans."""
    return plans.content.get("data_identifier") or f"{Path(plans.path).stem}_{plans.configuration}"


def write_plans(plans: Plans, name: str, folder: str | Path) -> Path:
    """Write complete plans that `nnUNetv2_train DATASET CONFIGURATION FOLD -p NAME` takes.

    The file has one configuration. It names the preprocessed data of the original plans, so that nothing has to be
    preprocessed again.

    Args:
        plans: The plans, as changed by `lean`.
        name: Name of the new plans, such as nnUNetLeanPlans_1.
        folder: Folder of the file `NAME.json`.

    Returns:
        The file.
    """
    content = json.loads(Path(plans.path).read_text(encoding="utf-8"))
    entries = {key: value for key, value in plans.content.items() if key != "inherits_from"}
    entries["data_identifier"] = data_folder(plans)
    content |= {"plans_name": name, "configurations": {plans.configuration: entries}}
    path = Path(folder) / f"{name}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=4) + "\n", encoding="utf-8")
    return path
