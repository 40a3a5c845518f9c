"""Pretrained weights: fetched only when asked for, and held to their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path


def check(encoder_name: str, weights: str | None, download: bool) -> None:
    """Raise ValueError for weights that smp does not have, may not fetch, or that are not of their hash."""
    if weights is None:
        return
    from huggingface_hub import hf_hub_download  # here, because both are optional
    from segmentation_models_pytorch.encoders import encoders

    known = encoders.get(encoder_name, {}).get("pretrained_settings", {})
    if weights not in known:
        wanted = ", ".join(known) or "none"
        raise ValueError(f"encoder_weights: got {weights!r}, and {encoder_name} has {wanted}; change it or set null")
    if not download:
        raise ValueError(f"encoder_weights: got {weights!r}, which a hub holds; set download=true to fetch it, or null")
    settings = known[weights]
    try:
        file = Path(hf_hub_download(settings["repo_id"], "model.safetensors", revision=settings["revision"])).resolve()
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"encoder_weights: download failed ({reason}); check the network, or set null") from error
    if hashlib.sha256(file.read_bytes()).hexdigest() != file.name:  # the hub's cache names a file by its hash
        raise ValueError(f"encoder_weights: {file} is not the file of its hash; remove it, to fetch it again")
