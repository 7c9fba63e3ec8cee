# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # A first forecast
#
# **The question.** Suppose that word unscrambling (BIG-bench's `word_unscrambling`) had been scored only for models
# trained with up to 8.4e22 FLOPs, about the size of Llama-2 7B. What will models above that score? And what would a
# Llama-2 trained with 3e24 FLOPs score, a model that nobody has trained?
#
# The first question has answers to check against: the scores above the cutoff exist, and the fit is not shown them.
# The second has none yet.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import arviz_stats as azs
import numpy as np
import pandas as pd
from IPython.display import display

import bayes_obscaling as bo

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
TASK, CUTOFF = "word_unscrambling", 8.4e22

# %% [markdown]
# ## What was measured
#
# The table of the published study: 77 base models with their standard benchmarks (MMLU, HellaSwag, ...) and tasks.
# A score is a fraction from 0 to 1, chance included.

# %%
table = bo.load("base-llms", only="paper")
display(table)

# %%
scores = table.matrix([TASK])[TASK].dropna()
flops = table.models.loc[scores.index, "flops"]
pd.Series(
    {
        "models with a score": len(scores),
        "at or below the cutoff: seen": int((flops <= CUTOFF).sum()),
        "best score seen": scores[flops <= CUTOFF].max(),
        "best score held out": scores[~(flops <= CUTOFF)].max(),
    }
)

# %% [markdown]
# The models that the fit may look at all score close to zero: the forecast has to say how a curve goes on of which
# only the foot is seen.
#
# ## Fit
#
# One fit, four chains. The draws of the capabilities are kept in the cache folder, so that the next task or cutoff
# takes seconds (`cache=None` keeps nothing).

# %%
fit = bo.fit(table, TASK, cutoff=CUTOFF, seed=0, cache=bo.default_cache_dir())
forecast = bo.forecast(fit)
print(forecast.problems or "The sampler reports no problems.")

# %% [markdown]
# ## The forecast
#
# Every model whose score the fit has not seen, from its standard benchmarks. `observed` is the held-out score,
# where there is one; `q5` and `q95` are the ends of the 90 % interval.

# %%
summary = forecast.to_dataframe().set_index("model").sort_values("median", ascending=False)
display(summary[["flops", "observed", "median", "q5", "q25", "q75", "q95"]])

# %%
_ = bo.plots.plot_forecast(forecast)

# %% [markdown]
# How often did the intervals hold the held-out score? These models share families and a single fit, so their hits
# and misses come together: two dozen of them can show that intervals are badly wrong, not that they are exactly
# right. Here more scores lie inside than promised, above all in the 50 % interval: the intervals are wider than this
# task needed.

# %%
held_out = summary.dropna(subset="observed")
ends = {50: ("q25", "q75"), 80: ("q10", "q90"), 90: ("q5", "q95"), 95: ("q2.5", "q97.5")}
pd.DataFrame(
    {
        "held-out scores": len(held_out),
        "inside": {p: int(held_out["observed"].between(held_out[a], held_out[b]).sum()) for p, (a, b) in ends.items()},
        "mean width": {p: (held_out[b] - held_out[a]).mean() for p, (a, b) in ends.items()},
    }
).rename_axis("interval (%)")

# %% [markdown]
# And the order of the models? For each pair of held-out scores the draws say with which probability the first is the
# higher one.

# %%
names = held_out.index.tolist()
draws = forecast.draws.sel(scenario=names, task=TASK).stack(all_draws=("chain", "draw")).to_numpy()
first, second = np.triu_indices(len(names), k=1)
higher = (draws[first] > draws[second]).mean(axis=1)
true = held_out["observed"].to_numpy()
right = (higher > 0.5) == (true[first] > true[second])
pd.Series({"pairs": len(higher), "order right": right.mean(), "as claimed": np.maximum(higher, 1 - higher).mean()})

