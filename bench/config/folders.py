"""Folders: check whether a command can use a folder and write to it."""

from __future__ import annotations

import os
from pathlib import Path

from bench.errors import InputError


def check_folder(key: str, folder: str) -> None:
    """Check that a folder exists or can be made, and that it is writable.

    Args:
        key: Setting that names the folder, for messages.
        folder: Path of the folder.

    Raises:
        InputError: If the folder can't be made or is not writable.
    """
    if fault := folder_fault(folder):
        raise InputError(f"{key}: got {folder}, {fault}; choose another folder")


def folder_fault(folder: str) -> str | None:
    """Return the reason why a folder can't be made or is not writable, or None if there is no such reason."""
    path = Path(folder).absolute()
    missing = [parent for parent in (path, *path.parents) if not os.path.lexists(parent)]
    try:
        path.mkdir(parents=True, exist_ok=True)
        for made in missing:
            made.rmdir()
    except OSError as error:
        return f"which can't be made ({error.strerror})"
    if not missing and not os.access(path, os.W_OK | os.X_OK):
        return "which is not writable"
    return None


def refuse_folder(folder: Path) -> None:
    """Refuse a working directory whose path Hydra would resolve as an interpolation.

    Raises:
        InputError: If the path contains ${.
    """
    if "${" in str(folder):
        raise InputError(
            f"working directory: got {folder}, wanted one without ${{ in its path, which Hydra reads as an "
            "interpolation; rename the folder or start in another one"
        )
