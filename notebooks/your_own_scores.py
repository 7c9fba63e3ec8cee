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
# # Your own scores: from a results folder and a spreadsheet to a page to send
#
# You have run lm-evaluation-harness on a new family of models, and you have scored the smallest of them, and some older
# models, on an exam of your own. What will the others score on the exam? This notebook takes the results folder and the
# spreadsheet as they are, has them checked, fits, reads the diagnostics, forecasts, and writes a page to send.
#
# The family is Yi-1.5: its benchmark scores are published figures that ship with the package, and the models are hidden
# from the table that the package brings here. **The exam is made up**: its "scores" are drawn here from a formula. So
# the truth is known, and the forecasts can be held against it at the end.

# %%
import json
import tempfile
import warnings
from pathlib import Path

warnings.filterwarnings("ignore", message="IProgress")  # no progress bars here, so ipywidgets is not needed

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from IPython.display import display
from scipy.special import expit, logit

import bayes_obscaling as bo

# %config InlineBackend.figure_format = "png"
pd.options.display.precision = 3
pd.options.display.max_rows = 60
pd.options.display.max_colwidth = 140
folder = Path(tempfile.mkdtemp())

# %% [markdown]
# ## The files
#
# The results folder is what the harness leaves: a file of each model, with several metrics of each task and their
# standard errors. The spreadsheet is what people keep: a row for each model, sizes in billions, the exam in per cent.
# Models that are bundled need their name and your score only. The made-up exam has 300 questions with five choices; its
# formula is a curve in MMLU and HellaSwag, plus the luck of the questions.

# %%
everything = bo.load("base-llms")
bundled = bo.load("base-llms", only="paper")
mine = ["01-ai/Yi-1.5-6B", "01-ai/Yi-1.5-9B", "01-ai/Yi-1.5-34B"]
ran = {"MMLU": "mmlu", "ARC-C": "arc_challenge", "HellaSwag": "hellaswag", "Winograd": "winogrande", "GSM8K": "gsm8k"}
published = everything.matrix(ran).loc[mine]

for model, scores in published.iterrows():
    results = {}
    for benchmark, task in ran.items():
        score, items = scores[benchmark], everything.n_items(benchmark)
        metric = {"hellaswag": "acc_norm", "arc_challenge": "acc_norm", "gsm8k": "exact_match"}.get(task, "acc")
        filtered = "strict-match" if task == "gsm8k" else "none"
        results[task] = {
            "alias": task,
            f"{metric},{filtered}": score,
            f"{metric}_stderr,{filtered}": (score * (1 - score) / items) ** 0.5,
        }
    place = folder / "results" / model.replace("/", "__")
    place.mkdir(parents=True)
    content = {"results": results, "config": {"model": "hf", "model_args": f"pretrained={model}"}, "model_name": model}
    (place / "results_2024-05-20T10-00-00.json").write_text(json.dumps(content, indent=1))


def made_up_exam(scores):
    ability = 0.7 * logit((scores["MMLU"] - 0.2) / 0.8) + 0.5 * logit(scores["HellaSwag"]) - 0.4
    return 0.2 + 0.8 * expit(1.3 * ability)


truth = made_up_exam(pd.concat([bundled.matrix(["MMLU", "HellaSwag"]).dropna(), published[["MMLU", "HellaSwag"]]]))
rng = np.random.default_rng(7)
exam = pd.Series(rng.binomial(300, truth) / 3, index=truth.index).round(1)
older = exam.index.difference(mine, sort=False)
sat = bundled.models.loc[older, "flops"] <= 8.4e22  # the older models that "you" have run

own = {
    "Model": mine,
    "Model Family": "Yi-1.5",
    "Model Size (B)": [6, 9, 34],
    "Pretraining Data Size (T)": 3.6,
    "FLOPs (1E21)": [129.6, 194.4, 734.4],
    "Release date": "2024-05-13",
    "made-up exam": [exam[mine[0]], np.nan, np.nan],
}
others = {"Model": older[sat], "made-up exam": exam[older[sat]]}
sheet = pd.concat([pd.DataFrame(own), pd.DataFrame(others)], ignore_index=True)
sheet.to_excel(folder / "exam.xlsx", sheet_name="scores", index=False)
display(sheet.head(5))
print(*sorted(str(path.relative_to(folder)) for path in folder.rglob("*.*") if path.is_file()), sep="\n")

# %% [markdown]
# ## Check them
#
# The same check runs on the command line: `bayes-obscaling check exam.xlsx --benchmarks exam.csv`, and
# `bayes-obscaling check results/`. The harness knows neither compute nor families; the spreadsheet says both.

# %%


def check(*files):
    lines = bo.check(*files, against=bundled)
    print(sum(line.level == "PASS" for line in lines), "checks pass")
    for line in lines:
        if line.level != "PASS":
            print(f"{line.level} {line.check}: {line.what} -> {line.remedy}".replace(f"{folder}/", ""))


