"""Which recipe a scenario is of: the ladder's, a similar one, anyone's, or one of the ladder's by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.ladder_posterior import SAME, SIMILAR, UNKNOWN
from bayes_obscaling.results.scenario import Scenario

RECIPES = (SAME, SIMILAR, UNKNOWN)
# How far beyond those of the runs a number of tokens per parameter is still theirs: sizes of one rung differ a little.
_NEAR = 1.02


def recipes_of(
    ladder: Ladder, scenarios: Sequence[Scenario], asked: str = "", default: str = ""
) -> tuple[tuple[Scenario, ...], tuple[str, ...]]:
    """Scenarios with their recipe filled in, and a sentence for each that says which one it is, and why if it follows.

    That is what was `asked` of all, else the scenario's own, else the `default`. Where there is none of these, a target
    whose tokens per parameter lie outside those of the runs is "similar": its schedule is not one that the ladder has
    shown. One inside is "same".

    Raises
    ------
    InputError
        For a recipe that is neither of the three nor the ladder's.
    """
    ratio = ladder.runs["tokens"] / ladder.runs["params"]
    resolved, sentences = [], []
    named = [name for name in ladder.recipes if name]
    for scenario in [replace(one, recipe=asked or one.recipe or default) for one in scenarios]:
        if scenario.recipe and scenario.recipe not in (*RECIPES, *named):
            known = ", ".join((*RECIPES, *named))
            raise InputError(f"Scenario {scenario.name} has recipe '{scenario.recipe}'", f"give one of {known}")
        here = scenario.tokens / scenario.params
        inside = ratio.min() / _NEAR <= here <= ratio.max() * _NEAR
        if scenario.recipe:
            recipe, why = scenario.recipe, ""
        else:
            recipe = SAME if inside else SIMILAR
            where = "inside" if inside else "outside"
            span = f"{ratio.min():.3g} to {ratio.max():.3g}"
            why = f", since its {here:.3g} tokens per parameter are {where} the ladder's {span}"
        resolved.append(replace(scenario, recipe=recipe))
        sentences.append(f"{scenario.name}: recipe {recipe}{why}.")
    return tuple(resolved), tuple(sentences)
