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
# # The frontier
#
# **The question.** What will the next model of a lab score, its compute being a secret, and how right would that have
# been in November 2025?
#
# The table `frontier` holds models of March 2023 to May 2026: scores that Epoch AI ran, and scores as vendors and
# leaderboards report them. This notebook looks at what the table says and what it leaves open, makes three forecasts
# as of 1 November 2025, opens them, and asks when a score will be reached.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import matplotlib.dates as mdates
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

import bayes_obscaling as bo

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
AS_OF = "2025-11-01"
SAMPLING = {"chains": 2, "draws": 300, "seed": 0, "cache": bo.default_cache_dir()}

# %% [markdown]
# ## What the table says

# %%
table = bo.load("frontier")
models, scores = table.models, table.scores
filled = table.matrix(table.benchmark_names).notna()
pd.Series(
    {
        "models": len(models),
        "labs": models["provider"].nunique(),
        "families (product lines)": models["family"].nunique(),
        "first release": models.loc[models["date"] != "", "date"].min(),
        "last release": models["date"].max(),
        "benchmarks": filled.shape[1],
        "scores": len(scores),
        "share of the cells that is filled": round(filled.to_numpy().mean(), 3),
        "scores of a benchmark, median": int(filled.sum().median()),
        "models with at most five scores": int((filled.sum(axis=1) <= 5).sum()),
        "models of published compute": int(models["flops"].notna().sum()),
    }
)

# %% [markdown]
# Most cells are empty, nearly half of the models have at most five scores, and most compute is unknown. Who is in it:

# %%
by_lab = models.assign(scores=filled.sum(axis=1), known=models["flops"].notna()).groupby("provider")
labs = by_lab.agg(
    models=("family", "size"), scores=("scores", "sum"), known_compute=("known", "sum"), last=("date", "max")
)
display(labs.sort_values("scores", ascending=False).head(12))

# %% [markdown]
# **Efforts.** The same model answers with more or less reasoning. Of a cell the best setting is its score; the others
# are kept beside it, and count in the fit. One of the models with most settings:

# %%
settings = pd.concat([scores, table.other_settings])
chosen = settings[(settings["model"] == "gpt-5.2") & settings["benchmark"].isin(["gpqa_diamond", "otis_mock_aime"])]
efforts = ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
spread = chosen.pivot_table(index="benchmark", columns="setting", values="score")
display(spread[[effort for effort in efforts if effort in spread]])

# %% [markdown]
# ## Two fits, and their verdict
#
# A sparse table gets a model of its own (`CapabilitySpec.frontier()`): two capabilities; compute as a trend in time,
# observed with error or not at all; a year is worth so much compute, for all families and a little more or less for
# each; reasoning and steps of effort; benchmarks that teach each other, and whose categories gain with the date what
# two capabilities do not explain, agents most. It is fitted twice: to the whole table, and to what was released before
# 1 November 2025.
#
# **These fits are short**: 300 draws from each of two chains, so that the notebook runs in minutes on one core. The
# default is 1 000 from each of four, which takes about five times as long and ends with R-hat 1.006. What the
# sampler says of these:

# %%
whole = bo.fit(table, table.benchmark_names, **SAMPLING)
split = bo.Split.by_date(table, AS_OF, hides="all")
then = bo.fit(table, table.benchmark_names, split=split, **SAMPLING)
for name, fit in {"whole table": whole, f"as of {AS_OF}": then}.items():
    print(name, fit.verdict, *fit.problems, sep="\n  ")

# %% [markdown]
# A verdict of FAIL means that R-hat is above 1.01 or that there are too few effective draws: medians and intervals
# below carry Monte Carlo error on top of what they say, about a hundredth of a score, and a tail is worse known than a
# median. For a decision take the default, and read `bayes-obscaling diagnose`.
#
# ## What is latent
#
# The compute of 118 models. The trend says what a model of that date and line has, its scores say
# whether it has more.

# %%
latent = bo.ask.latent_compute(whole)
print(*latent.sentences, sep="\n")

# %%
figure, ax = plt.subplots(figsize=(11, 5), layout="constrained")
rows = latent.to_dataframe().set_index("model")
when = pd.to_datetime(models["date"].replace("", None))
ax.vlines(when[rows.index], rows["q5"], rows["q95"], color="tab:orange", alpha=0.35)
ax.plot(when[rows.index], rows["median"], ".", color="tab:orange", label="drawn: median and 90 % interval")
known = models[models["flops"].notna()]
width = 10 ** (1.645 * known["flops_sd"].fillna(0.0))
ax.vlines(when[known.index], known["flops"] / width, known["flops"] * width, color="tab:blue", alpha=0.35)
ax.plot(when[known.index], known["flops"], ".", color="tab:blue", label="published, with its error (90 %)")
ax.set(yscale="log", ylabel="training compute (FLOPs)", xlabel="date of release")
ax.legend(frameon=False, loc="lower right")
plt.show()

