"""Checkpoints: read the weights of a trained network from a file, and load them into a network of the same design."""

from __future__ import annotations

import pickle
import re
import zipfile
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

# keys below which training scripts keep the weights; nnU-Net has network_weights
CONTAINERS = ("state_dict", "model_state_dict", "network_weights", "model", "network", "net")
COMPILED = "_orig_mod."  # part of a name that torch.compile adds
OPTIONAL = "num_batches_tracked"  # old versions of batch norm do not store it, and evaluation does not use it
SHOWN = 5  # names in a message
# NumPy's scalars, which checkpoints of nnU-Net have beside the weights; none of them can run code
_MAKERS: list[Any] = [value.__reduce__()[0] for value in (np.float64(0), np.zeros(1))]
NUMPY: list[Any] = [
    np.dtype, np.ndarray,
    *((make, f"numpy.{core}.multiarray.{make.__name__}") for make in _MAKERS for core in ("core", "_core")),
    *(type(np.dtype(kind)) for kind in ("f2", "f4", "f8", "i4", "i8", "u1", "?")),
]  # fmt: skip
SAVE = "save tensors alone in the training script: torch.save(network.state_dict(), 'weights.pt')"

Weights = dict[str, Tensor]


def read_weights(path: str | Path) -> Weights:
    """Read the weights in a file, by name, on the CPU. No code in a file of pickled objects runs.

    The file can be a state dict of PyTorch, alone or in a checkpoint with one of the keys of `CONTAINERS`, such as that
    of Lightning or nnU-Net; a file of safetensors; or a TorchScript archive or an exported program (.pt2).

    Args:
        path: Path of the file. Its content decides the format; for .safetensors and .pt2, its ending.

    Raises:
        ValueError: The file does not exist or is damaged, holds pickled objects, or has no weights.
    """
    path = _file(path)
    if path.suffix == ".safetensors":
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        try:
            return load_file(path)
        except (SafetensorError, OSError) as error:
            raise _damaged(path, error) from error
    if path.suffix == ".pt2":
        from models.files import read_program

        return dict(read_program(path).state_dict)
    return _unwrapped(_read_script(path) if is_script(path) else read_pickle(path), path)


def read_pickle(path: str | Path) -> Any:
    """Read what torch.save wrote, if it has only tensors, numbers, texts and containers.

    Raises:
        ValueError: The file does not exist or is damaged, or holds other objects.
    """
    path = _file(path)
    for allowed in (nullcontext(), torch.serialization.safe_globals(NUMPY)):
        try:
            with allowed:
                return torch.load(path, map_location="cpu", weights_only=True)
        except pickle.UnpicklingError as error:
            reason = error
        except (RuntimeError, EOFError, OSError, ValueError, KeyError) as error:
            raise _damaged(path, error) from error
    refused = re.search(r"GLOBAL ([\w.]+)|(?:class|function|type) ([\w.]+)", str(reason))
    if refused is None:
        raise _damaged(path, "torch.load can't read it") from reason
    raise ValueError(
        f"weights: {path} holds pickled objects ({refused[1] or refused[2]}), and reading these can run any code, so "
        f"it is refused; {SAVE}, or use safetensors"
    ) from reason


