"""Which scores on a task a fit has seen."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bayes_obscaling.results.fit import CapabilityFit


@dataclass(frozen=True)
class Seen:
    """What was hidden of the scores on a task.

    Attributes
    ----------
    cutoff : float or None
        FLOPs above which scores were hidden; None without a cutoff, and for a benchmark that only measures capability.
    held_out : int
        Models whose scores on the task were hidden; 0 for a benchmark that only measures capability.
    hidden : int
        Models whose every score was hidden.
    as_of : str or None
        Date from which on scores were hidden; None as for the cutoff.
    """

    cutoff: float | None
    held_out: int
    hidden: int
    as_of: str | None = None


def seen_of(fit: CapabilityFit, task: str) -> Seen:
    """What the fit has seen of the scores on a task or benchmark."""
    only_measures = task in fit.layout.benchmarks and task not in fit.tasks
    held_out = len(fit.split.held_out) if task in fit.tasks else 0
    cutoff, as_of = (None, None) if only_measures else (fit.split.cutoff, fit.split.as_of)
    return Seen(cutoff, held_out, len(fit.split.hidden), as_of)
