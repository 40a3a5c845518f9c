"""Predictions: the logits of a network on the images of a split, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import cast

import numpy as np
import torch

from bench.datasets.data import Data
from bench.datasets.splits import Split
from bench.datasets.storage import Samples, loaded
from models.tracing import device_of

BATCH = 32  # images whose logits are computed, and held for masks, at once
WINDOWS = 4  # windows of a volume in one batch


@torch.no_grad()
def predict(model: torch.nn.Module, images: Samples, batch_size: int = BATCH) -> torch.Tensor:
    """Compute the logits of images (n, channels, *spatial): (n, outputs, ...) on the CPU."""
    device = device_of(model)
    model.eval()
    return torch.cat([model(batch.to(device)).float().cpu() for batch in images.split(batch_size)])


@torch.no_grad()
def predict_volume(model: torch.nn.Module, volume: torch.Tensor, patch: tuple[int, ...]) -> torch.Tensor:
    """Compute the logits of a volume (channels, *spatial) in windows that overlap by half.

    Returns:
        (1, outputs, *spatial) on the CPU.
    """
    from monai.inferers import sliding_window_inference  # here and below, because MONAI takes seconds to load

    device = device_of(model)
    model.eval()
    logits = sliding_window_inference(
        volume[None], patch, WINDOWS, predictor=model, overlap=0.5, mode="gaussian", sw_device=device, device="cpu"
    )
    return cast(torch.Tensor, logits).float()  # of the type that the network returns


def predictions(model: torch.nn.Module, data: Data, split: str) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Yield logits and targets of a split.

    Masks and their logits take much memory, so that they come in batches, and those of volumes one by one. Other
    targets come at once, because scores such as the balanced accuracy are of all samples.
    """
    whole = data.whole(split)
    if isinstance(whole, Split):
        if data.task != "segmentation":
            yield predict(model, whole.images), loaded(whole.targets)
            return
        for first in range(0, len(whole), BATCH):
            batch = whole.take(np.arange(first, min(first + BATCH, len(whole))))
            yield predict(model, batch.images), loaded(batch.targets)
        return
    for image, target in zip(whole.images, whole.targets, strict=True):
        yield predict_volume(model, image, data.image_size), target[None]
