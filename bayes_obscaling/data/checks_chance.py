"""Checks of chance: failed runs, scores that no guesser gets, columns of two scales, stated levels that are wrong."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from bayes_obscaling.checks import listed
from bayes_obscaling.data.checked import MOST_LISTED, Checked, Lines, expected, rank_correlation
from bayes_obscaling.data.declared import UNKNOWN_CHANCE

_MOST_ROWS = 60  # rows to be corrected, in a sentence
_SURE_CHANCE = 0.1  # chance levels from which on nobody scores 0
_MIN_COLUMN = 3  # scores that say what the scale of a column is
_USUAL_ITEMS = 500  # of a test that counts none
# A floor shows where so many scores, and such a share of a column, lie together at its lower end, over so wide a range
# of standings without rising with them; and it contradicts a stated level that is farther from it than this.
_USUAL_LEVELS = (0.0, 0.1, 0.2, 0.25, 1 / 3, 0.5)
_MIN_FLOOR, _FLOOR_SHARE, _FLOOR_STANDINGS, _FLOOR_RANKS, _FLOOR_APART = 6, 0.2, 0.2, 0.5, 0.03


def far_below_chance(scores: pd.Series, benchmark: pd.Series) -> pd.Series:
    """Mark scores that no guesser gets: more than 4 binomial standard errors and .02 below chance."""
    chance = benchmark["chance"]
    return scores < chance - 4 * np.sqrt(chance * (1 - chance) / _items(benchmark)) - 0.02


def _items(benchmark: pd.Series) -> float:
    return float(benchmark["n_items"] if benchmark["n_items"] == benchmark["n_items"] else _USUAL_ITEMS)


def visible_floor(scores: pd.Series, standing: Callable[[], pd.Series], items: float) -> float | None:
    """Return the level at which the weaker models of a column score alike; None where none shows.

    Models of rather different standing have the same score there, nobody has a lower one, others have much higher ones.
    `standing` gives the models' standing, which takes a while in a large table and is asked for last.
    """
    values = scores.to_numpy(float)
    if len(values) < 2 * _MIN_FLOOR:
        return None
    levels = np.unique(values[values <= np.median(values)])
    sd = np.sqrt(levels * (1 - levels) / items + 0.005**2)
    inside = np.abs(values - levels[:, None]) <= 2 * sd[:, None]
    best = int(inside.sum(axis=1).argmax())
    level, together = float(levels[best]), scores.index[inside[best]]
    is_alone = (
        len(together) >= max(_MIN_FLOOR, _FLOOR_SHARE * len(values))
        and (values < level - 3.5 * sd[best]).sum() <= 1
        and np.quantile(values, 0.9) > level + 6 * sd[best] + 0.05
    )
    if not is_alone:
        return None
    place = standing().reindex(together).dropna()
    is_wide = len(place) >= _MIN_FLOOR and place.max() - place.min() >= _FLOOR_STANDINGS
    is_flat = is_wide and abs(rank_correlation(scores[place.index], place)) < _FLOOR_RANKS
    return float(scores[together].mean()) if is_flat else None


def failed_runs(scores: pd.Series, benchmark: pd.Series) -> pd.Index:
    """Return the models whose run has failed: 0 where a guesser gets more, and nobody else is far below chance."""
    zero = (scores == 0) & (benchmark["chance"] >= _SURE_CHANCE)
    is_other_scale = (far_below_chance(scores, benchmark) & ~zero).any()  # which was cut off at 0
    return scores.index[zero & (not is_other_scale)]


def _each(checked: Checked, models: Iterable[str], most: int = _MOST_ROWS) -> str:
    """Return models, each with its row, as a list in words."""
    return listed([checked.at(model) for model in models], most)


def failed(checked: Checked) -> Lines:
    """Find runs that were scored 0 because they failed."""
    for name, benchmark, scores in checked.columns():
        zero = failed_runs(scores, benchmark)
        if len(zero):
            yield (
                "REVIEW",
                f"{name} is 0 for {_each(checked, zero)}, where a guesser gets {benchmark['chance']:g}: "
                "the runs have failed, or no answer could be parsed",
                "run them again, or leave these cells empty",
            )


def divided_twice(scores: pd.Series, benchmark: pd.Series) -> bool:
    """Whether a column has fractions of a percent where a guesser gets more."""
    return bool(
        benchmark["upper"] == 1 and benchmark["chance"] > 0 and len(scores) >= _MIN_COLUMN and 0 < scores.max() <= 0.01
    )


def chance(checked: Checked) -> Lines:
    """Find stated levels that the lowest scores contradict, and single scores far below chance."""
    for name, benchmark, scores in checked.columns():
        floor = _other_floor(checked, name, benchmark, scores)
        if floor is not None and floor > benchmark["chance"]:
            yield (
                "REVIEW",
                f"chance {benchmark['chance']:g} is stated for {name}, but its weaker models score about {floor:.2f} "
                "whatever else they can do, and none scores less",
                f"{_state(floor)}: with too low a level, forecasts of larger models are far off",
            )
        low = scores.index[far_below_chance(scores, benchmark)].difference(failed_runs(scores, benchmark), sort=False)
        if len(low) == 1:
            yield (
                "REVIEW",
                f"{checked.at(low[0])} scores {scores[low[0]]:.3f} on {name}, far below its chance level "
                f"{benchmark['chance']:g}",
                "see whether its answers could be parsed, or whether chance was subtracted: then "
                "score * (1 - chance) + chance",
            )


def two_scales(checked: Checked) -> Lines:
    """Find columns from some of whose scores chance was subtracted."""
    assumed = checked.parsed.assumed if checked.parsed is not None else {}
    unknown = [name for name, what in assumed.items() if UNKNOWN_CHANCE in what]
    if unknown:
        names = listed(unknown, MOST_LISTED)
        yield (
            "REVIEW",
            f"this cannot be told of {names}: the chance level is not known",
            "say chance in a benchmarks table",
        )
    for name, benchmark, scores in checked.columns():
        zero = failed_runs(scores, benchmark)
        scores = scores.drop(zero)
        low = scores.index[far_below_chance(scores, benchmark)]
        if len(low) < 2 or divided_twice(scores, benchmark):
            continue
        chance = benchmark["chance"]
        if (floor := _other_floor(checked, name, benchmark, scores)) is not None and floor > _FLOOR_APART:
            yield (
                "FAIL",
                f"chance {chance:g} is stated for {name}, but {len(low)} of {len(scores)} scores lie far below it "
                f"({_each(checked, low, MOST_LISTED)}), and its weaker models score about "
                f"{floor:.2f}",
                f"{_state(floor)}",
            )
            continue
        conversion = f"convert those rows: score * (1 - {chance:g}) + {chance:g}"
        likely = [model for model in _likely_rescaled(checked, name, chance, scores, low) if model not in low]
        if len(low) + len(likely) > 0.9 * len(scores):
            yield (
                "FAIL",
                f"{name}: {len(low)} of {len(scores)} scores lie far below chance ({chance:g}; "
                f"{_each(checked, low, MOST_LISTED)}) and the others agree with them: chance "
                "was subtracted from the whole column",
                conversion,
            )
            continue
        also = f"; by their other scores probably also {_each(checked, likely)}" if likely else ""
        yield (
            "FAIL",
            f"{name} mixes two scales: chance ({chance:g}) was subtracted from {len(low)} or more of "
            f"{len(scores)} scores, surely {_each(checked, low)}{also}",
            conversion,
        )


def _other_floor(checked: Checked, name: str, benchmark: pd.Series, scores: pd.Series) -> float | None:
    """Return the floor that shows in a column where it is not the stated one."""
    if benchmark["signed"] or benchmark["chance"] != benchmark["chance"]:
        return None
    floor = visible_floor(scores, lambda: checked.standing(name), _items(benchmark))
    return floor if floor is not None and abs(floor - benchmark["chance"]) > _FLOOR_APART else None


def _state(floor: float) -> str:
    near = min(_USUAL_LEVELS, key=lambda level: abs(level - floor))
    said = near if abs(near - floor) < _FLOOR_APART else floor
    return f"state chance {said:.3g} in the benchmarks table, or leave it empty, so that a fit infers it"


def _likely_rescaled(checked: Checked, name: str, chance: float, scores: pd.Series, low: pd.Index) -> list[str]:
    """Name the models whose score on ``name`` fits the others better once chance is added back."""
    standing = checked.standing(name).reindex(scores.index)
    converted = scores * (1 - chance) + chance
    rescaled = scores.index.isin(low)
    for _ in range(10):
        fixed = scores.where(~rescaled, converted)
        usual = expected(standing, fixed)
        closer = (converted - usual).abs() < (scores - usual).abs()
        update = scores.index.isin(low) | closer.to_numpy()
        if (update == rescaled).all():
            break
        rescaled = update
    return scores.index[rescaled].tolist()
