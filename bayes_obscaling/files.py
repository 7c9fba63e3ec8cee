"""Files that are there whole or not at all."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import re
import tempfile
from pathlib import Path


def write_atomically(path: Path, content: bytes | memoryview) -> None:
    """Write a file, replacing one, so that it is there whole or not at all; an `OSError` leaves nothing behind.

    What is no regular file (a pipe, ``/dev/stdout``) is written to directly.
    """
    if path.exists() and not path.is_file():
        with path.open("wb") as device:
            device.write(content)
        return
    path = path.resolve()  # the file that a link stands for, not the link
    _sweep(path)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.{_machine()}-{os.getpid()}.")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)  # mkstemp makes private files; the destination gets what an ordinary file would have
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _sweep(path: Path) -> None:
    """Remove what processes of this machine that were killed while they wrote this file have left behind."""
    for left in path.parent.glob(f".{glob.escape(path.name)}.{_machine()}-*"):
        process = re.search(r"-(\d+)\.[^.]+$", left.name)
        if process and not _runs(int(process[1])):
            left.unlink(missing_ok=True)


def _machine() -> str:
    return hashlib.sha256(platform.node().encode()).hexdigest()[:8]


def _runs(process: int) -> bool:
    if os.name != "posix":  # asking may end the process there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # it runs, for another user
        return True
    return True
