"""The command inference-compute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from bayes_obscaling.cli.groups import parsed
from bayes_obscaling.cli.options import Outputs, SavedFit
from bayes_obscaling.cli.show import show


def inference_compute(
    before: Annotated[str, "Task answered once."] = "gsm8k_cot",
    after: Annotated[str, "The same task, answered by the majority of --votes answers."] = "gsm8k_cot_sc",
    votes: Annotated[int, "How many answers vote."] = 5,
    scores: Annotated[str, "Scores before at which gains are said."] = "0.2,0.5,0.8",
    votes_fit: Annotated[Path, "Fit that holds both tasks, or one that ships by its name."] = Path("base-llms"),
    effort_fit: Annotated[Path, "Fit of a sparse table with settings, or one that ships by its name."] = Path(
        "frontier"
    ),
    *,
    outputs: Outputs,
) -> None:
    """Say what a doubling of majority votes and a step of reasoning effort are worth, in score and training compute.

    Prints one row per change, score before and quantity. Nothing is sampled: fits that ship with the package answer, or
    your own.

    Example: bayes-obscaling inference-compute --scores 0.3,0.6
    """
    at = parsed(
        "--scores", scores, lambda text: [float(part) for part in text.split(",")], "give scores, such as 0.2,0.5"
    )
    from bayes_obscaling import ask
    from bayes_obscaling.results.fit import CapabilityFit

    fits = [SavedFit(fit=path).open(CapabilityFit) for path in (votes_fit, effort_fit)]
    answer = ask.inference_compute(*fits, before=before, after=after, votes=votes, base_scores=at)
    show(answer, "What compute at inference is worth", outputs, rows=100)
