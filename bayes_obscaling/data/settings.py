"""Settings of scores in a user's file: what their cells say, and which of several settings is the model's score."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted
from bayes_obscaling.data.dates import run_date
from bayes_obscaling.data.efforts import effort_level, setting_of
from bayes_obscaling.data.frames import KEY
from bayes_obscaling.data.sheet import Sheet

YES, NO = {"true", "yes", "1", "1.0"}, {"false", "no", "0", "0.0"}
"""Words and numbers for yes and no."""
_DEFAULT_EFFORT = 3.5  # reasoning of which nobody says how much stands between medium and high


@dataclass(frozen=True)
class Setting:
    """In what setting a score was made, with or without reasoning, and when; as in the scores of a `ScoreTable`."""

    setting: str = ""
    reasoning: float = np.nan
    evaluated: str = ""


UNSET = Setting()


def read_setting(sheet: Sheet, row: int, given: dict[str, tuple[str, object]]) -> Setting:
    """Return the setting that the cells of a row say.

    Parameters
    ----------
    sheet, row : Sheet, int
        The place.
    given : dict
        ``setting``, ``reasoning`` and ``evaluated``, as far as there are columns of them, to header and cell.
    """
    setting, reasoning, evaluated = "", np.nan, ""
    if "setting" in given:
        column, cell = given["setting"]
        text = str(cell).strip()
        text = text if text.casefold() == "none" and isinstance(cell, str) else sheet.text(cell)  # none is an effort
        if text.casefold() in YES | NO:  # a column that says whether the model was thinking
            reasoning = float(text.casefold() in YES)
        else:
            setting = setting_of(text, sheet.place(row, column))
            reasoning = np.nan if not setting else float(setting != "none")
    if "reasoning" in given:
        column, cell = given["reasoning"]
        text = sheet.text(cell).casefold()
        if text and text not in YES | NO:
            raise sheet.error(f"reasoning is {text!r}", "write yes or no, or leave the cell empty", row, column)
        reasoning = float(text in YES) if text else reasoning
    if "evaluated" in given:
        column, cell = given["evaluated"]
        evaluated = run_date(sheet.text(cell), sheet.place(row, column))
    return Setting(setting or ("none" if reasoning == 0 else ""), reasoning, evaluated)


def best_settings(scores: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Return the scores in the highest effort of each model and benchmark, those in others, and what is said of it.

    No two of the scores have model, benchmark and setting in common. One without a setting beside others that have one
    is left out: nobody knows whether it is one of them.
    """
    unknown = np.where(scores["reasoning"] == 1, _DEFAULT_EFFORT, -1.0)
    level = scores["setting"].map(effort_level).astype(float).fillna(pd.Series(unknown, index=scores.index))
    order = level.sort_values(ascending=False, kind="stable").index
    best = scores.index.isin(scores.loc[order].drop_duplicates(KEY).index)
    others = scores[~best]
    if others.empty:
        return scores, others, ""
    nameless = int((others["setting"] == "").sum())
    cells = len(others.drop_duplicates(KEY))
    given = f"{counted(cells, 'score is', 'scores are')} given in several settings"
    note = f"{given}: the highest effort is the score, the others are kept beside it"
    note += f"; {nameless} without a setting are left out" if nameless else ""
    return scores[best].reset_index(drop=True), others[others["setting"] != ""].reset_index(drop=True), note


def joined(
    scores: pd.DataFrame, others: pd.DataFrame, new: pd.DataFrame, new_others: pd.DataFrame
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scores, and those in other settings, of a table and a file together.

    The file's hold where both have one. Where both say in which setting a score was made, and the settings differ, the
    higher effort is the score and the other one is kept beside it.
    """
    scores, new = scores.reset_index(drop=True), new.reset_index(drop=True)
    both = scores.reset_index().merge(new.reset_index(), on=KEY, suffixes=("", "_new"))
    differ = (both["setting"] != both["setting_new"]) & (both["setting"] != "") & (both["setting_new"] != "")
    stays = differ & (both["setting"].map(effort_level) > both["setting_new"].map(effort_level))
    demoted = [scores.loc[both.loc[differ & ~stays, "index"]], new.loc[both.loc[stays, "index_new"]]]
    old = scores.drop(index=both.loc[~stays, "index"])
    new = new.drop(index=both.loc[stays, "index_new"])
    kept = pd.concat([part for part in (old, new) if len(part)]) if len(old) or len(new) else scores
    keys = [*KEY, "setting"]
    beside = [part[[column for column in others]] for part in (others, *demoted, new_others) if len(part)]
    if beside:
        others = pd.concat(beside).drop_duplicates(keys, keep="last")
        others = others[~pd.MultiIndex.from_frame(others[keys]).isin(pd.MultiIndex.from_frame(kept[keys]))]
    return kept, others
