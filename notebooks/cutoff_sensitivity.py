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
# # How far back can the cutoff be pulled?
#
# A forecast of an unreleased model is made with all that is known today. To learn how good such forecasts are, we go
# back: pretend that scores were known only for models up to some compute, the *cutoff*, forecast the models above it,
# and compare. Done at many cutoffs, this shows
#
# 1. how the forecast and interval of one model move as the cutoff is pulled back,
# 2. where extrapolation begins to fail: error, coverage and width against the distance beyond the cutoff,
# 3. how early an "emergent" capability was visible: the probability that a score passes a threshold.
#
# A cutoff is a mask over one table, so all fits share one compiled sampler and one set of capability draws: a study
# of eight cutoffs and four tasks takes little more than eight fits of a few seconds each.

# %%
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display

import bayes_obscaling as bo
from bayes_obscaling.evaluation import cells

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
TASKS = ["word_unscrambling", "parsinlu_qa", "arithmetic_3ds", "gsm8k_cot"]
CUTOFFS = np.geomspace(1e22, 3e23, 8)

# %% [markdown]
# ## The study
#
# Each finished fit is stored in a folder under a hash of its content; the same call again, after an interruption for
# example, fits only what is missing. On the command line this is `bayes-obscaling cutoffs --task word_unscrambling
# ... --cutoffs 1e22:3e23:8 --output study/`, with `--workers N` or `--scheduler tcp://HOST:PORT` for more machines,
# and `--resume`.
#
# 500 draws from each of four chains are kept here, to be quick; the default is 1 000.

# %%
table = bo.load("base-llms", only="paper")
folder = Path(tempfile.mkdtemp())  # take a folder of your own, to keep the fits
study = bo.study(table, TASKS, CUTOFFS, folder, draws=500, cache=bo.default_cache_dir())
print(f"{len(study.cells)} scored forecasts; failed fits: {study.failures or 'none'}")
for note in study.notes:
    print("note:", note)

# %% [markdown]
# ## One model, seen from ever further back
#
# Llama-2 70B has 8.4e23 FLOPs. The band is the 90 % interval, the darker one the 50 % interval; the dashed line is
# PC-3, the published point forecast.

# %%
figure, axes = plt.subplots(1, 2, figsize=(12, 4.2), layout="constrained")
for ax, task in zip(axes, ["word_unscrambling", "gsm8k_cot"], strict=True):
    bo.plots.plot_trajectory(cells.trajectory(study, task, "meta-llama/Llama-2-70b-hf", baselines=["pc-3"]), ax=ax)
plt.show()

# %% [markdown]
# Far back, the model has hardly seen the task leave its floor: the interval is wide, or sits too low. What the
# interval must do is to hold the observed score; what makes it useful is that it narrows as the cutoff comes closer.
#
# ## Error at every cutoff

# %%
figure, ax = plt.subplots(figsize=(8, 4.2), layout="constrained")
bo.plots.plot_error_by_cutoff(cells.error_by_cutoff(study), ax=ax)
plt.show()
areas = study.error_area().pivot(index="task", columns="method", values="area")
display(areas.loc[TASKS])

# %% [markdown]
# The table holds the area under the error curve over log cutoff, divided by its length: a mean absolute error over
# cutoffs. `compute` is a sigmoid in training compute alone, `family-logistic` adds an intercept for each family.
#
# ## Where extrapolation begins to fail
#
# Every forecast has a distance: how many decades of compute its model lies beyond the cutoff. Calibrated 90 %
# intervals hold 90 % of the scores at any distance.

# %%
figure, axes = plt.subplots(3, 1, figsize=(8, 9), sharex=True, layout="constrained")
bo.plots.plot_by_distance(cells.by_distance(study), ax=axes)
plt.show()
columns = ["distance", "n", "mae", "coverage_50", "coverage_80", "coverage_90", "coverage_95", "width_90"]
display(cells.by_distance(study, width=0.5)[columns])

# %% [markdown]
# Models of one family err together and the same model is forecast from many cutoffs, so these cells are not
# independent: read trends, not single bins.
#
# ## How early was it visible?
#
# The probability that a score will pass 0.5, by cutoff, for each model that was held out; colours say whether it did
# pass.

# %%
figure, axes = plt.subplots(1, 2, figsize=(13, 4.6), layout="constrained")
for ax, task in zip(axes, ["arithmetic_3ds", "gsm8k_cot"], strict=True):
    bo.plots.plot_emergence(cells.emergence(study, task, 0.5), ax=ax, labels=5)
plt.show()
seen = pd.concat([cells.emergence(study, task, 0.5) for task in TASKS])
display(seen.groupby(["task", "cutoff"])["brier"].mean().unstack("cutoff"))

# %% [markdown]
# The last table is the Brier score of these probabilities (0 is perfect, 0.25 is a coin): small where the answer was
# visible from that cutoff, large where the emergence came as a surprise.
#
# ## What to take away
#
# - Say the distance with every forecast: the error grows from .05 within half a decade of the cutoff to more than .1
#   beyond a decade and a half. The intervals grow with it and hold at every distance at least what they promise; at
#   these cutoffs they are rather too wide than too narrow.
# - PC-3 is a strong point forecast near the cutoff, where the sigmoid has been seen, and the best one on word
#   unscrambling; further back it may be far off and, being a point, does not say so.
# - Surprises are single models, not distances: the last plots name those whose outcome was least expected.
