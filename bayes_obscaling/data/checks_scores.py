"""Checks of scores: scales, failed runs, metrics, copies, and scores that replace others."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from bayes_obscaling.checks import counted, listed
from bayes_obscaling.data.checked import MOST_LISTED, Checked, Lines, expected, has_equals, rank_correlation
from bayes_obscaling.data.checks_chance import divided_twice, failed_runs, far_below_chance
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.reading import overrides

# A score that more models than this have in common says nothing about any two of them.
_MOST_ALIKE = 100
_ENOUGH = 40  # scores of a column that say what is usual
_FEW = 10
_MIN_COMMON = 5  # equal scores of two columns that are no accident
_MIN_RANKED, _MIN_FALLING = 8, 5
_FEW_FALLING = 3  # that fall one after the other, over so much of the models' range of standing (0 to 1)
_FAR_APART = 0.2
_FALLS = re.compile(
    r"(?:^|[^a-z])(?:perplexit(?:y|ies)|ppl|nll|bp[bc]|refus(?:als?|ed)|toxicity|hallucinations?)(?:$|[^a-z])"
    r"|(?:^|[^a-z])(?:loss(?:es)?|errors?|wer|cer)(?:[^a-z]*rates?)?$",
    re.IGNORECASE,
)
"""Names of what falls with capability."""
_MIN_COLUMN = 3  # scores that say what the scale of a column is
_NEAR_PERFECT = 0.95  # a best score from which on 1 is no surprise
_TURN = "give 1 - score, or leave the column out: a task is taken to rise with capability"
_ACC_SHIFT = -0.1  # acc of HellaSwag lies .1 to .2 below acc_norm in models of more than a billion parameters


def perfect(checked: Checked) -> Lines:
    """Find scores of exactly 1 where nobody else comes near."""
    for name, benchmark, scores in checked.columns():
        everyone = scores.combine_first(checked.matrix[name].dropna()) if name in checked.matrix else scores
        others = everyone[everyone < 1]
        right = list(scores.index[scores == 1])
        if right and not benchmark["signed"] and len(others) >= _MIN_COLUMN and others.max() < _NEAR_PERFECT:
            yield (
                "REVIEW",
                f"{name} is exactly 1 for {listed(right, MOST_LISTED)}, where no other model has more than "
                f"{others.max():.3f}",
                "see whether all items were run, or whether 1 stands for something else",
            )


def collapsed(checked: Checked) -> Lines:
    """Find scores next to nothing where models of like scores, or the base of the model, get much more."""
    for name, benchmark, scores in checked.columns():
        everyone = scores.combine_first(checked.matrix[name].dropna()) if name in checked.matrix else scores
        if benchmark["signed"]:
            continue
        sound = scores.drop(failed_runs(scores, benchmark))
        floor = np.nan_to_num(benchmark["chance"])
        gain = sound[~far_below_chance(sound, benchmark)] - floor
        cases = {}
        if len(everyone) >= _ENOUGH:  # fewer do not say what is usual
            standing = checked.standing(name).reindex(everyone.index)
            usual, low = (expected(standing, everyone, q)[gain.index] - floor for q in (0.5, 0.25))
            # a weak model of a sparse table may be the only one of its kind that has a score here
            alike = checked.is_dense | has_equals(standing, everyone)[gain.index]
            found = gain.index[alike & (usual > 0.15) & (gain < 0.1 * usual) & (gain < 0.5 * low)]
            cases = {str(model): float(usual[model] + floor) for model in found}
        for model, base in checked.bases.items():
            if model in gain and base in everyone:
                of_base = everyone[base] - floor
                if of_base > 0.2 and gain[model] < 0.35 * of_base:
                    cases[model] = float(everyone[base])
        if cases:
            each = [f"{model} {scores[model]:.3f} against {usual:.3f}" for model, usual in cases.items()]
            yield (
                "REVIEW",
                f"{name}: next to nothing where models of like scores, or the base, get much more ({listed(each, 5)})",
                "see whether its answers could be parsed and whether the scale is that of the column",
            )


def metric(checked: Checked) -> Lines:
    """Find HellaSwag scored as acc by a user whose models' other scores ask for acc_norm."""
    # what is far below chance has another scale, which is a finding of its own
    scores = {name: column[~far_below_chance(column, facts)] for name, facts, column in checked.columns()}
    if not checked.own or "HellaSwag" not in scores or "HellaSwag" not in checked.matrix:
        return
    standing = checked.standing("HellaSwag", "ARC-C")
    others = checked.matrix["HellaSwag"].dropna().drop(checked.own, errors="ignore")
    others = others[standing[others.index].notna()]
    own = scores["HellaSwag"][standing.reindex(scores["HellaSwag"].index).notna()]
    if len(others) < _MIN_RANKED or not len(own):
        return
    distance = np.abs(np.subtract.outer(standing[own.index].to_numpy(), standing[others.index].to_numpy()))
    found = own - np.median(others.to_numpy()[np.argsort(distance, axis=1)[:, :_MIN_RANKED]], axis=1)
    if (found < _ACC_SHIFT / 2).all() and found.mean() < _ACC_SHIFT:
        yield (
            "REVIEW",
            f"HellaSwag is {-found.mean():.2f} below what the other scores of {listed(list(found.index), MOST_LISTED)} "
            "ask for, as acc is below acc_norm" + (" (then ARC-C is acc as well)" if "ARC-C" in scores else ""),
            "take acc_norm for HellaSwag and ARC-C, as published scores do",
        )