# %%
names = ["gpt-5.2", "gpt-5.5", "claude-opus-4.5", "claude-opus-4.8", "gemini-3-pro", "deepseek-v4-pro"]
display(
    rows.loc[[name for name in names if name in rows.index], ["family", "median", "q5", "q95", "scores", "learned"]]
)

# %% [markdown]
# Intervals are one to two decades wide. `learned` is the share of the variance about the trend that a model's scores
# took away. Of closed labs there is nothing to check them against.
#
# ## Three forecasts made as of 1 November 2025, opened
#
# Nothing of a later model was seen: not one score, and no compute. Only its line and its date are known.

# %%
asked = ["gpt-5.2", "gpt-5.4", "claude-opus-4.5", "claude-opus-4.6", "gemini-3-pro"]
tasks = ["gpqa_diamond", "frontiermath_v2", "bp_hle"]
forecast = bo.forecast(then, asked, tasks=tasks)
table_of = forecast.to_dataframe()
table_of["inside 90 %"] = (
    table_of["observed"].between(table_of["q5"], table_of["q95"]).where(table_of["observed"].notna())
)
columns = ["task", "model", "date", "q5", "q25", "median", "q75", "q95", "observed", "inside 90 %"]
display(table_of[columns].sort_values("task", kind="stable", ignore_index=True))

# %%
seen = filled.drop(index=list(split.held_out)).index
figure, axes = plt.subplots(1, 3, figsize=(15, 4.8), layout="constrained", sharey=True)
for ax, task in zip(axes, tasks, strict=True):
    column = table.matrix([task])[task]
    ax.plot(when[seen], column[seen], ".", color="0.6", label="seen")
    part = table_of[table_of["task"] == task]
    dates = pd.to_datetime(part["date"])
    ax.vlines(dates, part["q5"], part["q95"], color="tab:blue", alpha=0.5)
    ax.vlines(dates, part["q25"], part["q75"], color="tab:blue", linewidth=4, label="forecast, 50 and 90 %")
    ax.plot(dates, part["observed"], "o", color="tab:red", markersize=5, label="came")
    ax.set(title=task, ylim=(0, 1), xlim=(pd.Timestamp("2024-01-01"), pd.Timestamp("2026-06-01")))
    ax.xaxis.set_major_formatter(mdates.ConciseDateFormatter(ax.xaxis.get_major_locator()))
axes[0].set_ylabel("score")
axes[0].legend(frameon=False, loc="lower right")
plt.show()

# %% [markdown]
# **How honest is "as of"?** The split goes by the release of models. Runs of older models made later are seen, and a
# benchmark that did not exist yet looks as if it had:

# %%
of_seen = scores[scores["benchmark"].isin(tasks) & scores["model"].isin(seen)]
runs = of_seen.assign(later=of_seen["evaluated"] >= AS_OF).groupby("benchmark")["later"].agg(["size", "sum"])
display(runs.rename(columns={"size": "scores seen", "sum": "of runs made later"}))

# %% [markdown]
# All 14 scores that came lie inside their 90 % intervals, which for FrontierMath are half of the scale wide. Of
# FrontierMath (version 2) every score that was seen comes from a run made later: in November 2025 nobody could
# have made this forecast. `bo.Split.by_vintage` hides such runs; then nothing is known of that benchmark.
#
# ### All that came
#
# Every score of every later model, on benchmarks with at least three scores before; beside three baselines that read
# dates alone.

# %%
before, after = filled.loc[seen].sum(), filled.loc[list(split.held_out)].sum()
judged = [name for name in table.benchmark_names if before[name] >= 3 and after[name]]
backtest = bo.backtest(table, judged, split, methods=["best-so-far", "latest-median", "date-logistic"], **SAMPLING)
cells = backtest.cells.copy()
cells["source"] = np.where(cells["task"].str.startswith("bp_"), "vendors", "Epoch")
cells["miss"] = cells["observed"] - cells["median"]
cells["error"] = cells["miss"].abs()
for level, (low, high) in {50: ("q25", "q75"), 80: ("q10", "q90"), 90: ("q5", "q95")}.items():
    cells[f"inside {level} %"] = cells["observed"].between(cells[low], cells[high])
values = ["miss", "error", "crps", "inside 50 %", "inside 80 %", "inside 90 %"]
summary = cells.groupby(["source", "method"])[values].mean()
summary.insert(0, "scores", cells.groupby(["source", "method"]).size())
display(summary.sort_values(["source", "crps"]))

