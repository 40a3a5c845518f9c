"""Files: a whole network in a file of torch.export (.pt2), without its Python class."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from models.checkpoints import is_script
from models.custom import Custom

EXPORT = (
    "torch.export.save(torch.export.export(network.eval(), (images,), "
    "dynamic_shapes=({0: torch.export.Dim('batch')},)), 'network.pt2')"
)


class File(Custom):
    """The network in a file of torch.export, with its weights: images (N, in_channels, *input_size) to logits.

    The file has no class, so the network can't be initialised again. It takes images of the size with which it was
    exported, and batches of any size.

    Args:
        path: Path of the file (.pt2). Read only files that you trust: an exported program is code.
        taps: As in `Custom`. None finds the blocks.
        in_channels: Channels of the images.
        input_size: Size of the images.
        multilabel: Whether the outputs are independent probabilities.
        output: As in `Custom`.

    Raises:
        ValueError: The file is no exported program, or its network takes batches of only one size.

    Examples:
        >>> import os, tempfile
        >>> network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 1, 1)).eval()
        >>> batch = {0: torch.export.Dim("batch")}
        >>> program = torch.export.export(network, (torch.zeros(2, 1, 8, 8),), dynamic_shapes=(batch,))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "network.pt2")
        ...     torch.export.save(program, path)
        ...     [tap.name for tap in File(path, in_channels=1, input_size=(8, 8)).taps()]
        ['1', '2']
    """

    reads_files = True  # so that a stored config may name it only if the user trusts it

    def __init__(
        self,
        path: str,
        taps: Sequence[str | Mapping] | None = None,
        in_channels: int = 3,
        input_size: Sequence[int] = (64, 64),
        multilabel: bool = False,
        output: str | int | None = None,
    ):
        super().__init__(read_network(path), taps, in_channels, input_size, multilabel, output)
        self.arguments = (path, taps, in_channels, input_size, multilabel, output)

    def __deepcopy__(self, memo: dict[int, Any]) -> File:
        """Read the file again, because the graph of an exported program can't be copied."""
        copy = File(*self.arguments).to(next(iter(self.parameters()), torch.empty(0)).device)
        copy.load_state_dict(self.state_dict())
        return copy.train(self.training)


def read_network(path: str | Path) -> nn.Module:
    """Read the network of an exported program, with the modules that it was exported with.

    Raises:
        ValueError: The file is no exported program, or its network takes batches of only one size.
    """
    program = read_program(path)
    named = {node.name: node for node in program.graph.nodes if node.op == "placeholder"}
    images = [named[name].meta["val"] for name in program.graph_signature.user_inputs if name in named]
    if len(images) != 1 or not isinstance(images[0], Tensor):
        raise ValueError(f"path: {path} has a network of {len(images)} inputs, wanted one, the images")
    if isinstance(images[0].shape[0], int):
        raise ValueError(
            f"path: {path} has a network that takes batches of exactly {images[0].shape[0]}, wanted any size of batch; "
            f"export it again: {EXPORT}"
        )
    with warnings.catch_warnings(action="ignore"):  # about attributes that are not restored
        return torch.export.unflatten(program)


def read_program(path: str | Path) -> ExportedProgram:
    """Read an exported program.

    Raises:
        ValueError: The file does not exist, or is no exported program of this version of PyTorch.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"path: got {path}, which is {'a folder' if path.is_dir() else 'no file'}; give a .pt2 file")
    if is_script(path):
        raise ValueError(
            f"path: {path} is a TorchScript archive, in whose layers nothing can be read; give the Python class as "
            f"model=custom model.network._target_=my.Net, and weights={path}"
        )
    try:
        return torch.export.load(path)
    except Exception as error:  # the reader raises errors of any kind for a wrong file
        reason = " ".join(str(error).split())[:150] or type(error).__name__
        raise ValueError(
            f"path: {path} is no program of torch.export ({reason}); export it: {EXPORT}, or give the Python class as "
            f"model=custom model.network._target_=my.Net, and weights={path}"
        ) from error
