"""Check a table before it is believed: PASS, REVIEW or FAIL per check, with the reason and the remedy."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd

from bayes_obscaling.data.bundled import load_base_llms
from bayes_obscaling.data.reading import Parsed, Source, merge, overrides, parse
from bayes_obscaling.data.table import ScoreTable, close_names
from bayes_obscaling.errors import InputError

Level = Literal["PASS", "REVIEW", "FAIL"]

# One unit slip is a factor of 1000; no model is known beyond these, from 1 M to 10 T parameters.
SIZE_LIMITS = {"params": (1e6, 1e13), "tokens": (1e8, 1e14), "flops": (1e15, 1e28)}
TOKENS_PER_PARAM = (1.0, 1e5)
SIZE_IN_NAME = re.compile(r"(?<![a-z0-9.])(\d+(?:[._]\d+)?)(b\d|b|m)(?![a-z0-9])", re.IGNORECASE)


@dataclass(frozen=True)
class CheckLine:
    """What one check found: ``level``, the ``check``, a ``message`` and, unless it passed, the ``remedy``."""

    level: Level
    check: str
    message: str
    remedy: str = ""

    def __str__(self) -> str:
        return f"{self.level:6} {self.check}: {self.message}" + (f" -> {self.remedy}" if self.remedy else "")


@dataclass(frozen=True)
class _Checked:
    """What the checks look at: the table or file as it was given, in the context of all that is known."""

    models: pd.DataFrame
    benchmarks: pd.DataFrame
    scores: pd.DataFrame
    context: ScoreTable
    families: pd.Series  # family of the models, the context's where the file leaves it out
    matrix: pd.DataFrame  # all scores of the context
    parsed: Parsed | None = None
    before: ScoreTable | None = None


def check_table(
    source: ScoreTable | Source, benchmarks: Source | None = None, *, against: ScoreTable | None = None
) -> list[CheckLine]:
    """Check a table, or a user's file as `ScoreTable.with_scores` would read it.

    Parameters
    ----------
    source : ScoreTable, DataFrame or path
        What to check.
    benchmarks : DataFrame or path, optional
        What is known about new benchmarks, as in `ScoreTable.with_scores`.
    against : ScoreTable, optional
        The table that a file would be merged into; the bundled base models when left out.

    Returns
    -------
    list of CheckLine
        At least one per check. A source that cannot be read is a single FAIL.
    """
    findings = []
    if isinstance(source, ScoreTable):
        models = source.models
        matrix = source.matrix(source.benchmarks.index)
        checked = _Checked(models, source.benchmarks, source.scores, source, models["family"], matrix)
    else:
        against = against or load_base_llms()
        try:
            parsed = parse(against, source, benchmarks, chance_corrected=True)
        except InputError as error:
            return [_unreadable(error)]
        context = against
        try:
            context = merge(against, source, benchmarks)
        except InputError as error:
            findings.append(_unreadable(error))
        known = pd.concat([against.benchmarks, parsed.benchmarks]) if len(parsed.benchmarks) else against.benchmarks
        used = known[known.index.isin(parsed.scores["benchmark"])]
        families = parsed.models["family"].where(
            parsed.models["family"] != "", context.models["family"].reindex(parsed.models.index)
        )
        matrix = context.matrix(context.benchmarks.index)
        checked = _Checked(parsed.models, used, parsed.scores, context, families, matrix, parsed, against)
    if not findings:
        counts = f"{len(checked.models)} models, {len(checked.benchmarks)} benchmarks and tasks"
        findings.append(CheckLine("PASS", "readable", f"{counts}, {len(checked.scores)} scores"))
    for name, (check, passed) in CHECKS.items():
        found = [CheckLine(level, name, message, remedy) for level, message, remedy in check(checked)]
        findings += found or [CheckLine("PASS", name, passed)]
    return findings


def _unreadable(error: InputError) -> CheckLine:
    problem, separator, remedy = str(error).rpartition("; ")
    return CheckLine("FAIL", "readable", problem if separator else remedy, remedy if separator else "correct the table")


_Found = Iterator[tuple[Level, str, str]]
# A score that more models than this have in common says nothing about any two of them.
_MOST_ALIKE = 100


def _listed(names: Iterable[object], most: int = 8) -> str:
    texts = [str(name) for name in names]
    more = f" and {len(texts) - most} more" if len(texts) > most else ""
    return ", ".join(texts[:most]) + more


# --------------------------------------------------------------------------------------------- models and compute


def _units(checked: _Checked) -> _Found:
    models, remedy = checked.models, "check the unit: a slip is a factor of 1000"
    slipped = set()
    for column, (low, high) in SIZE_LIMITS.items():
        for model, value in models.loc[models[column].notna() & ~models[column].between(low, high), column].items():
            slipped.add(model)
            yield "FAIL", f"{model} has {column} {value:g}, outside {low:g}..{high:g}", remedy
    ratio = models["tokens"] / models["params"]
    for model, value in ratio[ratio.notna() & ~ratio.between(*TOKENS_PER_PARAM)].items():
        if model not in slipped:
            typical = (checked.context.models["tokens"] / checked.context.models["params"]).median()
            yield "FAIL", f"{model} has {value:g} tokens per parameter, others have {typical:.0f}", remedy


def _six_n_d(checked: _Checked) -> _Found:
    models = checked.models
    ratio = models["flops"] / (6 * models["params"] * models["tokens"])
    for model, value in ratio[(ratio - 1).abs() > 0.02].items():
        level: Level = "FAIL" if not 0.1 <= value <= 10 else "REVIEW"
        yield (
            level,
            f"{model} has {value:.3g} times the FLOPs of 6 N D",
            "correct size, data or FLOPs; for a mixture of experts give the active parameters",
        )


def _size_in_name(checked: _Checked) -> _Found:
    for model, params in checked.models["params"].dropna().items():
        named = _named_params(str(model))
        if named and not 0.7 <= params / named <= 1.4:
            yield (
                "REVIEW",
                f"{model} is listed with {params / 1e9:g} B parameters, its name says {named / 1e9:g} B",
                "correct the size, and the FLOPs with it",
            )


def _named_params(model: str) -> float | None:
    """Return the size that a name such as llama-7b, bloom-1b1, pythia-410m or stablelm-2-1_6b tells."""
    sizes = SIZE_IN_NAME.findall(model.rpartition("/")[2])
    if len(sizes) != 1:
        return None
    digits, unit = sizes[0]
    decimals = unit[1:]
    return float(digits.replace("_", ".") + ("." + decimals if decimals else "")) * (
        1e6 if unit.lower() == "m" else 1e9
    )


def _compute(checked: _Checked) -> _Found:
    flops = checked.context.models["flops"].reindex(checked.models.index).fillna(checked.models["flops"])
    unknown = flops.index[flops.isna()]
    if len(unknown):
        yield (
            "REVIEW",
            f"{len(unknown)} of {len(flops)} models have no FLOPs ({_listed(unknown)})",
            "give FLOPs, or size and data; without them compute is estimated from the scores",
        )


def _families(checked: _Checked) -> _Found:
    sizes = checked.context.models["family"].value_counts()
    mine = checked.families.dropna().unique()
    single = [family for family in mine if sizes.get(family, 1) == 1]
    if single:
        yield (
            "REVIEW",
            f"{len(single)} families have one model only ({_listed(single)})",
            "forecasts for them lean on the other families; add smaller models of the family if there are any",
        )


def _twins(checked: _Checked) -> _Found:
    mine = set(checked.models.index)
    # scores at 0 and 1 agree by themselves
    kept = checked.matrix.where((checked.matrix > 0) & (checked.matrix < 1))
    seen: dict[tuple[str, float], list[str]] = {}
    for model, row in kept.iterrows():
        for name, score in row.dropna().items():
            seen.setdefault((str(name), float(score)), []).append(str(model))
    pairs: dict[tuple[str, str], int] = {}
    for models in seen.values():
        for i, one in enumerate(models if len(models) <= _MOST_ALIKE else ()):
            for other in models[i + 1 :]:
                pairs[one, other] = pairs.get((one, other), 0) + 1
    for (one, other), same in pairs.items():
        if same < 3 or not {one, other} & mine:
            continue
        common = int(kept.loc[[one, other]].notna().all().sum())
        if same > common / 2:
            yield (
                "REVIEW",
                f"{one} and {other} have {same} of {common} scores in common to the last digit",
                "if they are one model, keep one of the rows",
            )


# ---------------------------------------------------------------------------------------------------------- scores


def _far_below_chance(scores: pd.Series, benchmark: pd.Series) -> pd.Series:
    """Mark scores that no guesser gets: more than 4 binomial standard errors and .02 below chance."""
    chance = benchmark["chance"]
    items = benchmark["n_items"] if benchmark["n_items"] == benchmark["n_items"] else 500
    return scores < chance - 4 * np.sqrt(chance * (1 - chance) / items) - 0.02


def _columns(checked: _Checked) -> Iterator[tuple[str, pd.Series, pd.Series]]:
    """Yield name, description and scores by model of every benchmark and task."""
    for name, column in checked.scores.groupby("benchmark", sort=False):
        yield str(name), checked.benchmarks.loc[name], column.set_index("model")["score"]


def _chance(checked: _Checked) -> _Found:
    for name, benchmark, scores in _columns(checked):
        low = scores.index[_far_below_chance(scores, benchmark)]
        if len(low) == 1:
            yield (
                "REVIEW",
                f"{low[0]} scores {scores[low[0]]:.3f} on {name}, far below its chance level {benchmark['chance']:g}",
                "see whether its answers could be parsed, or whether chance was subtracted: then "
                "score * (1 - chance) + chance",
            )


def _two_scales(checked: _Checked) -> _Found:
    for name, benchmark, scores in _columns(checked):
        low = scores.index[_far_below_chance(scores, benchmark)]
        if len(low) < 2:
            continue
        chance = benchmark["chance"]
        conversion = f"convert those rows: score * (1 - {chance:g}) + {chance:g}"
        likely = [model for model in _likely_rescaled(checked, name, chance, scores, low) if model not in low]
        if len(low) + len(likely) > 0.9 * len(scores):
            yield (
                "FAIL",
                f"{name}: {len(low)} of {len(scores)} scores lie far below chance ({chance:g}) and the others "
                "agree with them: chance was subtracted from the whole column",
                conversion,
            )
            continue
        also = f"; by their other scores probably also {_listed(likely, 60)}" if likely else ""
        yield (
            "FAIL",
            f"{name} mixes two scales: chance ({chance:g}) was subtracted from {len(low)} or more of "
            f"{len(scores)} scores, surely {_listed(low, 60)}{also}",
            conversion,
        )


def _likely_rescaled(checked: _Checked, name: str, chance: float, scores: pd.Series, low: pd.Index) -> list[str]:
    """Name the models whose score on ``name`` fits the others better once chance is added back."""
    standing = _standing(checked, name).reindex(scores.index)
    converted = scores * (1 - chance) + chance
    rescaled = scores.index.isin(low)
    for _ in range(10):
        fixed = scores.where(~rescaled, converted)
        expected = _expected(standing, fixed)
        closer = (converted - expected).abs() < (scores - expected).abs()
        update = scores.index.isin(low) | closer.to_numpy()
        if (update == rescaled).all():
            break
        rescaled = update
    return scores.index[rescaled].tolist()


def _standing(checked: _Checked, name: str) -> pd.Series:
    """Return where each model stands among all, from 0 to 1, by its scores on everything but ``name``."""
    signed = checked.context.benchmarks["signed"]
    others = [other for other in checked.matrix if other != name and not signed[other]]
    return checked.matrix[others].rank(pct=True).mean(axis=1)


def _expected(standing: pd.Series, scores: pd.Series, neighbours: int = 8) -> pd.Series:
    """Return the median score of the other models that stand nearest, NaN where there are too few."""
    known = scores.index[(standing.notna() & scores.notna()).to_numpy()]
    if len(known) <= 2 * neighbours:
        return pd.Series(np.nan, index=scores.index)
    place, values = standing[known].to_numpy(), scores[known].to_numpy()
    order = np.argsort(place, kind="stable")
    # In order of standing, the nearest are among as many before and as many after.
    offsets = np.concatenate([np.arange(-neighbours, 0), np.arange(1, neighbours + 1)])
    beside = np.arange(len(known))[:, None] + offsets
    there = (beside >= 0) & (beside < len(known))
    who = order[beside.clip(0, len(known) - 1)]
    distance = np.where(there, np.abs(place[who] - place[order][:, None]), np.inf)
    nearest = np.take_along_axis(who, np.lexsort((who, distance), axis=1)[:, :neighbours], axis=1)
    return pd.Series(np.median(values[nearest], axis=1), index=known[order]).reindex(scores.index)


def _collapsed(checked: _Checked) -> _Found:
    for name, benchmark, scores in _columns(checked):
        everyone = scores.combine_first(checked.matrix[name].dropna()) if name in checked.matrix else scores
        expected = _expected(_standing(checked, name).reindex(everyone.index), everyone)[scores.index]
        if benchmark["signed"] or len(everyone) < 40:  # too few to say what is usual
            continue
        gain, usual = scores - benchmark["chance"], expected - benchmark["chance"]
        collapsed = scores.index[(usual > 0.15) & (gain < 0.1 * usual) & ~_far_below_chance(scores, benchmark)]
        if len(collapsed):
            each = [f"{model} {scores[model]:.3f} against {expected[model]:.3f}" for model in collapsed]
            yield (
                "REVIEW",
                f"{name}: next to nothing where models of like scores get much more ({_listed(each, 5)})",
                "see whether its answers could be parsed and whether the scale is that of the column",
            )


def _scale(checked: _Checked) -> _Found:
    for name, benchmark, scores in _columns(checked):
        top = scores.max() * (benchmark["upper"] - benchmark["lower"]) + benchmark["lower"]
        if benchmark["upper"] >= 10 and len(scores) >= 3 and top <= 1:
            yield (
                "REVIEW",
                f"{name} is read as {benchmark['lower']:g}..{benchmark['upper']:g}, but its largest value is {top:g}",
                f"if these are fractions, multiply by {benchmark['upper']:g}",
            )
        if benchmark["upper"] == 1 and len(scores) >= 3 and scores.max() <= 0.01 and benchmark["chance"] > 0:
            yield (
                "FAIL",
                f"{name} has no score above .01, its chance level is {benchmark['chance']:g}",
                "check whether the scores were divided by 100 twice",
            )


def _replaced(checked: _Checked) -> _Found:
    if checked.parsed is None or checked.before is None:
        return
    changed = overrides(checked.before, checked.parsed)
    if len(changed):
        each = [f"{x.model} on {x.benchmark}: {x.score:.3f} for {x.score_table:.3f}" for x in changed.itertuples()]
        yield (
            "REVIEW",
            f"{len(changed)} scores replace others that differ by more than .02 ({_listed(each, 4)})",
            "make sure that they were measured in the same way (prompt, shots, metric)",
        )


def _new_benchmarks(checked: _Checked) -> _Found:
    if checked.parsed is None or checked.before is None:
        return
    for name, assumed in checked.parsed.assumed.items():
        near = close_names(name, list(checked.before.benchmarks.index), cutoff=0.8)
        hint = f"if it is {near[0]}, name it so; else " if near else ""
        yield (
            "REVIEW",
            f"{name} is new; assumed {' and '.join(assumed)}",
            f"{hint}say chance and n_items in a benchmarks table",
        )


CHECKS: dict[str, tuple[Callable[[_Checked], _Found], str]] = {
    "units": (_units, "sizes, data and FLOPs are of a plausible order"),
    "flops": (_six_n_d, "FLOPs agree with 6 N D wherever both are known"),
    "size in name": (_size_in_name, "sizes agree with the names of the models"),
    "compute": (_compute, "every model has FLOPs"),
    "families": (_families, "every family has two models or more"),
    "duplicates": (_twins, "no two models have the same scores"),
    "new benchmarks": (_new_benchmarks, "chance level and item count are known for every benchmark"),
    "scale": (_scale, "scores fill the range they are read in"),
    "chance": (_chance, "no single score is far below chance"),
    "two scales": (_two_scales, "no column mixes raw and chance-corrected scores"),
    "collapsed scores": (_collapsed, "no score is next to nothing where models of like scores get much more"),
    "replaced scores": (_replaced, "no score replaces a different one"),
}
"""Every check by name, with the sentence that says it passed."""
