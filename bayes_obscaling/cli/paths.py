"""Where answers are written: refused before a minute of sampling where they cannot be."""

from __future__ import annotations

import os
from pathlib import Path

import click

from bayes_obscaling.errors import InputError


def is_folder(path: Path) -> bool:
    """Whether a path is that of a folder: there is one, or it has no ending and there is nothing."""
    return path.is_dir() or not (path.suffix or path.exists())


def file_at(path: Path, ending: str) -> Path:
    """The file itself; in a folder, which is made if need be, it is called like the command."""
    if not is_folder(path):
        return path
    make_folder(path)
    return path / f"{click.get_current_context().info_name}{ending}"


def make_folder(folder: Path) -> None:
    """Make a folder if need be, or say in one sentence why not."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"The folder {folder} cannot be made ({error.strerror or error}): write elsewhere.") from error


def check_destination(path: Path | None) -> None:
    """Refuse a file, or a folder, that cannot be written."""
    if path is not None:
        (check_folder if is_folder(path) else check_file)(path)


def check_file(path: Path) -> None:
    """Refuse a file that cannot be written."""
    if path.is_dir():
        raise InputError(f"{path} is a folder: give a file name.")
    if not path.parent.is_dir():
        raise InputError(f"The folder {path.parent} does not exist: make it, or write elsewhere.")
    place = path if path.exists() and not path.is_file() else path.resolve().parent  # devices are written directly
    if not os.access(place, os.W_OK):
        raise InputError(f"{path} cannot be written (no permission in {place}): write elsewhere.")


def check_folder(folder: Path) -> None:
    """Refuse what is no folder, and a folder that can be neither made nor written."""
    if not is_folder(folder):
        raise InputError(f"{folder} would hold several tables: give a folder.")
    there = folder.resolve()
    while not there.exists():
        there = there.parent
    if not (there.is_dir() and os.access(there, os.W_OK)):
        raise InputError(f"{folder} cannot be made or written (no permission in {there}): write elsewhere.")


def check_page(path: Path) -> None:
    """Refuse a page that cannot be written."""
    from bayes_obscaling.pages import page

    check_file(path)
    page.check_ending(path)
    page.check_installed()


def page_size(path: Path) -> str:
    """Name and size of a page that was written."""
    return f"{path} ({path.stat().st_size / 1e6:.1f} MB)"
