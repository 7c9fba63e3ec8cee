"""What is kept between runs: measurement draws under a content hash, and compiled programs.

Draws are stored as plain arrays, never as pickles. The folder is readable by its owner alone: a compile cache is
trusted code.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import warnings
import zipfile
import zlib
from pathlib import Path
from typing import Any

import jax
import numpy as np

from bayes_obscaling.errors import Notice
from bayes_obscaling.files import write_atomically

_ENTRY_FORMAT = 2


def default_cache_dir() -> Path:
    """Folder of the command line: ``$BAYES_OBSCALING_CACHE``, or ``bayes_obscaling`` in the user's cache folder."""
    if given := os.environ.get("BAYES_OBSCALING_CACHE"):
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "bayes_obscaling"


def open_cache(folder: Path | str | None) -> Path | None:
    """Return the folder with its compiled programs in use; None, and a `Notice`, for one that cannot be written."""
    if folder is None:
        return None
    if use_compile_cache(Path(folder)):
        return Path(folder)
    warnings.warn(f"The cache folder {folder} cannot be written, so nothing is kept for a later run.", Notice, 3)
    return None


def use_compile_cache(folder: Path) -> bool:
    """Keep compiled programs in `folder` (created for its owner alone); False where it cannot be written."""
    if not _private(folder / "compiled"):
        return False
    _remove_damaged(folder / "compiled")
    jax.config.update("jax_compilation_cache_dir", str(folder / "compiled"))
    # A command runs dozens of small programs: each takes longer to compile than to read.
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    return True


def _remove_damaged(folder: Path) -> None:
    """Remove programs that a process killed while writing has left cut short.

    JAX warns of them, compiles anew, and leaves them where they are: every later run would be as slow.
    """
    for path in folder.glob("*-cache"):
        with contextlib.suppress(OSError):
            content = path.read_bytes()
            try:
                if content[:1] in (b"", b"x"):  # empty, or zlib, whose checksum JAX relies on too
                    zlib.decompress(content)
            except zlib.error:
                path.unlink()


def content_hash(parts: Any, arrays: Any) -> str:
    """Hash of JSON-able `parts` and a pytree of arrays."""
    digest = hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode())
    for array in jax.tree.leaves(arrays):
        value = np.asarray(array)
        digest.update(f"{value.dtype}{value.shape}".encode())
        digest.update(np.ascontiguousarray(value).tobytes())
    return digest.hexdigest()[:32]


def load_arrays(folder: Path, key: str) -> tuple[dict[str, np.ndarray], dict[str, Any]] | None:
    """Arrays and facts stored under `key`; None when absent or damaged (a damaged entry is made anew)."""
    try:
        with (folder / f"{key}.npz").open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            facts = json.loads(str(file["__facts__"]))
            if facts.pop("format") != _ENTRY_FORMAT:
                return None
            return {name: file[name] for name in file.files if name != "__facts__"}, facts
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None


def store_arrays(folder: Path, key: str, arrays: dict[str, np.ndarray], facts: dict[str, Any]) -> None:
    """Store arrays and facts under `key`; a cache that cannot be written (full disk, read-only) is not an error."""
    if not _private(folder):
        return
    text = json.dumps({**facts, "format": _ENTRY_FORMAT})
    everything: dict[str, Any] = {**arrays, "__facts__": np.array(text), "allow_pickle": False}
    buffer = io.BytesIO()
    np.savez(buffer, **everything)
    try:
        write_atomically(folder / f"{key}.npz", buffer.getbuffer())
    except OSError:
        return


def _private(folder: Path) -> bool:
    """Make a folder for its owner alone; False when that fails or it belongs to someone else."""
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        folder.chmod(0o700)
        return os.access(folder, os.W_OK)
    except OSError:
        return False
