"""Names of a package that are imported on first use, so that a command that needs no sampler does not wait for JAX."""

from __future__ import annotations

import ast
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any


def lazy_names(package: str, file: str) -> tuple[list[str], Callable[[str], Any], Callable[[], list[str]]]:
    """``__all__``, ``__getattr__`` and ``__dir__`` of a package whose public names live in other modules.

    The names are those that its block ``if TYPE_CHECKING:`` imports, so that editors and type checkers see the same.

    Parameters
    ----------
    package : str
        Full name of the package.
    file : str
        Its source.
    """
    homes = {
        alias.name: str(line.module)
        for block in ast.parse(Path(file).read_text(encoding="utf-8")).body
        if isinstance(block, ast.If) and ast.unparse(block.test) == "TYPE_CHECKING"
        for line in block.body
        if isinstance(line, ast.ImportFrom)
        for alias in line.names
    }

    def get(name: str) -> Any:
        if name not in homes:
            raise AttributeError(f"module '{package}' has no attribute '{name}'")
        home = import_module(homes[name])
        # A name that its home does not define is a module in it; so are names of the package itself.
        is_module = homes[name] == package or name not in vars(home)
        value = import_module(f"{homes[name]}.{name}") if is_module else getattr(home, name)
        setattr(sys.modules[package], name, value)
        return value

    names = sorted(homes)
    return names, get, lambda: list(names)