def few(checked: Checked) -> Lines:
    """Find new benchmarks and tasks with few scores."""
    if checked.parsed is None:
        return
    counts = {name: len(scores) for name, _, scores in checked.columns() if name in checked.parsed.benchmarks.index}
    few = [f"{name} has {counted(n, 'score')}" for name, n in counts.items() if n < _FEW]
    if few:
        yield "REVIEW", listed(few, MOST_LISTED), "expect wide intervals; add scores of models far apart"


def copies(checked: Checked) -> Lines:
    """Find columns that hold the scores of another."""
    others, every = checked.matrix.columns, checked.matrix.to_numpy()
    for name, _, scores in checked.columns():
        if scores.nunique() > 1:
            apart = np.abs(every - scores.reindex(checked.matrix.index).to_numpy()[:, None])
            common = np.isfinite(apart)
            models = common.sum(axis=0)
            is_copy = (models >= _MIN_COMMON) & ((apart < 1e-9) | ~common).all(axis=0) & (others != name)
            for other, count in zip(others[is_copy], models[is_copy], strict=True):
                yield (
                    "REVIEW",
                    f"{name} has the scores of {other} ({count} models)",
                    "leave one of them out: a copy says nothing new, and is forecast from itself",
                )


def falling(checked: Checked) -> Lines:
    """Find scores that fall as the other scores of the models rise; few scores are judged by the name of the column."""
    new = () if checked.parsed is None else checked.parsed.benchmarks.index
    untold, falls = [], False
    for name, benchmark, scores in checked.columns():
        standing = checked.standing(name).reindex(scores.index).dropna()
        count, scores = len(standing), scores[standing.index]
        if benchmark["signed"]:
            continue
        if count < _MIN_FALLING or scores.nunique() < 3:
            if name in new and (why := _may_fall(name, scores, standing)):
                falls = True
                yield "REVIEW", f"{name}: {count} scores are too few to see whether it falls, but {why}", _TURN
            elif name in new:
                untold.append(name)
            continue
        rank = rank_correlation(scores, standing)
        if rank < (-0.5 if count >= _MIN_RANKED else -0.9):  # few scores fall by accident
            falls = True
            yield (
                "REVIEW",
                f"{name} falls as the other scores rise (rank correlation {rank:.2f}), as losses and refusal rates do",
                _TURN,
            )
    if untold and not falls:
        names = listed(untold, MOST_LISTED)
        yield "PASS", f"none is seen; this cannot be told of {names}: fewer than {_MIN_FALLING} scores", ""


def _may_fall(name: str, scores: pd.Series, standing: pd.Series) -> str:
    """What speaks for a column of few scores falling with capability; empty where nothing does."""
    if _FALLS.search(name):
        return "its name is that of something that does"
    is_far = len(scores) >= _FEW_FALLING and np.ptp(standing) >= _FAR_APART
    falls = is_far and rank_correlation(scores, standing) < -0.999
    return "each stronger model has a lower one" if falls else ""


def scale(checked: Checked) -> Lines:
    """Find columns that do not fill the range they are read in."""
    for name, benchmark, scores in checked.columns():
        top = scores.max() * (benchmark["upper"] - benchmark["lower"]) + benchmark["lower"]
        if benchmark["upper"] >= 10 and len(scores) >= _MIN_COLUMN and top <= 1:
            yield (
                "REVIEW",
                f"{name} is read as {benchmark['lower']:g}..{benchmark['upper']:g}, but its largest value is {top:g}",
                f"if these are fractions, multiply by {benchmark['upper']:g}",
            )
        if divided_twice(scores, benchmark):
            yield (
                "FAIL",
                f"{name} has no score above .01 (largest {scores.max():.2g}, {checked.at(scores.idxmax())}), its "
                f"chance level is {benchmark['chance']:g}",
                "check whether the scores were divided by 100 twice",
            )


def replaced(checked: Checked) -> Lines:
    """Find scores that replace different ones."""
    if checked.parsed is None or checked.before is None:
        return
    changed = overrides(checked.before, checked.parsed)
    if len(changed):
        each = [f"{x.model} on {x.benchmark}: {x.score:.3f} for {x.score_table:.3f}" for x in changed.itertuples()]
        what = counted(len(changed), "score replaces one that differs", "scores replace others that differ")
        yield (
            "REVIEW",
            f"{what} by more than .02 ({listed(each, 4)})",
            "make sure that they were measured in the same way (prompt, shots, metric)",
        )


def twins(checked: Checked) -> Lines:
    """Find two models with the same scores."""
    checked_models = set(checked.models.index)
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
        if same < 3 or not {one, other} & checked_models:
            continue
        common = int(kept.loc[[one, other]].notna().all().sum())
        if same > common / 2:
            yield (
                "REVIEW",
                f"{one} and {other} have {same} of {common} scores in common to the last digit",
                "if they are one model, keep one of the rows",
            )


def new_benchmarks(checked: Checked) -> Lines:
    """Tell what is assumed of new benchmarks."""
    if checked.parsed is None or checked.before is None:
        return
    for name, assumed in checked.parsed.assumed.items():
        known = checked.before.benchmarks
        near = close_names(name, [*known.index, *known["aliases"].explode().dropna()], cutoff=0.8)
        hint = f"if it is {near[0]}, name it so; else " if near else ""
        yield (
            "REVIEW",
            assumed,
            f"{hint}say chance, n_items and role in a benchmarks table",
        )
