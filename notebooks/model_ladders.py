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
# # Model ladders: how sure can small runs make us of a large model?
#
# Bhagia et al. (2024) train sixteen small models (190M to 1.3B parameters, at 1, 2, 5 and 10 times Chinchilla's token
# count) and predict the accuracy of a 7B and a 13B model on eight tasks: size and tokens give the task loss, the loss
# gives the accuracy. They publish points. Here the same two curves are fitted for all tasks at once with NUTS, and
# the question is what intervals they support, and where those were wrong when a rung was left out.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import arviz_stats as azs
import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display

import bayes_obscaling as bo

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
pd.options.display.max_rows = 60

cache = bo.default_cache_dir()
ladder, everything = bo.load("olmo-ladder", only="paper"), bo.load("olmo-ladder")
print(ladder, everything)

# %% [markdown]
# ## The published point estimate
#
# Two least-squares fits, chained. Parameters and predictions (accuracy in per cent, 7B on 3.9T tokens and 13B on
# 5.0T) agree with the published ones to the printed digit.

# %%
point = bo.evaluation.fit_point_estimate(ladder)
display(point.parameters.round(3))
paper = [bo.Scenario("7B", params=6.888e9, tokens=3.945e12), bo.Scenario("13B", params=13.202e9, tokens=5.0e12)]
display((100 * point.predict(paper).pivot(index="task", columns="model", values="accuracy")).round(1))

# %% [markdown]
# ## A size left out, twice
#
# The model is judged where it can be: the 12 runs up to 760M forecast the six 1.3B runs, the 16 runs up to 1.3B
# forecast the six 3.2B runs. Three quantities are scored apart: the loss, the accuracy given the true loss, and the
# accuracy chained through the forecast loss. The rival is the point estimate with its residual noise.

# %%
backtest = bo.backtest(everything, [1.28e9, 3.17e9], train=ladder, draws=500, cache=cache)
columns = ["held_out", "quantity", "method", "n", "mae", "crps", "coverage_50", "coverage_90", "width_90"]
display(backtest.scores()[columns])
for size, fit in backtest.fits.items():
    c = fit.worst_convergence
    print(f"without {size}: R-hat {c.rhat:.3f}, ESS {c.ess_bulk:.0f}, {c.divergences} divergences", fit.problems or "")

# %% [markdown]
# Two rungs ahead: the 12 runs up to 760M forecast the 3.2B runs, four times larger than the largest of them, as 13B
# is four times larger than 3.2B.

# %%
three = everything.select([run for run in everything.runs.index if run.startswith("3B-")])
far = bo.evaluation.score_runs(backtest.fits["1.3e+09"], three)
display(
    bo.evaluation.score_table(far, ("quantity",))[
        ["quantity", "n", "mae", "crps", "coverage_50", "coverage_90", "width_90"]
    ]
)

# %% [markdown]
# The chained accuracy is forecast well: 90 % intervals of .035 and .043 hold 94 % of the scores, twice, with a CRPS a
# third below that of the point estimate, whose intervals hold 81 and 67 %. Two rungs ahead they hold 98 %.

# %% [markdown]
# ## Where the intervals were wrong
#
# Errors of the loss (median less observed) in units of its forecast sd, for the 3.2B runs, and the share of scores
# inside 90 % intervals by run.

# %%
cells = backtest.cells.query("held_out == '3.2e+09' and method == 'bayes'")
loss = cells[cells["quantity"] == "loss"]
z = (loss["median"] - loss["observed"]) / loss["sd"]
display(z.groupby([loss["task"], loss["run"]]).first().unstack().round(1))
by_run = cells.assign(inside=cells["observed"].between(cells["q5"], cells["q95"]))
display(by_run.pivot_table(index="run", columns="quantity", values="inside", aggfunc="mean").round(2))

# %%
fit = backtest.fits["3.2e+09"]
figure, axes = plt.subplots(1, 3, figsize=(17, 4.6), layout="constrained")
bo.plots.plot_loss(bo.ask.loss_curves(fit, "hellaswag", also=three), ax=axes[0])
bo.plots.plot_loss(bo.ask.loss_curves(fit, "csqa", along="tokens", also=three), ax=axes[1])
bo.plots.plot_link(bo.ask.link_curve(fit, "hellaswag", also=three), ax=axes[2])
plt.show()

