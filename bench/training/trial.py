"""Trial: run a network on the first batches, so that an error is raised before training and not during it."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

from bench.datasets.data import Data
from bench.datasets.storage import Samples, loaded
from bench.errors import InputError, explain
from bench.training.evaluate import score
from bench.training.precision import check_compiler, mixed
from models.tracing import device_of, require_uncompiled

TOLERANCE = 1e-3  # change by rounding when the batch has other samples, as a share of the largest output
Loss = Callable[[Tensor, Tensor], Tensor]


def check_parameters(model: nn.Module) -> None:
    """Raise InputError if a network is compiled, or if its parameters or buffers are not in memory as float32."""
    try:
        require_uncompiled(model)
    except ValueError as error:
        raise InputError(f"model: {error}") from error
    for name, tensor in (*model.named_parameters(), *model.named_buffers()):
        if nn.parameter.is_lazy(tensor):
            raise InputError(f"model: {name} has no shape yet, wanted no lazy modules; give their sizes")
        if tensor.is_meta:
            raise InputError(f"model: {name} is on the meta device, wanted it in memory; build the network without it")
        if tensor.is_floating_point() and tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise InputError(f"model: {name} is {kind}, wanted float32, the type of the images; add .float()")


def wanted_shape(data: Data) -> tuple[int, ...]:
    """Return the shape that the output of a network must have for one sample of these data."""
    return (data.outputs, *data.image_size) if data.task == "segmentation" else (data.outputs,)


@torch.no_grad()
def trial_output(model: nn.Module, images: Samples) -> Tensor:
    """Compute the output of a network for two images in evaluation mode.

    Args:
        model: The network.
        images: (n, channels, *spatial). Only the first two are used.

    Raises:
        InputError: The network fails on the images, changes them in place, or returns something other than a finite
            tensor; or the output of an image differs in a second pass or without the other image of the batch.
    """
    check_parameters(model)
    model.eval()
    given = images[:2].to(device_of(model))
    images = given.clone()
    with _failures_as_input_errors("in evaluation mode", given):
        output = _require_tensor(model(images), "in evaluation mode")
        if not torch.equal(images, given):
            raise InputError(
                "model: changes its input images in place, wanted them unchanged; make its first layer copy them "
                "(inplace=False)"
            )
        if len(output) != len(images):
            raise InputError(
                f"model: got an output of shape {tuple(output.shape)} for {len(images)} images, wanted {len(images)} "
                "on the first axis"
            )
        if not torch.isfinite(output).all():
            raise InputError("model: gives values that are NaN or infinite, wanted finite logits; check its weights")
        difference = "different outputs for the same images in evaluation mode; remove its randomness"
        _require_equal(model(images), output, difference)
        alone = _require_tensor(model(images[:1]), "in evaluation mode")
        _require_equal(
            alone,
            output[:1],
            f"different outputs for an image alone {tuple(alone.shape)} and in a batch {tuple(output[:1].shape)}; in "
            "evaluation mode, no layer may mix the samples of a batch or drop its axis",
        )
    return output


def check_training(
    model: nn.Module,
    data: Data,
    loss: Loss,
    epochs: int,
    batch_size: int,
    teacher: nn.Module | None = None,
    patches: int = 1,
    amp: bool | str = False,
    compile: bool = False,
) -> None:
    """Raise InputError if a training step fails for a size of batch that will occur.

    The network, its gradients and the random states do not change.

    Args:
        model: The network.
        data: The dataset.
        loss: Training loss of logits and targets; with a teacher, of logits and the logits of the teacher.
        epochs: Number of epochs. With 0 no step is tried.
        batch_size: Number of samples in a batch.
        teacher: A network whose logits replace the targets, or None.
        patches: Number of patches of a volume in an epoch.
        amp: Mixed precision, as by `precision`.
        compile: Whether to try a step of the compiled network too.
    """
    _check_score(data)
    if epochs == 0:
        return
    if not any(parameter.requires_grad for parameter in model.parameters()):
        found = "no parameter" if next(model.parameters(), None) is None else "no parameter that requires a gradient"
        raise InputError(f"model: has {found}, wanted one to train; set requires_grad, or train.epochs=0 to measure it")
    samples = len(data.whole("train")) * patches
    for size in sorted({min(batch_size, samples), samples % batch_size or batch_size} - {0}, reverse=True):
        size = min(size, samples)
        try:
            with preserved_state(model):
                _step(model, data, loss, size, teacher, amp, model)
        except InputError as error:
            if size > 1:
                raise
            raise InputError(_explain_batch_of_one(str(error), samples, batch_size)) from error
    if not compile:
        return
    check_compiler(device_of(model))
    try:
        with preserved_state(model):
            _step(model, data, loss, min(batch_size, samples), teacher, amp, torch.compile(model))
    except InputError as error:
        raise InputError(f"train.compile: got true, but a compiled step fails; set it to false ({error})") from error


def _step(
    model: nn.Module,
    data: Data,
    loss: Loss,
    size: int,
    teacher: nn.Module | None,
    amp: bool | str,
    forward: Callable[[Tensor], Tensor],
) -> None:
    """Run a step of training of a network. `forward` is the network, or its compiled copy."""
    rows = torch.arange(size) % len(data.train)  # for volumes, data.train has one patch of each
    device = device_of(model)
    images, targets = data.train.images[rows].to(device), data.train.targets[rows].to(device)
    if teacher is not None:
        with torch.no_grad():
            targets = teacher(images)
    model.train()
    with _failures_as_input_errors(f"in a step of training on {size} images", images):
        with mixed(amp, device):
            output = _require_tensor(forward(images), "in training mode").float()
        if tuple(output.shape[1:]) != wanted_shape(data):
            raise InputError(f"model: gives {tuple(output.shape[1:])} in training mode, wanted {wanted_shape(data)}")
        value = loss(output, targets)
        if not torch.isfinite(value):
            raise InputError(f"train.loss: got {value.item()} for the first batch, wanted a finite number")
        parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        gradients = torch.autograd.grad(value, parameters, allow_unused=True)
    if all(gradient is None for gradient in gradients):
        raise InputError("model: the loss depends on no parameter that requires a gradient, wanted one to train")


def _explain_batch_of_one(reason: str, samples: int, batch_size: int) -> str:
    """Return the error for a batch of one sample. It suggests a size without such a batch."""
    got = f"train.batch_size: got {batch_size}, which makes a batch of one out of {samples} training samples"
    works = [size for size in (*range(min(batch_size, samples), 1, -1), *range(batch_size, samples + 1))]
    works = [size for size in works if size > 1 and samples % size != 1]
    fix = f"set train.batch_size={works[0]}" if works else "add samples to the training split"
    return f"{got}, but this network can't learn from one sample; {fix} or set model.norm=group or none ({reason})"


def _check_score(data: Data) -> None:
    """Raise InputError if the validation targets do not allow a score."""
    if data.task != "multilabel":
        return
    targets = loaded(data.val.targets)
    if np.isnan(score(torch.zeros(targets.shape), targets, data)):
        raise InputError(
            f"dataset {data.name}: got no label that some validation samples have and others lack, wanted at least "
            "one, because AUROC selects the best checkpoint; add samples to the validation split"
        )


@contextmanager
def preserved_state(model: nn.Module) -> Iterator[None]:
    """Restore the tensors and modes of a network and the random states at the end of the context."""
    tensors = [*model.parameters(), *model.buffers()]
    before, modes = [tensor.detach().clone() for tensor in tensors], {m: m.training for m in model.modules()}
    drawn = random.getstate()
    try:
        with torch.random.fork_rng([each for each in {tensor.device for tensor in tensors} if each.type == "cuda"]):
            yield
    finally:
        random.setstate(drawn)
        for module, mode in modes.items():
            module.training = mode
        with torch.no_grad():
            for tensor, value in zip(tensors, before, strict=True):
                tensor.copy_(value)


@contextmanager
def _failures_as_input_errors(when: str, images: Tensor) -> Iterator[None]:
    """Turn an error of a network into an InputError of one line. Errors of the machine are raised again."""
    try:
        yield
    except Exception as error:  # a network may raise any error
        if explain(error):
            raise
        reason = " ".join(str(error).split()) or repr(error)
        raise InputError(f"model: refuses images of shape {tuple(images.shape[1:])} {when} ({reason})") from error


def _require_tensor(output, when: str) -> Tensor:
    if isinstance(output, Tensor) and output.is_floating_point() and output.dim() > 1:
        return output
    if isinstance(output, Mapping):
        found = f"a {type(output).__name__} with the keys {', '.join(map(str, output))}"
    elif isinstance(output, Sequence):
        found = f"a {type(output).__name__} of {len(output)}"
    elif isinstance(output, Tensor):
        found = f"a tensor of {str(output.dtype).removeprefix('torch.')} and shape {tuple(output.shape)}"
    else:
        found = f"an object of {type(output).__name__}"
    raise InputError(
        f"model: gives {found} {when}, wanted one tensor of logits; wrap it in a module that returns the tensor "
        "alone, or turn off its deep supervision or auxiliary head"
    )


def _require_equal(got: Tensor, wanted: Tensor, found: str) -> None:
    close = got.shape == wanted.shape and (got - wanted).abs().max() <= TOLERANCE * wanted.abs().max().clamp(min=1e-6)
    if not close:
        raise InputError(f"model: gives {found}")
