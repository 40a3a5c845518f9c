"""Folders: whether a command can work in one and write to it."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import InputError


def check_folder(key: str, folder: str) -> None:
    """Raise InputError for a folder that can't be made, or that is there and can't be written to."""
    if fault := folder_fault(folder):
        raise InputError(f"{key}: got {folder}, {fault}; take another")


def folder_fault(folder: str) -> str | None:
    """Why nothing can be written in a folder, in words; None where it can be made and written."""
    path = Path(folder).absolute()
    missing = [parent for parent in (path, *path.parents) if not os.path.lexists(parent)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for made in missing:
            made.rmdir()
    except OSError as error:
        return f"which can't be made ({error.strerror})"
    if not missing and not os.access(path, os.W_OK | os.X_OK):
        return "in which nothing may be written"
    return None


def refuse_folder(folder: Path) -> None:
    """Raise InputError for a working directory below which Hydra can't work, because it resolves its name."""
    if "${" in str(folder):
        raise InputError(
            f"working directory: got {folder}, wanted one without ${{ in its path, which Hydra takes for an "
            "interpolation; rename the folder or start in another"
        )
