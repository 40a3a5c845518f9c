"""Artifacts: figures as PNG, and the files of runs on a remote server, only at locations that are allowed."""

from __future__ import annotations

import io
from pathlib import Path, PurePosixPath

import requests
from matplotlib.figure import Figure
from matplotlib.text import Text
from mlflow import MlflowClient
from mlflow.store.artifact.artifact_repo import ArtifactRepository
from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository
from mlflow.store.artifact.http_artifact_repo import HttpArtifactRepository
from mlflow.utils.credentials import get_default_host_creds
from mlflow.utils.rest_utils import augmented_raise_for_status, http_request

from bench.errors import InputError
from bench.tracking.addresses import refuse_strange

CHUNK = 1 << 20
# maximal number of bytes of a file that is read back, by its suffix
LARGEST = {".yaml": 1 << 18, ".json": 1 << 24, ".csv": 1 << 28, ".txt": 1 << 24, ".pt": 1 << 33}


class Artifacts:
    """The files of the runs of one server.

    The location of the files of each run is requested and checked once.

    Args:
        client: Client of the server.
        uri: Address of the server.

    Raises:
        InputError: By each method, if the files of the run are in a folder of this machine or on another server.
    """

    def __init__(self, client: MlflowClient, uri: str):
        self._client = client
        self._uri = uri
        self._known: dict[str, ArtifactRepository] = {}

    def log_artifact(self, run_id: str, local_path: str, artifact_path: str | None = None) -> None:
        self._of(run_id).log_artifact(local_path, artifact_path)

    def list_artifacts(self, run_id: str, path: str | None = None) -> list:
        return self._of(run_id).list_artifacts(path)

    def download_artifacts(self, run_id: str, path: str, folder: str) -> str:
        """Download one file and return its path in the folder."""
        files = self._of(run_id)
        if not isinstance(files, HttpArtifactRepository):
            return files.download_artifacts(path, folder)
        local = Path(folder) / PurePosixPath(path).name
        answer = http_request(get_default_host_creds(files.artifact_uri), f"/{path}", "GET", stream=True)
        augmented_raise_for_status(answer)
        _save(answer, local, run_id, path)
        return str(local)

    def _of(self, run_id: str) -> ArtifactRepository:
        """Return the repository of a run's files, after a check of its location."""
        if run_id not in self._known:
            where = self._client.get_run(run_id).info.artifact_uri
            refuse_strange(self._uri, where)
            self._known[run_id] = get_artifact_repository(where, tracking_uri=self._uri)
        return self._known[run_id]


def png(figure: Figure) -> bytes:
    """Render a figure as PNG. A $ in the name of a design or a class does not begin a formula."""
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    drawn = io.BytesIO()
    figure.savefig(drawn, dpi=150, bbox_inches="tight")
    return drawn.getvalue()


def most(path: str) -> int:
    """Return the maximal number of bytes of a file, by its name."""
    return LARGEST.get(PurePosixPath(path).suffix, min(LARGEST.values()))


def _save(answer: requests.Response, local: Path, run_id: str, path: str) -> None:
    """Write the body of a response to a file. Refuse a body above the limit of bytes."""
    size = 0
    with answer, local.open("wb") as file:
        for chunk in answer.iter_content(CHUNK):
            size += len(chunk)
            if size > most(path):
                raise InputError(
                    f"run: {path} of {run_id} has more than {most(path)} bytes; the server sends another file"
                )
            file.write(chunk)
