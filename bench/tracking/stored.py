"""Stored files of runs: read them and check their format, because anyone may have changed them."""

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

# name of a table -> the columns that are read: columns of text, columns of numbers
COLUMNS = {
    "layers.csv": READ,
    "test.csv": (("name", "group"), ()),
    "filter_count.csv": (("tap", "estimator", "about", "order"), ("recommended",)),
    "filters.csv": (
        ("tap", "estimator", "about", "order", "reliable"),
        ("count", "excess", "low", "high", "null_mean"),
    ),
}


DEEPEST = 64  # maximal number of levels of a config


class Broken(ValueError):
    """A file is not as a run writes it. The message says what the file is."""


def read(client, run_id: str, path: str, parse: Callable[[Path], Any], without: str) -> Any:
    """Read and parse a file of a run.

    Args:
        client: Client of the store.
        run_id: Id of the run.
        path: Path of the file among the artifacts of the run.
        parse: Turns the path of the downloaded file into the result.
        without: End of the message if the run has no such file.

    Raises:
        InputError: The run has no such file, or the file is broken.
    """
    with tempfile.TemporaryDirectory() as folder:
        try:
            local = Path(client.download_artifacts(run_id, path, folder))
        except (MlflowException, OSError) as error:
            raise InputError(f"run: got {run_id}, {without}") from error
        try:
            if not local.is_file():
                raise Broken("a folder")
            if (size := local.stat().st_size) > most(path):
                raise Broken(f"a file of {size} bytes, above the limit of {most(path)}")
            if not size:
                raise Broken("an empty file")
            return parse(local)
        except Broken as error:
            raise InputError(
                f"run: {path} of {run_id} is {error}; restore the file that the run wrote, or train the run again"
            ) from error


def config(path: Path) -> Any:
    """Parse a config into dictionaries and lists. Interpolations stay text."""
    with _report_as("not YAML"):
        text = path.read_text(encoding="utf-8")
        depth = 0
        for event in yaml.parse(text, yaml.SafeLoader):  # the time to parse grows with the square of the depth
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST or isinstance(event, yaml.AliasEvent):
                raise Broken(f"YAML with aliases or deeper than {DEEPEST} levels, which no run writes")
        return OmegaConf.to_container(OmegaConf.load(path), resolve=False)


def card(path: Path) -> dict:
    """Parse the card of a dataset."""
    with _report_as("not JSON"):
        found = json.loads(path.read_text(encoding="utf-8"))
    wanted = {"name": str, "task": str, "fingerprint": str, "n": dict, "groups": dict}
    if not isinstance(found, dict) or not all(isinstance(found.get(key), kind) for key, kind in wanted.items()):
        raise Broken(f"not a data card, which has {', '.join(wanted)}")
    for counted in ("n", "groups"):
        if not isinstance(found[counted].get("test"), int):
            raise Broken(f"not a data card: it has no number {counted}.test")
    return found


def table(path: Path) -> pd.DataFrame:
    """Parse a table and check its columns and its numbers."""
    with _report_as("not a table of a run"):
        frame = read_table(path, *COLUMNS.get(path.name, ()))
        if path.name == "test.csv":
            read_table(path, numbers=["dice" if "dice" in frame else "correct"])
        return frame


def weights(path: Path) -> dict[str, torch.Tensor]:
    """Read a state dict from a file that contains only tensors. No code in it runs, and nothing is decompressed."""
    with _report_as("not a file of weights"):
        with zipfile.ZipFile(path) as archive:
            if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
                raise Broken("a compressed archive, wanted weights as torch.save writes them")
        state = torch.load(path, weights_only=True, map_location="cpu")
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, torch.Tensor) for name, value in state.items()
    ):
        raise Broken("not a state dict of a network, which has a tensor for each name")
    return dict(state)


@contextmanager
def _report_as(what: str) -> Iterator[None]:
    """Turn any error of a parser into Broken, because damaged bytes can raise errors of any kind."""
    try:
        yield
    except Broken:
        raise
    except Exception as error:  # for example RecursionError, or any error of torch's unpickler
        reason = " ".join(str(error).split())[:100]
        raise Broken(f"{what} ({reason})") from error