# %% [markdown]
# `bayes` is ours; `miss` is observed less forecast, `error` its size. By CRPS, which judges the whole distribution,
# ours is ahead of the three on both kinds of scores, and by mean error too. 90 % intervals hold 96 % of each. Where it
# was most wrong, among benchmarks with at least eight scores that came:

# %%
ours = cells[cells["method"] == "bayes"]
by_task = ours.groupby("task").agg(scores=("miss", "size"), miss=("miss", "mean"), error=("error", "mean"))
common = by_task[by_task["scores"] >= 8].sort_values("miss")
display(common.head(5), common.tail(5))

# %% [markdown]
# Most wrong it was, downwards, where a benchmark had few scores or all of them near 0. MCP Atlas (agents with tools)
# had three scores. MathArena Apex had five, all below .06. Of 25 scores on ARC-AGI-2 the median was .01 and the best
# .16, and what came reached .85. Scores of vendors were forecast .045 too low on the whole (.07 before categories had
# trends of their own). Upwards it was wrong on long documents and on short facts, of which the vendors' column had
# three scores.
#
# ## When is a score reached?
#
# First as of November 2025, where the answer has come since. The line's **typical** model, and the **best of all**:

# %%
goals = {"bp_hle": 0.4, "frontiermath_v2": 0.8}
answers = []
for task, level in goals.items():
    for who in ({"family": "GPT"}, {"best": True}):
        answer = bo.ask.when(then, task, level, **who)
        print(answer.sentences[0])
        answers.append(answer.summary())
reached = scores.join(when.rename("date"), on="model")
for task, level in goals.items():
    first = reached[(reached["benchmark"] == task) & (reached["score"] >= level)].sort_values("date").iloc[0]
    print(f"{task} {level}: first reached by {first['model']}, released {first['date']:%Y-%m-%d}.")

# %% [markdown]
# And from the whole table, what has not come: .9 on FrontierMath.

# %%
goal = ("frontiermath_v2", 0.9)
lines = {name: bo.ask.when(whole, *goal, name) for name in ("GPT", "Claude Opus")}
lines["best of all"] = bo.ask.when(whole, *goal, best=True)
lines["best of all, compute 4.5 times a year"] = bo.ask.when(whole, *goal, best=True, trend_compute=4.5)
for answer in lines.values():
    print(answer.sentences[0])

# %%
figure, ax = plt.subplots(figsize=(9, 4.5), layout="constrained")
for name, answer in lines.items():
    years = np.sort(np.asarray(answer))
    ax.step(years, np.arange(1, len(years) + 1) / len(years), where="post", label=name)
ax.set(xlim=(2026.4, 2029), ylim=(0, 1), xlabel="year", ylabel="probability of having reached .9")
ax.legend(frameon=False, loc="lower right")
plt.show()

# %% [markdown]
# Months of these dates carry the Monte Carlo error of a short fit. A typical model of a line is later than the best of
# all by construction: many models are released, and the best one counts. That compute grows 4.5 times a year, in place
# of the pace that the table teaches (.37 decades, 2.3 times), does not bring the answer forward: every model of a line
# then has the line's compute, and a model that had much more of it is left out.
#
# ## What the intervals allow one to say, and what nobody can know
#
# They allow one to say:
#
# - **The next model of a line can be forecast to about a tenth of the scale**, from its line and its date alone, and
#   the intervals held what they promised: a little more at 90 % than they say.
# - **The best score so far is a hard rival** where vendors choose what they report: as a point it was .007 farther off
#   than ours. It does not say how sure one can be: its own intervals, from its past, hold 74 % at 90.
#
# They do not allow one to say:
#
# - **That it will go as well next time.** November 2025 was one of the two dates at which the model was chosen. It was
#   played, not lived.
# - **What the third digit is.** The verdict above says why.
# - **How far a tenfold run of a closed lab would get.** What compute brings and what time brings is learned from models
#   that publish their compute, most of them open. For the others it is carried over. A date is better asked for than
#   FLOPs.
#
# Nobody can know:
#
# - **Which scores will be reported.** Vendors publish what they choose. A score that is missing is taken to say
#   nothing; a forecast is of a score that gets reported.
# - **New scaffolds and tools.** Agents' scores jump when the program around the model is rewritten. No model of the
#   past had the next one.
# - **What a benchmark will still be worth.** Questions leak, keys are wrong, versions are replaced: FrontierMath has a
#   second one because the first had errors.
# - **That time goes on as before.** Beyond the last release efficiency wanders by .2 decades of compute in the first
#   year: a belief, no measurement. Steps, a pause, or a rule that stops releases are not in it.
