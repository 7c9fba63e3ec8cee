"""How much another recipe moves scores at given size and tokens: the numbers behind the ladder's priors of recipes.

``python scripts/recipe_scales.py`` reads the bundled base models. Their logits (chance taken off) follow, inside every
family, the loss that Hoffmann et al.'s law gives at their size and tokens (coefficients of Besiroglu et al. 2024); what
a family adds to that, the mean over its models, is its recipe's effect. `NEXT` names a team's next recipe: the
difference of the two effects is what "similar" means. Families of code and other languages are left out. Last it counts
how many of these differences the model's intervals hold, all and with a pair left out of what the scale is from.
"""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import stats

from bayes_obscaling.data import load_base_llms
from bayes_obscaling.data.ladder import asks_what_is_known
from bayes_obscaling.models.ladder import LadderPriors
from bayes_obscaling.models.ladder_equations import recipe_effect

BENCHMARKS = ("ARC-C", "HellaSwag", "Winograd", "MMLU")
# Several recipes that the table lists as one family, by a part of the model's name.
PARTS = {
    "falcon-rw": "Falcon-RW",
    "alpha-7b-v2": "StableLM-v2",
    "stablelm-2-1_6b": "StableLM-2",
    "danube2": "Danube2",
    "danube3": "Danube3",
    "OLMo-7B-0424": "OLMo-0424",
    "phi-1_5": "Phi-1.5",
}
NEXT = {
    "Llama-2": "Llama",
    "Llama-3": "Llama-2",
    "Llama-3.1": "Llama-3",
    "Qwen1.5": "Qwen",
    "Yi-200K": "Yi",
    "Yi-1.5": "Yi",
    "Gemma-2": "Gemma",
    "Falcon": "Falcon-RW",
    "Phi": "Phi-1.5",
    "Pythia": "GPT-Neo/J",
    "OpenLlamaV2": "OpenLlama",
    "StableLM-v2": "StableLM",
    "StableLM-2": "StableLM-v2",
    "BTLM": "Cerebras-GPT",
    "Danube2": "H2O-Danube",
    "Danube3": "Danube2",
    "OLMo-0424": "OLMo",
}
LEFT_OUT = (
    "CodeLlama",
    "StarCoder",
    "StarCoder2",
    "DeepSeek-Coder",
    "DeepSeek-Coder-V2",
    "DeepSeek-MoE",
    "DeepSeek-V2",
)
LEFT_OUT += ("XGLM", "GPT-2")
# Logits of an accuracy for a unit of the log loss: the bundled ladder's.
SLOPE = 6.5
# Shares of the range above chance that a logit is taken of, and degrees of freedom of the spread over recipes.
NEAR_CHANCE, NEAR_ONE, DF = 0.05, 0.97, 4


def effects() -> pd.DataFrame:
    """Effect of each recipe on each benchmark, logits, about the mean over recipes."""
    table = load_base_llms()
    models = table.models[table.models["tokens"].notna() & ~table.models["family"].isin(LEFT_OUT)]
    recipe = models["family"].astype(str).copy()
    for part, name in PARTS.items():
        recipe[[part in model for model in models.index]] = name
    loss = 1.8172 + 482.01 / models["params"] ** 0.3478 + 2085.43 / models["tokens"] ** 0.3658
    found = {}
    for name in BENCHMARKS:
        scores = table.scores[table.scores["benchmark"] == name].set_index("model")["score"].reindex(models.index)
        chance = float(table.benchmarks.loc[name, "chance"])
        share = (scores - chance) / (1 - chance)
        share = share[(share > NEAR_CHANCE) & (share < NEAR_ONE)]
        logits = np.log(share / (1 - share))
        rows = pd.DataFrame({"recipe": recipe, "x": -np.log(loss), "z": logits}).dropna()
        inside = rows[["x", "z"]] - rows.groupby("recipe")[["x", "z"]].transform("mean")
        slope = (inside["x"] * inside["z"]).sum() / (inside["x"] ** 2).sum()
        found[name] = (rows["z"] - slope * rows["x"]).groupby(rows["recipe"]).mean()
    return pd.DataFrame(found) - pd.DataFrame(found).mean()


def expected(task: str, draws: int = 100_000) -> np.ndarray:
    """Draws of what a similar recipe adds to the logit of an accuracy, through its loss and the link."""
    priors, rng = LadderPriors(), np.random.default_rng(0)

    def drawn(name: str) -> np.ndarray:
        return np.asarray(getattr(priors, name).from_normal(rng.standard_normal(draws)))

    shared = drawn("recipe_shared")
    on_loss, on_link = (
        recipe_effect(drawn(name), shared, *rng.standard_normal((2, draws))) for name in ("recipe_loss", "recipe_link")
    )
    gain = drawn("recipe_gain_knowledge" if asks_what_is_known(task) else "recipe_gain")
    return np.asarray(on_link - SLOPE * on_loss + gain)


def main() -> None:
    """Print the effects of next recipes, their location and scale, and how many of them the intervals hold."""
    of = effects()
    steps = pd.DataFrame({f"{old} -> {new}": of.loc[new] - of.loc[old] for new, old in NEXT.items()}).T
    text = list(BENCHMARKS[:3])
    shared = steps[text].mean(axis=1)
    print(steps.assign(mean=shared).round(2).to_string())
    print("\nmedian over next recipes:", steps.median().round(2).to_dict())
    _, loc, scale = stats.t.fit(shared, fdf=DF)
    print(f"mean of {', '.join(text)}: Student t with {DF} df has location {loc:.2f}, scale {scale:.2f}")
    own = steps[text].sub(shared, axis=0).std() * np.sqrt(len(text) / (len(text) - 1))
    print("what a benchmark has of its own, sd:", own.round(2).to_dict())
    whole = of[text].mean(axis=1).dropna()
    _, _, scale = stats.t.fit(whole, fdf=DF)
    own = of[text].sub(whole, axis=0).std() * np.sqrt(len(text) / (len(text) - 1))
    print(f"any two recipes: scale {np.sqrt(2) * scale:.2f}, of its own {np.sqrt(2) * own.mean():.2f}")

    places = np.array([(expected(name) < value).mean() for name in text for value in steps[name].dropna()])
    held = {level: float((np.abs(2 * places - 1) <= level).mean().round(2)) for level in (0.5, 0.8, 0.9, 0.95)}
    print(f"intervals of a similar recipe hold, of {len(places)} differences: {held}")
    others = [(one, stats.t.fit(shared.drop(pair), fdf=DF)) for pair, one in shared.items()]
    inside = [abs(one - loc) < scale * stats.t.ppf(0.95, DF) for one, (_, loc, scale) in others]
    print(f"90 % of the t of all other pairs holds {np.mean(inside):.2f} of {len(inside)} means")


if __name__ == "__main__":
    main()