check(folder / "results")
check(folder / "exam.xlsx")

# %% [markdown]
# What no file says is asked for. A second small file says what the exam is: a task (to be forecast, not a benchmark
# that measures capability), its chance level, its questions, and the range of the column.

# %%
(folder / "exam.csv").write_text("benchmark,role,chance,n_items,lower,upper\nmade-up exam,task,0.2,300,0,100\n")
check(folder / "exam.xlsx", folder / "exam.csv")

# %% [markdown]
# ## Fit
#
# The exam is fitted along with the bundled tasks, which teach it how steep such curves are and which capabilities they
# read. All its scores are seen: the models to forecast have none.

# %%
table = bo.read(folder / "exam.xlsx", folder / "exam.csv", into=bundled)
table = bo.read(folder / "results", into=table)
for note in table.notes:
    print("note:", note.replace(f"{folder}/", ""))
fit = bo.fit(table, "made-up exam", cache=bo.default_cache_dir())

# %% [markdown]
# ## Read the diagnostics before the forecast
#
# PASS, REVIEW or FAIL, each with its reason and a remedy. Only the sampler can FAIL a fit; REVIEW asks for a look.

# %%
found = bo.diagnose(fit)
print(found.verdict)
display(found.table[["check", "level", "what", "remedy"]])

# %% [markdown]
# The exam's own scores, left out one by one, are in `parts["scores"]`: where the model is surprised most, look for a
# wrong entry first.

# %%
mine = found.parts["scores"].query("benchmark == 'made-up exam'")
display(mine.loc[mine["z"].abs().sort_values(ascending=False).index, ["model", "observed", "pit", "z"]].head(4))

# %% [markdown]
# ## Forecast
#
# The two models that have benchmark scores only; a larger sibling that has nothing but its FLOPs; and a model of a
# family never seen.

# %%
scenarios = [
    "Yi-1.5-9B",
    "Yi-1.5-34B",
    bo.Scenario(family="Yi-1.5", flops=3e24),
    bo.Scenario(family="new", flops=3e24),
]
answer = bo.forecast(fit, scenarios)
columns = ["model", "basis", "distance", "family_models", "median", "q5", "q25", "q75", "q95", "verdict"]
display(answer.to_dataframe()[columns].assign(truth=lambda rows: rows["model"].map(truth)))
for warning in (*answer.problems, *answer.warnings):
    print("-", warning)
display(answer.probability(0.6))

# %%
bo.plots.plot_capability_curve(bo.ask.capability_curve(fit, "made-up exam"))
plt.show()

# %% [markdown]
# ## Against the truth
#
# The formula also gives scores to the older models above 8.4e22 FLOPs, which "you" have not run.

# %%
later = bo.forecast(fit, list(older[~sat]))
summary = later.to_dataframe().set_index("model")
ends = {50: ("q25", "q75"), 80: ("q10", "q90"), 90: ("q5", "q95")}
scored = exam[summary.index] / 100
display(
    pd.Series(
        {
            "models": len(summary),
            "mean absolute error of the median": (summary["median"] - scored).abs().mean(),
            **{
                f"inside the {p} % interval": scored.between(summary[a], summary[b]).mean()
                for p, (a, b) in ends.items()
            },
        }
    )
)
bo.plots.plot_forecast(later)
plt.show()

# %% [markdown]
# ## Keep it, and send it
#
# One file holds the draws, the table, the spec and the record of the sampler. Loaded again, it gives the same forecast.
# One page holds the forecasts for others to look at: it opens in a browser from disk and loads nothing. With the saved
# fit, `bayes-obscaling report exam.nc --output report.html` writes the same.

# %%
fit.save(folder / "exam.nc")
again = bo.open(folder / "exam.nc")
same = bo.forecast(again, scenarios)
print("same draws:", bool((same.draws == answer.draws).all()), "| sampler problems:", again.problems or "none")
everyone = [*scenarios, *older[~sat]]
page = bo.report(fit, folder / "report.html", everyone, title="The made-up exam: Yi-1.5 and older models")
print(page.name, f"{page.stat().st_size / 1e6:.1f} MB")

# %% [markdown]
# ## What the intervals allow one to say
#
# The sampler converged (largest R-hat 1.009, 0 divergences), so the intervals are those of the model that was fitted.
# Most checks marked REVIEW are about the bundled tasks; the one on priors is about the exam too: a forecast of a
# strong model leans on the shape of the exam's curve, and of the benchmarks'. The 9B model is forecast at .789 (90 %
# interval .708 to .862; the formula says .770), the 34B model at .890 (.816 to .950; .860). At 3e24 FLOPs the
# family's own line gives .870 to .988, a family never seen .679 to .979: knowing the family is worth three fifths of
# the interval. Of 30 models that were not run, 63 % lie inside the 50 % interval, 90 % inside the 80 % one and 93 %
# inside the 90 % one, on an exam that was drawn from a curve of the same kind. A real exam need not follow one; then
# the calibration lines of the diagnostics say so.
