"""One check of a table or of a fit, and what its level means."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Level = Literal["PASS", "REVIEW", "FAIL"]
_LEVELS: tuple[Level, ...] = ("PASS", "REVIEW", "FAIL")


@dataclass(frozen=True)
class Check:
    """What one check has found.

    Attributes
    ----------
    check : str
        Its name.
    level : {"PASS", "REVIEW", "FAIL"}
        PASS: nothing found. REVIEW: usable, but read what was found before relying on it. FAIL: nothing computed from
        the table, or from the draws of the fit, should be relied on.
    what : str
        What was found: the number, and where.
    reason : str
        The limit, whose it is, and what lies behind it; empty where the finding says it all.
    remedy : str
        What to do about it; empty for PASS.
    """

    check: str
    level: Level
    what: str
    reason: str = ""
    remedy: str = ""

    @property
    def said(self) -> str:
        """What was found, with the reason."""
        return self.what + (f" ({self.reason.rstrip('.')})" if self.reason else "")

    def __str__(self) -> str:
        return f"{self.level:6} {self.check}: {self.said}" + (f" -> {self.remedy}" if self.remedy else "")


def worst(levels: Iterable[Level]) -> Level:
    """Highest of some levels; PASS for none."""
    return _LEVELS[max((_LEVELS.index(level) for level in levels), default=0)]


def counted(number: int, one: str, many: str = "") -> str:
    """A number and what is counted, which has an s from two on if nothing else is given."""
    return f"{number} {one if number == 1 else many or f'{one}s'}"


def listed(names: Sequence[str], most: int = 4) -> str:
    """Names as a list in words, at most so many."""
    shown = ", ".join(names[:most])
    return f"{shown} and {len(names) - most} more" if len(names) > most else shown