# %% [markdown]
# Nearly all errors have one sign: the losses of the 3.2B runs were higher than forecast, on all tasks of a run alike,
# and most of all in the run with half of Chinchilla's tokens (10 per parameter), fewer than any run that was fitted.
# Its loss was inside on 62 % of the tasks, its accuracy on 75 %. Accuracy suffers less than loss, since too low a
# loss and too cautious a link partly cancel. Intervals of the loss one rung ahead are too narrow in the middle: 50 %
# ones hold 31 %.

# %% [markdown]
# ## The forecast
#
# All thirty runs, the 3.2B ones included, forecast the 7B, 13B and 32B models. No score of these models is in the
# data.

# %%
fit = bo.fit(everything, cache=cache)
forecast = bo.forecast(fit, recipe="same")
table = forecast.to_dataframe().query("quantity == 'accuracy'")
display(table.pivot(index="task", columns="model", values=["q5", "median", "q95"]).round(3).swaplevel(axis=1))
print(*forecast.warnings, sep="\n")
figure, axes = plt.subplots(1, 2, figsize=(15, 5.2), layout="constrained")
bo.plots.plot_ladder_forecast(forecast, ax=axes[0])
bo.plots.plot_ladder_forecast(forecast, ax=axes[1], quantity="loss")
plt.show()

# %% [markdown]
# ## Diagnostics
#
# The sampler, and leave-one-out on the accuracies of the runs (PSIS).

# %%
print("sampler problems:", fit.problems or "none")
names = [
    "size_exponent_median",
    "data_exponent_median",
    "size_bend_sd",
    "data_bend_sd",
    "data_bend_drift",
    "run_sd",
    "size_decay",
    "coupling",
    "slope_change_median",
    "accuracy_sd_median",
]
display(azs.summary(fit.draws, var_names=names, kind="all", round_to=3))
loo = bo.evaluation.accuracy_loo(fit)
print(f"elpd {loo.elpd:.0f} +- {loo.se:.0f}, share of Pareto k above .7: {float((loo.pareto_k > 0.7).mean()):.2f}")

# %% [markdown]
# ## Which run to add next
#
# Which further run would shrink the forecasts most? Expected sd of the targets' accuracies (mean over tasks) once the
# run is known, from the posterior draws, without fitting again. The first row is where it stands now.

# %%
runs = bo.design.next_runs(fit)
runs["reduction_per_1e21"] = runs["reduction"] / (runs["flops"] / 1e21)
display(runs.head(12))
display(runs[runs["flops"] < 2e21].head(6))

# %%
rungs = []
for label, each in {"760M": backtest.fits["1.3e+09"], "1.3B": backtest.fits["3.2e+09"], "3.2B (all runs)": fit}.items():
    summary = bo.forecast(each, recipe="same").to_dataframe().query("quantity == 'accuracy'")
    width = (summary["q95"] - summary["q5"]).groupby(summary["model"], sort=False).mean()
    rungs.append({"up to": label, "FLOPs spent": each.ladder.runs["flops"].sum(), **width})
display(pd.DataFrame(rungs))

# %% [markdown]
# ## What the intervals allow one to say
#
# - Trained by this recipe, the 7B model would score .44 to .48 on MMLU and .78 to .83 on HellaSwag, with probability
#   .9; the 13B model .45 to .51 and .79 to .85, the 32B model .44 to .56 and .76 to .88. Most tasks say less about
#   the order of 13B and 32B than about either.
# - These are statements about the recipe of the ladder (`recipe="same"`). The models that were trained had another
#   schedule, a last stage on better data, and, at 7B and 13B, more tokens per parameter than any run here:
#   `recipe="similar"`, the default for them, is three times as wide and a little higher.
# - Intervals of chained accuracies held what they promised one and two rungs ahead; those of losses did not quite.
# - Without the 3.2B rung the intervals for 7B would be twice as wide. Nothing cheap shrinks them much more: one run
#   of 13B parameters would take off more than half, one of 6.4B with 20 tokens per parameter a quarter at a fortieth
#   of the price, and small runs next to nothing.
