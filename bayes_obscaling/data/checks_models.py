"""Checks of models: sizes, data, compute, families, and names."""

from __future__ import annotations

import re
from datetime import date

import numpy as np
import pandas as pd

from bayes_obscaling.checks import Level, counted, listed
from bayes_obscaling.data.checked import MOST_LISTED, Checked, Lines, expected
from bayes_obscaling.data.names import close_names
from bayes_obscaling.data.rules import PLAUSIBLE

TOKENS_PER_PARAM = (1.0, 1e5)
_NEARLY = 0.8  # likeness of two names of families from which on one may be a slip of the other
_EXPERTS = re.compile(
    r"(?<![a-z0-9.])(?:(?P<total>\d+(?:\.\d+)?)b-a(?P<active>\d+(?:\.\d+)?)b|(?P<count>\d+)x(?P<each>\d+(?:\.\d+)?)b)"
    r"(?![a-z0-9])",
    re.IGNORECASE,
)
_MIN_SCORES, _MIN_RELATIVES, _DECADES = 3, 2, 1.2  # of a model; of a family; beyond which a model cannot be of it
SIZE_IN_NAME = re.compile(r"(?<![a-z0-9.])(\d+(?:[._]\d+)?)(b\d|b|m)(?![a-z0-9])", re.IGNORECASE)


def units(checked: Checked) -> Lines:
    """Find sizes, data and FLOPs of an implausible order."""
    models, remedy = (
        checked.models,
        "check the unit that the header names, such as (B), (T) or (1E21): a slip is a factor of 1000",
    )
    slipped = set()
    for column, (low, high) in PLAUSIBLE.items():
        for model, value in models.loc[models[column].notna() & ~models[column].between(low, high), column].items():
            slipped.add(model)
            yield "FAIL", f"{checked.at(model)} has {column} {value:g}, outside {low:g}..{high:g}", remedy
    ratio = models["tokens"] / models["params"]
    for model, value in ratio[ratio.notna() & ~ratio.between(*TOKENS_PER_PARAM)].items():
        if model not in slipped:
            typical = (checked.context.models["tokens"] / checked.context.models["params"]).median()
            yield "FAIL", f"{checked.at(model)} has {value:g} tokens per parameter, others have {typical:.0f}", remedy


def six_n_d(checked: Checked) -> Lines:
    """Find FLOPs that are not 6 N D."""
    models = checked.models
    ratio = models["flops"] / (6 * models["params"] * models["tokens"])
    for model, value in ratio[(ratio - 1).abs() > 0.02].items():
        level: Level = "FAIL" if not 0.1 <= value <= 10 else "REVIEW"
        yield (
            level,
            f"{checked.at(str(model))} has {value:.3g} times the FLOPs of 6 N D",
            "correct size, data or FLOPs; for a mixture of experts give the active parameters",
        )


def release_dates(checked: Checked) -> Lines:
    """Find models that are scored before they are released."""
    today = date.today().isoformat()
    for model, day in checked.models["date"].items():
        if day > today:
            yield (
                "REVIEW",
                f"{model} is released on {day}, after today",
                "correct the date: forecasts count from the latest",
            )


def run_dates(checked: Checked) -> Lines:
    """Find scores of runs that were made before their model was released."""
    scores = checked.scores[checked.scores["evaluated"] != ""]
    released = scores["model"].map(checked.context.models["date"]).fillna("")
    early = scores[(released != "") & (scores["evaluated"].str[: len("YYYY-MM-DD")] < released)]
    if len(early):
        each = [
            f"{row.model} on {row.benchmark}: run on {row.evaluated}, released on {released[row.Index]}"
            for row in early.itertuples()
        ]
        yield (
            "REVIEW",
            f"{counted(len(early), 'score')} from before the release ({listed(each, MOST_LISTED)})",
            "correct the date of the run, or that of the release: a split by date goes by both",
        )


def size_in_name(checked: Checked) -> Lines:
    """Find sizes that are not those of the names."""
    for model, params in checked.models["params"].dropna().items():
        named = _named_params(str(model))
        if named and _is_plausible(params) and not 0.7 <= params / named <= 1.4:
            yield (
                "REVIEW",
                f"{model} is listed with {params / 1e9:g} B parameters, its name says {named / 1e9:g} B",
                "correct the size, and the FLOPs with it",
            )


def _is_plausible(params: float) -> bool:
    low, high = PLAUSIBLE["params"]  # of others, the check of units speaks
    return low <= params <= high


