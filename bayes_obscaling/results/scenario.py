"""What is asked about one model: of a table, of a ladder's recipe, or one that does not exist yet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

import numpy as np

from bayes_obscaling.data.dates import iso_date
from bayes_obscaling.data.efforts import setting_of
from bayes_obscaling.data.rules import check_flops
from bayes_obscaling.errors import InputError

NEW_FAMILY = "new"


@dataclass(frozen=True)
class Scenario:
    """What is asked about one model.

    Attributes
    ----------
    model : str
        A model of the fit's table, or a name for one that does not exist yet; a model of a ladder's recipe.
    family : str
        Family of a model that is not in the table; ``"new"`` is a family never seen. Empty for a model of the table.
    flops : float
        Its training compute in FLOPs, default 6 N D; NaN for a model of the table. Of a ladder, only the law in compute
        alone reads it.
    params, tokens : float
        N and D, which a ladder reads, ``Scenario("7B", params=6.9e9, tokens=3.9e12)``, and a fit under the compute law
        "size-and-data", for which two of FLOPs, N and D are enough.
    date : str
        Its release date (as of `bayes_obscaling.data.dates.iso_date`), which fits with a drift read. Default: that of
        the family's latest release, for a new family of the latest release of all that the fit has seen.
    recipe : str
        Of a ladder: "same", "similar" (the same team's next recipe: longer, another schedule, a last stage on better
        data), "unknown" (anyone's), or a recipe of the ladder by name. Default: by its tokens per parameter, see
        `bayes_obscaling.results.ladder_recipe.recipes_of`.

    Raises
    ------
    InputError
        For what is no number, and params or tokens that are not positive. What asks a fit refuses FLOPs that cannot be
        meant.
    """

    model: str = ""
    family: str = ""
    flops: float = float("nan")
    params: float = float("nan")
    tokens: float = float("nan")
    date: str = ""
    effort: str = ""
    recipe: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "date", iso_date(str(self.date or ""), "Scenario"))
        object.__setattr__(self, "effort", setting_of(str(self.effort or ""), "Scenario"))
        for field in ("flops", "params", "tokens"):  # large ints overflow in NumPy
            value = getattr(self, field)
            try:
                object.__setattr__(self, field, float(value))
            except (TypeError, ValueError, OverflowError):
                raise InputError(f"A scenario has {field} {value!r}", "give a number, such as 3e24") from None
        for what, value in (("N", self.params), ("D", self.tokens)):
            if not np.isnan(value):
                self._check(what, value)

    @property
    def name(self) -> str:
        """A label: the model's name, or family and compute, or size and tokens."""
        if not (self.model or self.family) and np.isfinite(self.params):
            return f"N={self.params:.3g}, D={self.tokens:.3g}"
        when = f", {self.date}" if self.date else ""
        how = f", {self.effort} effort" if self.effort else ""
        what = f" @ {self.compute:.3g} FLOPs" if np.isfinite(self.compute) else ""
        what += f", {self.tokens_per_param:.3g} tokens/param" if np.isfinite(self.tokens_per_param) else ""
        return (self.model or f"{self.family}{what}{when}") + how

    @property
    def compute(self) -> float:
        """Training compute in FLOPs, as given or 6 N D; NaN where neither is."""
        return 6.0 * self.params * self.tokens if np.isnan(self.flops) else self.flops

    @property
    def tokens_per_param(self) -> float:
        """D / N, from two of FLOPs, N and D; NaN where they are not given."""
        if 0.0 in (self.params, self.tokens):  # named in a refusal
            return float("nan")
        params = self.compute / (6.0 * self.tokens) if np.isnan(self.params) else self.params
        tokens = self.compute / (6.0 * params) if np.isnan(self.tokens) else self.tokens
        return tokens / params

    @property
    def is_known(self) -> bool:
        """Whether it is a model of the table."""
        return not self.family

    def as_run(self) -> Scenario:
        """Return the scenario as a run of a ladder's recipe, its compute filled in.

        Raises
        ------
        InputError
            When params or tokens are missing, or FLOPs are not positive.
        """
        for what, value in (("N", self.params), ("D", self.tokens)):
            self._check(what, value)
        check_flops(f"The compute of the scenario {self.name}", self.compute)
        return replace(self, flops=self.compute)

    def _check(self, what: str, value: float) -> None:
        if not (np.isfinite(value) and value > 0):
            raise InputError(f"Scenario {self.name}: {what} is {value:g}; give a positive number.")


def as_scenario(given: object) -> Scenario:
    """The scenario that is meant by a scenario, a dict of its fields, or the name of a model of the table.

    Raises
    ------
    InputError
        For anything else, and for a field that does not exist.
    """
    if isinstance(given, Scenario):
        return given
    if isinstance(given, str):
        return Scenario(model=given)
    if not isinstance(given, Mapping):
        raise InputError(
            f"A {type(given).__name__} is no scenario",
            "give the name of a model, or Scenario(family='new', flops=1e24)",
        )
    known = [field.name for field in fields(Scenario)]
    if strange := [name for name in given if name not in known]:
        raise InputError(f"A scenario has no '{strange[0]}'", f"its fields are {', '.join(known)}")
    return Scenario(**given)


def facts_of(scenarios: list[Scenario]) -> Mapping[str, Any]:
    """Facts of models that do not exist yet, as columns in the units of a table's models."""
    rows = [asdict(scenario) for scenario in scenarios]
    return {name: np.array([row[name] for row in rows]) for name in asdict(Scenario())}
