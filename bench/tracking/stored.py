"""Stored: the files of runs, read back and held to their format, since anyone may have changed them."""

from __future__ import annotations

import json
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml
from mlflow.exceptions import MlflowException
from omegaconf import OmegaConf

from bench.errors import InputError
from bench.information.tables import READ, read_table
from bench.tracking.artifacts import most

# of tables by name: the columns that are read, those of text and those of numbers
COLUMNS = {
    "layers.csv": READ,
    "test.csv": (("name", "group"), ()),
    "filter_count.csv": (("tap", "estimator", "about", "order"), ("recommended",)),
    "filters.csv": (
        ("tap", "estimator", "about", "order", "reliable"),
        ("count", "excess", "low", "high", "null_mean"),
    ),
}


DEEPEST = 64  # levels of a config


class Broken(ValueError):
    """A file is not what a run writes; says what it is."""


def read(client, run_id: str, path: str, parse: Callable[[Path], Any], without: str) -> Any:
    """A file of a run, parsed; InputError where the run has none (`without` says what to do then) or it is broken."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            local = Path(client.download_artifacts(run_id, path, folder))
        except (MlflowException, OSError) as error:
            raise InputError(f"run: got {run_id}, {without}") from error
        try:
            if not local.is_file():
                raise Broken("a folder")
            if (size := local.stat().st_size) > most(path):
                raise Broken(f"a file of {size} bytes, above the most, {most(path)}")
            if not size:
                raise Broken("an empty file")
            return parse(local)
        except Broken as error:
            raise InputError(
                f"run: {path} of {run_id} is {error}; bring back the file that the run wrote, or train it again"
            ) from error


def config(path: Path) -> Any:
    """The dictionaries and lists of a config, with its interpolations as text."""
    with _said_as("no YAML"):
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):  # its time grows with the square of the depth
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                raise Broken(f"YAML with aliases, or deeper than {DEEPEST}, which no run writes")
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)


def card(path: Path) -> dict:
    """The card of a dataset."""
    with _said_as("no JSON"):
        said = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"name": str, "task": str, "fingerprint": str, "n": dict, "groups": dict}
    if not isinstance(said, dict) or not all(isinstance(said.get(key), kind) for key, kind in wanted.items()):
        raise Broken(f"no data card, which has {', '.join(wanted)}")
    for counted in ("n", "groups"):
        if not isinstance(said[counted].get("test"), int):
            raise Broken(f"no data card, whose {counted} has a number for test")
    return said


def table(path: Path) -> pd.DataFrame:
    """A table with the columns that are read of it, numbers where they must be."""
    with _said_as("no table of a run"):
        frame = read_table(path, *COLUMNS.get(path.name, ()))
        if path.name == "test.csv":
            read_table(path, numbers=["dice" if "dice" in frame else "correct"])
        return frame


def weights(path: Path) -> dict[str, torch.Tensor]:
    """A state dict, from a file of tensors alone: nothing in it is run and nothing is unpacked."""
    with _said_as("no file of weights"):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise Broken("a compressed archive, wanted weights as torch.save writes them")
        state = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise Broken("no state dict of a network, which has a tensor for each name")
    return dict(state)


@contextmanager
def _said_as(what: str) -> Iterator[None]:
    """Within, any fault of a parser becomes Broken: what damaged bytes raise in it is not foreseeable."""
    try:
        yield
    except Broken:
        raise
    except Exception as error:  # from RecursionError to what torch's own unpickler lets through
        reason = " ".join(str(error).split())[:100]
        raise Broken(f"{what} ({reason})") from error
