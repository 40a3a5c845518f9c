"""Pretrained weights: downloaded only on request, and checked by their hash."""

from __future__ import annotations

import hashlib
from pathlib import Path


def check(encoder_name: str, weights: str | None, download: bool) -> None:
    """Check pretrained weights.

    Raises:
        ValueError: smp does not have the weights, they may not be downloaded, the download fails, or the hash does not
            match.
    """
    if weights is None:
        return
    from huggingface_hub import hf_hub_download  # optional packages
    from segmentation_models_pytorch.encoders import encoders

    known = encoders.get(encoder_name, {}).get("pretrained_settings", {})
    if weights not in known:
        wanted = ", ".join(known) or "none"
        raise ValueError(f"encoder_weights: got {weights!r}, and {encoder_name} has {wanted}; change it or set null")
    if not download:
        raise ValueError(f"encoder_weights: got {weights!r}, which must be downloaded; set download=true, or set null")
    settings = known[weights]
    try:
        file = Path(hf_hub_download(settings["repo_id"], "model.safetensors", revision=settings["revision"])).resolve()
    except OSError as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"encoder_weights: download failed ({reason}); check the connection, or set null") from error
    if hashlib.sha256(file.read_bytes()).hexdigest() != file.name:  # the hub's cache names a file by its hash
        raise ValueError(f"encoder_weights: {file} does not match its hash; remove it, and it is downloaded again")