def _named_params(model: str) -> float | None:
    """Return the size that a name such as llama-7b, bloom-1b1, pythia-410m or stablelm-2-1_6b tells."""
    sizes = SIZE_IN_NAME.findall(model.rpartition("/")[2])
    if len(sizes) != 1 or _EXPERTS.search(model):
        return None
    digits, unit = sizes[0]
    decimals = unit[1:]
    return float(digits.replace("_", ".") + ("." + decimals if decimals else "")) * (
        1e6 if unit.lower() == "m" else 1e9
    )


def compute(checked: Checked) -> Lines:
    """Find models without FLOPs."""
    flops = checked.context.models["flops"].reindex(checked.models.index).fillna(checked.models["flops"])
    unknown = flops.index[flops.isna()]
    if len(unknown):
        yield (
            "REVIEW",
            f"{len(unknown)} of {len(flops)} models have no FLOPs ({listed(list(unknown), MOST_LISTED)})",
            "give FLOPs, or size and data; without them compute is estimated from the scores",
        )


def families(checked: Checked) -> Lines:
    """Find families of one model."""
    sizes = checked.context.models["family"].value_counts()
    families = checked.families.dropna().unique()
    single = [family for family in families if sizes.get(family, 1) == 1]
    if single:
        yield (
            "REVIEW",
            f"{counted(len(single), 'family has', 'families have')} one model only ({listed(single, MOST_LISTED)})",
            "forecasts for them lean on the other families; add smaller models of the family if there are any",
        )


def misspelt(checked: Checked) -> Lines:
    """Find new families whose name is nearly that of a known one."""
    if checked.before is None:
        return
    known = checked.before.families
    new = [family for family in dict.fromkeys(checked.families.dropna()) if family and family not in known]
    for family in new:
        near = close_names(family, known, cutoff=_NEARLY)
        alike = [one for one in near if _digits(one) == _digits(family)]  # Llama-3 is no slip of Llama-2
        if alike:
            members = list(checked.families.index[checked.families == family])
            yield (
                "REVIEW",
                f"the family {family} of {listed(members, MOST_LISTED)} is new, and its name nearly that of {alike[0]}",
                f"write {alike[0]} if that is meant: else it is forecast as a family of its own",
            )


def _digits(name: str) -> str:
    return "".join(char for char in name if char.isdigit())


def experts(checked: Checked) -> Lines:
    """Find mixtures of experts whose compute counts all parameters instead of the active ones."""
    for model, facts in checked.models.iterrows():
        match = _EXPERTS.search(str(model))
        if match is None:
            continue
        per_token = facts["flops"] / (6 * facts["tokens"])  # parameters that the FLOPs count
        if np.isnan(per_token) and not np.isnan(facts["flops"]):
            continue  # compute that was given by itself: the size is not counted in it
        used = facts["params"] if np.isnan(per_token) else per_token
        active = float(match["active"]) if match["active"] else 2 * float(match["each"])  # two experts a token
        total = float(match["total"]) if match["active"] else int(match["count"]) * float(match["each"])
        if used > 0.6 * total * 1e9 and total > 1.5 * active:
            what = "size" if np.isnan(per_token) else "FLOPs"
            about = "" if match["active"] else "about "
            yield (
                "REVIEW",
                f"the {what} of {model} counts all {total:g} B parameters, of which {about}{active:g} B are active",
                "give the active parameters, and FLOPs = 6 x active parameters x tokens",
            )


def fine_tunes(checked: Checked) -> Lines:
    """Find fine-tunes that stand beside their base."""
    pairs = [f"{model} and {base}" for model, base in checked.bases.items()]
    if pairs:
        yield (
            "REVIEW",
            f"fine-tunes stand beside their bases ({listed(pairs, MOST_LISTED)})",
            "tuning moves some scores a lot: give fine-tunes a family of their own, or leave one of the two out",
        )


def misplaced(checked: Checked) -> Lines:
    """Find models whose scores ask for a compute far from theirs, unlike the rest of their family."""
    models = checked.context.models
    compute = pd.Series(np.log10(models["flops"]), index=models.index)
    offset = (expected(checked.standing(), compute) - compute).dropna()
    offset = offset[checked.ranks.notna().sum(axis=1)[offset.index] >= _MIN_SCORES]
    family = checked.families.reindex(offset.index).fillna(models["family"].reindex(offset.index))
    relatives = {name: members for name, members in offset.groupby(family)}
    for model in offset.index.intersection(checked.own):
        others = relatives[family[model]].drop(model)
        if len(others) < _MIN_RELATIVES:
            continue
        decades = offset[model] - others.median()
        if abs(decades) > _DECADES + others.std():
            yield (
                "REVIEW",
                f"{model} scores as a model of its family {family[model]} would with {10 ** abs(decades):.0f} times "
                f"{'more' if decades > 0 else 'less'} compute",
                "see whether it belongs to that family (a later generation is one of its own), and whether its FLOPs "
                "are right",
            )