def is_script(path: Path) -> bool:
    """Return whether a file is a TorchScript archive."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return any(re.fullmatch(r"[^/]+/constants\.pkl", name) for name in archive.namelist())


def load_weights(network: nn.Module, weights: Mapping[str, Tensor], prefix: str | None = None) -> str:
    """Load weights into a network in place. Every weight of the network must be there, with its shape.

    Names can have a prefix, such as `module.` of DataParallel or the attribute of a Lightning module. The network can
    be one of another library inside a wrapper of this package: then names of the library fit too.

    Args:
        network: The network.
        weights: The weights by name, as `read_weights` returns them. Names without the prefix are left out.
        prefix: The prefix of the names. None finds the one with which most names fit.

    Returns:
        The prefix.

    Raises:
        ValueError: Names or shapes do not fit, or several prefixes fit equally.

    Examples:
        >>> network = nn.Linear(2, 1)
        >>> weights = {"module.weight": torch.ones(1, 2), "module.bias": torch.zeros(1), "loss": torch.ones(2)}
        >>> load_weights(network, weights)
        'module.'
    """
    given = {name.replace(COMPILED, ""): tensor for name, tensor in weights.items()}
    own = network.state_dict()
    found = [(scheme, *_prefix_of(given, scheme, prefix)) for scheme in _schemes(network, own)]
    names, start, fitting = max(found, key=lambda each: each[2])  # the first of equal ones
    inside = {name.removeprefix(start): tensor for name, tensor in given.items() if name.startswith(start)}
    missing = [name for name in names if name not in inside and not name.endswith(OPTIONAL)]
    unexpected = [name for name in inside if name not in names]
    if missing or unexpected:
        raise ValueError(
            f"weights: {fitting} of {len(names)} names fit{f' with the prefix {start!r}' if start else ''}; "
            f"missing: {_listed(missing)}; unexpected: {_listed(unexpected)}; build the network as it was trained"
            + ("" if fitting else f", or give the prefix of the names, which begin as {min(given, default='')!r}")
        )
    wrong = [
        f"{name} {tuple(inside[name].shape)} for {tuple(own[key].shape)}"
        for name, key in names.items()
        if name in inside and inside[name].shape != own[key].shape
    ]
    if wrong:
        raise ValueError(
            f"weights: {len(wrong)} of {len(names)} have another shape in the file than in the network: "
            f"{_listed(wrong)}; build the network with the channels, classes and widths it was trained with"
        )
    state = {key: inside.get(name, own[key]) for name, key in names.items()}
    network.load_state_dict({key: tensor.to(own[key].dtype) for key, tensor in state.items()})
    return start


def _schemes(network: nn.Module, own: Iterable[str]) -> list[dict[str, str]]:
    """Return the ways to name the weights of a network: a name in the file to the name in the network."""
    keys = list(own)
    schemes = [{key: key for key in keys}]
    if callable(rename := getattr(network, "library_name", None)):
        schemes.append({rename(key): key for key in keys})
    while len(firsts := {name.partition(".")[0] for name in schemes[-1]}) == 1 and all("." in n for n in schemes[-1]):
        schemes.append({name.removeprefix(f"{min(firsts)}."): key for name, key in schemes[-1].items()})
    return schemes


def _prefix_of(given: Mapping[str, Tensor], names: Mapping[str, str], prefix: str | None) -> tuple[str, int]:
    """Return the prefix with which most names fit, and how many.

    Raises:
        ValueError: Several prefixes fit equally, such as those of a student and a teacher.
    """
    counts: Counter[str] = Counter()
    for name in given:
        starts = [0, *(dot.end() for dot in re.finditer(r"\.", name))]
        counts.update(name[:start] for start in starts if name[start:] in names)
    if prefix is not None:
        return prefix, counts[prefix]
    if not counts:
        return "", 0
    most = max(counts.values())
    best = sorted(name for name, count in counts.items() if count == most)
    if len(best) > 1 and most > len(names) / 2:
        raise ValueError(
            f"weights: the file has several networks that fit, with the prefixes {', '.join(map(repr, best))}; "
            "choose one by prefix"
        )
    return min(best, key=len), most


def _file(path: str | Path) -> Path:
    """Return the path of a file that exists."""
    path = Path(path).expanduser()
    if not path.is_file():
        raise ValueError(f"weights: got {path}, which is {'a folder' if path.is_dir() else 'no file'}; give a file")
    return path


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return (", ".join(names[:SHOWN]) or "none") + more


def _read_script(path: Path) -> Weights:
    try:
        return dict(torch.jit.load(path, map_location="cpu").state_dict())
    except (RuntimeError, ValueError) as error:
        raise _damaged(path, error) from error


def _unwrapped(content: Any, path: Path) -> Weights:
    """Return the state dict in a checkpoint."""
    for _ in range(2):  # a checkpoint may hold a checkpoint
        if isinstance(content, Mapping):
            tensors = {name: value for name, value in content.items() if isinstance(value, Tensor)}
            if tensors and len(tensors) == len(content) and all(isinstance(name, str) for name in tensors):
                return tensors
            content = next((content[key] for key in CONTAINERS if isinstance(content.get(key), Mapping)), content)
    if isinstance(content, Mapping) and (tensors := {n: v for n, v in content.items() if isinstance(v, Tensor)}):
        return tensors  # a state dict with extra states that are no tensors
    got = (
        f"keys {', '.join(map(repr, list(content)[:SHOWN]))}"
        if isinstance(content, Mapping)
        else type(content).__name__
    )
    raise ValueError(f"weights: {path} has {got}, wanted a state dict, or one below {', '.join(CONTAINERS)}; {SAVE}")


def _damaged(path: Path, error: Exception | str) -> ValueError:
    reason = " ".join(str(error).split())[:150] or type(error).__name__
    return ValueError(f"weights: {path} is damaged or no file of weights ({reason}); {SAVE}")
