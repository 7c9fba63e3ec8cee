"""Check a table before it is believed: PASS, REVIEW or FAIL per check, with the reason and the remedy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pandas as pd

from bayes_obscaling.checks import Check, counted
from bayes_obscaling.data import checks_chance, checks_models, checks_scores
from bayes_obscaling.data.bundled import load_base_llms
from bayes_obscaling.data.checked import Checked, Lines
from bayes_obscaling.data.parsing import Parsed, parse
from bayes_obscaling.data.reading import merge, new_scores
from bayes_obscaling.data.scales import Duplicates
from bayes_obscaling.data.sheet import Source
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.errors import InputError


def check_table(
    source: ScoreTable | Source,
    benchmarks: Source | None = None,
    *,
    against: ScoreTable | None = None,
    sheet: str | None = None,
    duplicates: Duplicates = "refuse",
) -> list[Check]:
    """Return the checks of a table, or of a user's file as `read_scores` would read it.

    Parameters
    ----------
    source : ScoreTable, DataFrame or path
        What to check.
    benchmarks : DataFrame or path, optional
        What is known about new benchmarks, as in `read_scores`.
    against : ScoreTable, optional
        The table that a file would be merged into; the bundled base models when left out.
    sheet, duplicates
        As in `read_scores`.

    Returns
    -------
    list of Check
        At least one per check; those named "reading" say how a file was read. A source that cannot be read is a
        single FAIL.
    """
    findings = []
    if isinstance(source, ScoreTable):
        checked = Checked(source.models, source.benchmarks, source.scores, source, source.models["family"])
    else:
        against = against or load_base_llms()
        how: dict[str, Any] = {"sheet": sheet, "duplicates": duplicates}
        try:
            parsed = parse(against, source, benchmarks, **how)
            context = merge(against, parsed)
        except InputError as error:
            findings.append(unreadable(error))
            try:  # what can be understood is checked all the same, beside all that the file says
                parsed = parse(against, source, benchmarks, chance_corrected=True, **how)
                possible = replace(parsed, scores=parsed.scores.assign(score=parsed.scores["score"].clip(lower=0)))
                context = merge(against, possible, strict=False)
            except InputError:
                return findings
        checked = _checked(parsed, against, context)
    if not findings:
        columns = counted(len(checked.benchmarks), "benchmark or task", "benchmarks and tasks")
        text = f"{counted(len(checked.models), 'model')}, {columns}, {counted(len(checked.scores), 'score')}"
        remedy = "give a score in at least one cell" if checked.scores.empty else ""
        findings.append(Check("readable", "FAIL" if remedy else "PASS", text, remedy=remedy))
    findings += [Check("reading", "PASS", text) for text in _reading(checked)]
    for name, (_, passed) in CHECKS.items():
        findings += _found(name, checked) or [Check(name, "PASS", passed)]
    return findings


def check_merged(before: ScoreTable, parsed: Parsed, after: ScoreTable) -> list[Check]:
    """Return every REVIEW and FAIL of what a file brings into a table, apart from what the notes of reading say.

    Models and scores that the table had already, and has still, are not looked at again.
    """
    models, known = after.models, before.models.reindex(after.models.index)
    is_known = (models.eq(known) | (models.isna() & known.isna())).all(axis=1)
    new = models[~is_known | ~models.index.isin(before.models.index)]
    said = replace(parsed, assumed={})
    checked = Checked(new, after.benchmarks, new_scores(before, after), after, new["family"], said, before)
    found = (one for name in CHECKS if name != _NOTED for one in _found(name, checked))
    return [one for one in found if one.level != "PASS"]


def _found(name: str, checked: Checked) -> list[Check]:
    return [Check(name, level, what, remedy=remedy) for level, what, remedy in CHECKS[name][0](checked)]


def _checked(parsed: Parsed, against: ScoreTable, context: ScoreTable) -> Checked:
    known = pd.concat([against.benchmarks, parsed.benchmarks]) if len(parsed.benchmarks) else against.benchmarks
    used = known[known.index.isin(parsed.scores["benchmark"])]
    families = parsed.models["family"].where(
        parsed.models["family"] != "", context.models["family"].reindex(parsed.models.index)
    )
    return Checked(parsed.models, used, parsed.scores, context, families, parsed, against)


def _reading(checked: Checked) -> list[str]:
    """Return how a file was read; what is assumed of new benchmarks has a check of its own."""
    if checked.parsed is None or checked.before is None:
        return []
    place = f"{checked.parsed.sheet.name}: "
    texts = [text.removeprefix(place) for text in checked.context.notes[len(checked.before.notes) :]]
    return [
        text
        for text in texts
        if text not in checked.parsed.assumed.values() and not any(words in text for words in _OVERRIDES)
    ]


def unreadable(error: InputError) -> Check:
    """The FAIL of a source that cannot be read."""
    place = f"{error.where}: " if error.where else ""
    return Check("readable", "FAIL", place + error.problem, remedy=error.remedy or "correct the table")


_OVERRIDES = ("score differs from", "scores differ from")  # notes of reading that a check repeats
_NOTED = "replaced scores"  # what the notes of a table say as well
CHECKS: dict[str, tuple[Callable[[Checked], Lines], str]] = {
    "units": (checks_models.units, "sizes, data and FLOPs are of a plausible order"),
    "flops": (checks_models.six_n_d, "FLOPs agree with 6 N D wherever both are known"),
    "dates of runs": (checks_models.run_dates, "no score is from before the release of its model"),
    "size in name": (checks_models.size_in_name, "sizes agree with the names of the models"),
    "release dates": (checks_models.release_dates, "no model is released after today"),
    "mixture of experts": (checks_models.experts, "no mixture of experts is listed with all its parameters"),
    "compute": (checks_models.compute, "every model has FLOPs"),
    "families": (checks_models.families, "every family has two models or more"),
    "names of families": (checks_models.misspelt, "no new family has nearly the name of a known one"),
    "family of a model": (checks_models.misplaced, "no model is far from the line of its family"),
    "fine-tunes": (checks_models.fine_tunes, "no fine-tune stands beside its base"),
    "duplicates": (checks_scores.twins, "no two models have the same scores"),
    "new benchmarks": (checks_scores.new_benchmarks, "chance level and item count are known for every benchmark"),
    "few scores": (checks_scores.few, "every new benchmark or task has ten scores or more"),
    "copies": (checks_scores.copies, "no column repeats another"),
    "falling scores": (checks_scores.falling, "no score falls as the others rise"),
    "scale": (checks_scores.scale, "scores fill the range they are read in"),
    "failed runs": (checks_chance.failed, "no score is 0 where a guesser gets more"),
    "perfect scores": (checks_scores.perfect, "no score is exactly 1 where no other comes near"),
    "chance": (
        checks_chance.chance,
        "no score is far below chance, and no floor is another than stated",
    ),
    "two scales": (checks_chance.two_scales, "no column mixes raw and chance-corrected scores"),
    "metric": (checks_scores.metric, "HellaSwag agrees with the other scores of the same models"),
    "collapsed scores": (
        checks_scores.collapsed,
        "no score is next to nothing where models of like scores get much more",
    ),
    _NOTED: (checks_scores.replaced, "no score replaces a different one"),
}
"""Every check by name, with the sentence that says it passed."""
