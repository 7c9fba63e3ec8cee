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
# # What does post-training add, and to which models?
#
# Chain of thought and majority voting help some models a lot and others not at all. Ruan, Maddison and Hashimoto
# (2024, section 4.2) forecast scores with and without such an intervention from weaker models. Here the question is
# about the difference itself: how much does a model gain, how sure can one be that it gains at all, and which
# capability does that depend on? The tasks are GSM8K (direct, chain of thought, majority of five chains) and BIG-Bench
# Hard (direct, chain of thought), at the published cutoff of 8.4e22 FLOPs.

# %%
import warnings

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import matplotlib.pyplot as plt
import pandas as pd
from IPython.display import display

import bayes_obscaling as bo

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
pd.options.display.max_rows = 60
pd.options.display.max_columns = 20


def say(finding):
    for sentence in (*finding.sentences, *(f"Sampler: {problem}" for problem in finding.problems)):
        print("-", sentence)


# %% [markdown]
# ## One fit of all five tasks, and its diagnostics
#
# The two scores of a model are forecast from the same draw of its capabilities, so that what is uncertain about the
# model itself cancels in the difference as far as both tasks read it alike.

# %%
table = bo.load("base-llms", only="paper")
tasks = ["gsm8k_direct", "gsm8k_cot", "gsm8k_cot_sc", "bbh_direct", "bbh_cot"]
fit = bo.fit(table, tasks, cutoff=8.4e22, cache=bo.default_cache_dir())
diagnostics = pd.DataFrame({stage: record.model_dump() for stage, record in fit.convergence.items()}).T
display(diagnostics)
print("sampler problems:", fit.problems or "none")

# %% [markdown]
# ## Chain of thought on GSM8K
#
# `median` and the bounds are the gain of a new pair of evaluations; `probability_helps` is the probability that the
# expected score, free of the noise of evaluations, is higher with the intervention. Every fifth model, the least
# capable first:

# %%
cot = bo.ask.gain(fit, "gsm8k_direct", "gsm8k_cot", families=["Llama-2", "Qwen1.5", "new"])
say(cot)
display(cot.table.iloc[::5])
figure, axes = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
bo.plots.plot_gain(cot, ax=axes[0])
bo.plots.plot_gain_curve(cot, ax=axes[1])
plt.show()

# %% [markdown]
# Below a certain capability chain of thought adds nothing, and the interval says so: it is narrow and holds zero. Over
# compute, the gain of a family shrinks where the direct score catches up; that part lies beyond all data.
#
# Which capability is behind it? The derivative of the expected gain along each capability, the others held, averaged
# over the models:

# %%
display(cot.parts["drivers"])
bo.plots.plot_drivers(cot)
plt.show()

# %% [markdown]
# ## Held-out models: forecast against observed gains
#
# Models above the cutoff have both scores, hidden from the fit. Beside ours: the difference of the published method's
# two point forecasts (`pc-3`, and `pc-3-parametric` with a free floor), with the difference of its two bootstraps as
# interval; no change at all; and the mean gain of the models that were seen.

# %%
pairs = [("gsm8k_direct", "gsm8k_cot"), ("gsm8k_cot", "gsm8k_cot_sc"), ("bbh_direct", "bbh_cot")]
checks = {f"{after} - {before}": bo.ask.check_gain(fit, before, after) for before, after in pairs}
for name, check in checks.items():
    print(name)
    say(check)
columns = ["n", "mae", "crps", "coverage_50", "coverage_80", "coverage_90", "width_90", "difference", "se"]
display(pd.concat({name: check.table.set_index("method")[columns] for name, check in checks.items()}))
figure, axes = plt.subplots(1, 3, figsize=(16, 5.4), layout="constrained")
for ax, check in zip(axes, checks.values(), strict=True):
    bo.plots.plot_gain_check(check, ax=ax)
plt.show()

# %% [markdown]
# ## The other two interventions

# %%
others = {name: bo.ask.gain(fit, *pair) for name, pair in zip(list(checks)[1:], pairs[1:], strict=True)}
for name, found in others.items():
    print(name)
    say(found)
figure, axes = plt.subplots(1, 2, figsize=(14, 5), layout="constrained")
for ax, found in zip(axes, others.values(), strict=True):
    bo.plots.plot_gain(found, ax=ax)
plt.show()
display(pd.concat({name: found.parts["drivers"].set_index("capability") for name, found in others.items()}))

# %% [markdown]
# ## What the intervals allow one to say
#
# Chain of thought on GSM8K helps with a probability of 90 % or more for 45 of 77 models, and hurts none as surely.
# Its gain rises with the MMLU capability (+.076 per sd, 90 % interval +.029 to +.126) and, barely sure, with
# HumanEval (+.046, +.001 to +.099); HellaSwag and XWinograd add nothing that can be told from zero. On BIG-Bench Hard
# the driver is HumanEval (+.051, +.010 to +.097; 82 % sure to be the strongest); 35 models are helped and 12 are hurt
# with a probability of 90 % or more. Whether a majority of five chains beats one cannot be said for a single model.
#
# Held-out gains were inside the 90 % interval for 96 % (GSM8K), 100 % (majority) and 96 % (BBH) of 28 models. Those
# of chain of thought were far better forecast than by no change or by the mean gain, which knows nothing of
# capability; those of the majority vote were not (CRPS .029 against .033 and .025). For the majority vote the
# interval is much too wide (its 50 % interval holds 96 %): two heads that read nearly the same scores are unsure
# apart, while in truth they move together.
#
# The difference of the two PC-3 forecasts is better than ours on all three: its errors are smaller (.049 against
# .053, .018 against .026, .037 against .041), its CRPS lower by .003 to .005. For GSM8K and BBH that is about one
# standard error; for the majority vote two. Its 90 % intervals hold 86 to 89 % on GSM8K and BBH and are narrower.
# What ours adds is the probability for each model, not a sharper point.