# %% [markdown]
# ## A model that does not exist yet
#
# From family and compute alone: a Llama-2 of 3e24 FLOPs, 3.6 times Llama-2 70B, and a model of the same compute
# from a family never seen. The second interval is wider, since how efficiently that family turns compute into
# capability has to be drawn from the population of families. Its median is hardly lower: later families make more of
# their compute, and a new family is taken to be as late as the latest of the table (Llama-3, April 2024), while
# Llama-2 keeps its date, July 2023.

# %%
scenarios = [bo.Scenario(family="Llama-2", flops=3e24), bo.Scenario(family="new", flops=3e24)]
future = bo.forecast(fit, scenarios)
future.to_dataframe().set_index("model")[["basis", "family_models", "distance", "median", "q5", "q25", "q75", "q95"]]

# %%
_ = bo.plots.plot_compute_curve(bo.ask.compute_curve(fit, TASK, "Llama-2"))

# %% [markdown]
# The probability that they score one half or better:

# %%
pd.concat([future.probability(0.5), forecast.probability(0.5)]).sort_values("probability", ascending=False).head(10)

# %% [markdown]
# And the other way round: the compute at which the curve of a typical Llama-2 reaches one half (90 % interval,
# FLOPs).

# %%
reach = forecast.compute_to_reach(TASK, 0.5, "Llama-2")
pd.Series(np.quantile(reach, [0.05, 0.5, 0.95]), index=["5 %", "median", "95 %"]).map("{:.2e}".format)

# %% [markdown]
# ## Did the sampler work?
#
# `fit.tree` is an xarray DataTree that ArviZ reads as it is; `fit.draws` is its posterior. R-hat should be below
# 1.01, effective sample sizes above 400, divergences 0. First what the task's curve is made of, then how capability
# grows with compute in the Llama-2 family.

# %%
heads = fit.draws[["weight", "task_difficulty", "task_overdispersion"]].sel(task=TASK)
azs.summary(heads, round_to=3)

# %%
llama = fit.draws[["intercept", "slope"]].sel(family="Llama-2", predictors="all")
azs.summary(llama, round_to=3)

# %%
stages = {stage: record.model_dump() for stage, record in fit.convergence.items()}
display(pd.DataFrame(stages).T)

# %% [markdown]
# The task's curve against capability: what is seen lies at its foot, and the band opens where nothing is seen.

# %%
_ = bo.plots.plot_capability_curve(bo.ask.capability_curve(fit, TASK))

# %% [markdown]
# ## What the intervals allow one to say, and what not
#
# They allow one to say:
#
# - **Scores will leave the floor.** No model that the fit has seen scores above about 0.1; for a Llama-2 of 3e24
#   FLOPs even the lower end of the 90 % interval lies well above that.
# - **More likely than not, such a model passes one half**: three times in four for the Llama-2, two times in three for
#   a family never seen. These are bets to be counted over many forecasts, not verdicts on one.
# - **Which of two models will score higher**, with more confidence than how high either will score: the order of the
#   pairs above was right about as often as claimed.
#
# They do not allow one to say:
#
# - **Whether it will be 0.4 or 0.8.** The 90 % interval of the Llama-2 of 3e24 FLOPs spans more than half of the
#   scale. That is what 44 scores near zero say about the rest of the curve; a narrower answer from them would be a
#   guess about its shape.
# - **Where the task levels off.** Every score above the cutoff is hidden, so nothing in the data speaks about a
#   plateau. The curve climbs towards a ceiling near 1 because the prior says so. If wrong labels in the task
#   cap scores at 0.7, for example, no interval here knows.
# - **That one curve holds.** The fit believes in one rising S-shaped curve, common to all families up to an offset,
#   and in capability that grows steadily with the logarithm of compute and with the date of a family. The intervals
#   are right only as far as that is. More than about 0.8 decades of compute beyond a family's largest model they have
#   covered less than they claim, and a forecast warns.
# - **What a quite different family will do.** "new" is one more family like the 21 of this table. A new kind of
#   training is not drawn from them.
# - **At which compute one model passes one half.** The compute above is that of the family's *typical* model; a
#   single model has its own luck on top, and FLOPs are themselves estimates (6 N D).
# - **What another test harness would report.** A forecast is about a score measured as those of the table were: the
#   same prompts, shots and metric.
