"""What every forecast can be asked, whatever the model: quantiles, probabilities, and whether the sampler converged."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bayes_obscaling.checks import Level, worst
from bayes_obscaling.errors import InputError
from bayes_obscaling.results.convergence import Convergence
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.fit import CapabilityFit, LadderFit

# Forecasts that are also said in words.
_SENTENCES = 5
_HUB_LEVELS = (0.01, 0.025, *np.arange(0.05, 0.951, 0.05).round(2), 0.975, 0.99)


class Predictive(Answer):
    """Posterior predictive draws of named quantities, and the fit behind them."""

    # Columns of `about` that name a quantity.
    labels: ClassVar[tuple[str, ...]] = ("model", "task")

    fit: CapabilityFit | LadderFit
    about: pd.DataFrame

    @property
    @abstractmethod
    def flat(self) -> np.ndarray:
        """Draws of all chains (draws, rows of `about`)."""

    @abstractmethod
    def plot(self, ax: Any = None) -> Any:
        """Draw the intervals."""

    @property
    @abstractmethod
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know of single forecasts."""

    @property
    def sentences(self) -> tuple[str, ...]:
        """The first forecasts in words, then what they assume, then warnings."""
        rows = self.to_dataframe().head(_SENTENCES)
        spoken = [
            f"{', '.join(str(row[name]) for name in self.labels)}: median {row['median']:.3f}, 90 % interval "
            f"{row['q5']:.3f} to {row['q95']:.3f}."
            for _, row in rows.iterrows()
        ]
        return (*spoken, *self.own_notes, *self.warnings)

    def to_dict(self) -> dict[str, Any]:
        """Everything as JSON-able values: `Answer` and ``warnings, notes, convergence, spec, provenance``."""
        return {
            **super().to_dict(),
            "warnings": list(self.warnings),
            "notes": [*self.own_notes, *self.fit.notes],
            "convergence": self.convergence.model_dump(),
            "spec": self.fit.believed,
            "provenance": self.fit.provenance,
        }

    @property
    def own_problems(self) -> tuple[str, ...]:
        """What went wrong in the forecast quantities themselves; empty when nothing did, or nobody looked."""
        return ()

    @property
    def own_notes(self) -> tuple[str, ...]:
        """What the forecast assumes that nobody said."""
        return ()

    @property
    def convergence(self) -> Convergence:
        """The worst of what is behind the forecast."""
        return self.fit.worst_convergence

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling; empty when nothing did."""
        energy = self.fit.energy_warning if self.fit.energy_level == "FAIL" else ()
        return self.fit.problems + self.own_problems + energy

    @property
    def verdict(self) -> Level:
        """PASS, REVIEW or FAIL: R-hat, effective sample sizes, divergences and E-BFMI behind the forecast.

        `bayes_obscaling.diagnose` checks the fit further.
        """
        return worst(["FAIL" if self.problems else "PASS", self.fit.energy_level])

    def quantiles(
        self, levels: Sequence[float] = (0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.975)
    ) -> pd.DataFrame:
        """Quantiles in long form: the names of a quantity, then ``level, value``.

        Parameters
        ----------
        levels : sequence of float
            Probabilities in [0, 1].

        Raises
        ------
        InputError
            For a level outside [0, 1].
        """
        if bad := [level for level in levels if not 0 <= level <= 1]:
            raise InputError(f"The quantile level {bad[0]} is outside 0..1: give probabilities, such as 0.05.")
        values, names = np.quantile(self.flat, levels, axis=0), self.about[list(self.labels)]
        parts = [names.assign(level=p, value=v) for p, v in zip(levels, values, strict=True)]
        return pd.concat(parts, ignore_index=True)

    def probability(self, threshold: float) -> pd.DataFrame:
        """Probability that a score is at or above a threshold: the names of a quantity, then ``probability``.

        Parameters
        ----------
        threshold : float
            Score, 0..1.

        Raises
        ------
        InputError
            For a threshold outside 0..1.
        """
        if not 0 <= threshold <= 1:
            raise InputError(f"The threshold {threshold} is outside 0..1: scores are fractions, such as 0.5.")
        return self.about[list(self.labels)].assign(probability=(self.flat >= threshold).mean(axis=0))

    def to_hub(self) -> pd.DataFrame:
        """Quantiles as a hubverse model output: ``target, model, output_type, output_type_id, value``."""
        frame = self.quantiles(_HUB_LEVELS).rename(columns={"task": "target", "level": "output_type_id"})
        frame["output_type"] = "quantile"
        return frame[["target", "model", "output_type", "output_type_id", "value"]]
