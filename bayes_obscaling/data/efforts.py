"""Settings in which a model is run: reasoning efforts by name, and thinking budgets in thousands of tokens."""

from __future__ import annotations

import math
import re

from bayes_obscaling.errors import InputError

EFFORTS = ("none", "minimal", "low", "medium", "high", "xhigh", "max")
"""Reasoning efforts, the least first."""

_BUDGET = re.compile(r"(\d+(?:\.\d+)?) ?(k?)(?: ?tokens?)?")
_LEAST_BARE = 1000  # a budget without a K is a number of tokens; a smaller one is no budget that anyone gives
_LOWEST_BUDGET, _LOWEST_LEVEL, _LEVELS = 4.0, 2.0, 4.0  # 4K and less are low; every doubling is a level, up to max


def setting_of(text: str, where: str = "") -> str:
    """Return a setting as tables spell it: an effort in lower case, a budget such as ``16K``, "" for no text.

    Parameters
    ----------
    text : str
        An effort or a budget of thinking tokens (``16K``, ``16k tokens``, ``16384``), in upper or lower case.
    where : str
        Place of the text, for the error.

    Raises
    ------
    InputError
        For a text that is neither.
    """
    folded = " ".join(text.split()).casefold()
    if not folded or folded in EFFORTS:
        return folded
    budget = _BUDGET.fullmatch(folded)
    thousands = float(budget[1]) if budget else 0.0
    if budget and not budget[2]:
        per_thousand = 1024 if thousands % 1024 == 0 else 1000
        thousands = thousands / per_thousand if thousands >= _LEAST_BARE else 0.0
    if thousands <= 0:
        remedy = f"write one of {', '.join(EFFORTS)}, or a budget of tokens such as 16K, or nothing"
        raise InputError(f"{text!r} is no setting", remedy, where)
    return f"{thousands:g}K"


def effort_level(setting: str) -> float:
    """Return the place of a setting among the efforts, from 0 (none) to 6 (max); NaN for "", which nobody knows.

    A budget of k thousand tokens stands at 2 + log2(k / 4), but not below low (2) and not above max (6).

    Raises
    ------
    InputError
        For a text that is no setting.
    """
    setting = setting_of(setting)
    if setting in EFFORTS:
        return float(EFFORTS.index(setting))
    if not setting:
        return math.nan
    doublings = math.log2(float(setting.removesuffix("K")) / _LOWEST_BUDGET)
    return _LOWEST_LEVEL + min(_LEVELS, max(0.0, doublings))
