"""Models that join a fit against a fit that saw them: the same answers, and how many times sooner.

The 20 base models that came after the published study join the fit of its 77, and are fitted with them. Prints, for
capabilities and for forecasts of tasks, the difference of medians in posterior sd, the ratio of 90 % widths, and the
ratio of times, measured one after the other in one run. About six minutes on two cores.

    python benchmarks/joined_fit.py
"""

import time

import numpy as np
import pandas as pd

import bayes_obscaling as bo
from bayes_obscaling.inference.joining import fit_given
from bayes_obscaling.results.fit import CapabilityFit

TASKS = ("word_unscrambling", "bbh_cot", "gsm8k_cot")
CUTOFF = 8.4e22


def quantiles(fit: CapabilityFit, models: list[str]) -> pd.DataFrame:
    """Quantiles of capabilities, and of expected task scores, of some models: one row each."""
    theta = fit.draws["theta"].sel(predictors="all", model=models)
    rows = [("capability", m, f, v) for m in models for f in fit.layout.factors for v in [theta.sel(model=m, factor=f)]]
    mean = bo.forecast(fit, models, tasks=TASKS, kind="mean").draws
    rows += [("task", m, t, mean.sel(scenario=m, task=t)) for m in models for t in TASKS]
    return pd.DataFrame(
        [
            (kind, model, what, *np.percentile(values, (5, 50, 95)), float(values.std()))
            for kind, model, what, values in rows
        ],
        columns=["kind", "model", "what", "q5", "median", "q95", "sd"],
    )


def main() -> None:
    paper, later = bo.load("base-llms", only="paper"), bo.load("base-llms", only="later")
    given = bo.fit(paper, TASKS, cutoff=CUTOFF, progress=False)
    split = bo.Split.by_flops(later, CUTOFF)
    fit_given(given, later, TASKS, split=split)  # compiles
    began = time.perf_counter()
    joined = fit_given(given, later, TASKS, split=split)
    middle = time.perf_counter()
    whole = bo.fit(later, TASKS, cutoff=CUTOFF, progress=False)
    ended = time.perf_counter()
    new = [name for name in later.models.index if name not in set(paper.models.index)]
    known = list(later.models["family"][new].isin(paper.families))
    ours, theirs = quantiles(joined, new), quantiles(whole, new)
    table = pd.DataFrame(
        {
            "kind": ours["kind"],
            "family": np.where(ours["model"].map(dict(zip(new, known, strict=True))), "known", "new"),
            "shift": (ours["median"] - theirs["median"]) / theirs["sd"],
            "width": (ours["q95"] - ours["q5"]) / (theirs["q95"] - theirs["q5"]),
        }
    )
    grouped = table.groupby(["kind", "family"])
    print(
        pd.DataFrame(
            {
                "answers": grouped.size(),
                "root mean square shift (sd)": grouped["shift"].apply(lambda x: np.sqrt((x**2).mean())),
                "median width ratio": grouped["width"].median(),
                "from": grouped["width"].quantile(0.1),
                "to": grouped["width"].quantile(0.9),
            }
        )
        .round(3)
        .to_string()
    )
    print(f"Fitted anew in {(ended - middle) / (middle - began):.1f} times the time of joining.")


if __name__ == "__main__":
    main()
