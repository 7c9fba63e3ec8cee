"""Fit: what was learned from data, with all that is needed to forecast from it."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from bayes_obscaling.checks import Level, counted, worst
from bayes_obscaling.data.ladder import Ladder
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.models.ladder import LadderSpec
from bayes_obscaling.models.ladder import ladder as ladder_model
from bayes_obscaling.models.ladder_layout import LadderLayout, lay_out_ladder
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.priors import Prior
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of
from bayes_obscaling.results.chance import inferred_chance
from bayes_obscaling.results.convergence import USUAL, Convergence, Limits, limits_of_kept
from bayes_obscaling.results.finding import Answer
from bayes_obscaling.results.ladder_posterior import LadderPosterior
from bayes_obscaling.results.posterior import Posterior
from bayes_obscaling.results.stages import Stage, energy_fractions

# Betancourt (2016) and the Stan reference manual: below 0.2 energies do not mix, below 0.3 they may not.
BFMI_LIMITS = (0.2, 0.3)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class Fit(Answer):
    """What was learned, whatever the model.

    Attributes
    ----------
    tree : DataTree
        Groups ``posterior`` (dims chain, draw and those of the model), ``sample_stats`` (chain, draw, stage),
        ``observed_data``, under ArviZ's names; `scaffold` holds the free parts of variables that are partly fixed.
    stages : tuple of Stage
        What was sampled, how, and how well it converged.
    provenance : dict
        When, where, with which versions and seed.
    notes : tuple of str
        What the reader of a forecast should know.
    """

    front = ("stage", "rhat", "ess_bulk", "ess_tail", "divergences", "e_bfmi")

    tree: xr.DataTree
    stages: tuple[Stage, ...]
    provenance: dict[str, Any]
    notes: tuple[str, ...] = ()

    @property
    @abstractmethod
    def data(self) -> ScoreTable | Ladder:
        """What was fitted."""

    @property
    @abstractmethod
    def believed(self) -> dict[str, Any]:
        """What was believed, JSON-able: the spec."""

    @cached_property
    def draws(self) -> xr.Dataset:
        """The ``posterior`` group."""
        return self.tree["posterior"].to_dataset()

    def to_dataframe(self) -> pd.DataFrame:
        """One row per stage of sampling: how well it converged, and what it was sampled with.

        Returns
        -------
        DataFrame
            ``stage, rhat, ess_bulk, ess_tail, divergences, worst, e_bfmi`` (smallest over chains), then the sampler's
            settings.
        """
        least = self.energies.groupby("stage")["e_bfmi"].min()
        rows = []
        for stage in self.stages:
            record, energy = stage.convergence.model_dump(), least.get(stage.label, float("nan"))
            rows.append({"stage": stage.label, **record, "e_bfmi": energy, **stage.settings.model_dump()})
        return pd.DataFrame(rows)

    @property
    def is_thinned(self) -> bool:
        """Whether fewer draws are kept than were made and judged."""
        return bool(self.provenance.get("draws_made", 0) > self.draws.sizes["draw"])

    @property
    def limits(self) -> Limits:
        """Limits for what is computed from the draws: others than the usual ones where few of them are kept."""
        sizes = self.draws.sizes
        return limits_of_kept(sizes["chain"], sizes["draw"]) if self.is_thinned else USUAL

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was fitted, and when."""
        chains, draws = self.draws.sizes["chain"], self.draws.sizes["draw"]
        size = f"{counted(chains, 'chain')} of {draws} draws"
        if self.is_thinned:
            size += f", kept of {self.provenance['draws_made']}"
        return (f"Fit of {self.data}: {size}, {self.provenance['created']}.", *self.notes)

    @property
    def convergence(self) -> dict[str, Convergence]:
        """How well each stage converged, by label."""
        return {stage.label: stage.convergence for stage in self.stages}

    @property
    def worst_convergence(self) -> Convergence:
        """The worst of all stages."""
        first, *others = self.convergence.values()
        for record in others:
            first = first.merge(record)
        return first

    @property
    def problems(self) -> tuple[str, ...]:
        """What went wrong in sampling, stage by stage; empty when nothing did.

        A stage that was sampled along few kept draws is judged by what chance does to so few, and needs a quarter of
        them to be effective; other stages were judged by all their draws.
        """
        records, limits = self.convergence.items(), self.limits
        return tuple(f"{stage}: {problem}" for stage, record in records for problem in record.problems_beyond(limits))

    @cached_property
    def energies(self) -> pd.DataFrame:
        """E-BFMI of every chain: ``stage, chain, e_bfmi``; see `bayes_obscaling.results.stages.energy_fractions`."""
        return energy_fractions(self.stages, self.tree)

    @property
    def least_energy(self) -> pd.Series:
        """The row of `energies` with the smallest E-BFMI."""
        return self.energies.loc[self.energies["e_bfmi"].fillna(-float("inf")).idxmin()]

    @property
    def energy_level(self) -> Level:
        """Level of the smallest E-BFMI."""
        if self.energies.empty:
            return "PASS"
        least = self.least_energy["e_bfmi"]
        return "PASS" if least >= BFMI_LIMITS[1] else "REVIEW" if least >= BFMI_LIMITS[0] else "FAIL"

    @property
    def energy_warning(self) -> tuple[str, ...]:
        """What is wrong with the smallest E-BFMI, in words; empty when nothing is."""
        if self.energy_level == "PASS":
            return ()
        least = self.least_energy
        chain = least["chain"] + 1
        return (f"{least['stage']}: E-BFMI {least['e_bfmi']:.2f} of chain {chain} (limit {BFMI_LIMITS[1]})",)

    @property
    def verdict(self) -> Level:
        """PASS, REVIEW or FAIL: R-hat, effective sample sizes, divergences and E-BFMI.

        FAIL for any of `problems` and an E-BFMI below 0.2; REVIEW for one below 0.3. `bayes_obscaling.diagnose` checks
        the fit further.
        """
        return worst(["FAIL" if self.problems else "PASS", self.energy_level])

    def save(self, path: str | Path) -> Path:
        """Write the fit to one netCDF file, whole or not at all.

        Parameters
        ----------
        path : str or Path
            Destination, replaced if it exists.

        Raises
        ------
        InputError
            When the file cannot be written.
        """
        from bayes_obscaling.results.storage import save_fit

        return save_fit(self, path)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class CapabilityFit(Fit):
    """What was learned from a table of scores.

    Attributes
    ----------
    table : ScoreTable
        All scores, seen and hidden.
    spec : CapabilitySpec
        What was believed.
    tasks : tuple of str
        Tasks and benchmarks asked for.
    split : Split
        Whose scores were hidden.
    """

    table: ScoreTable
    spec: CapabilitySpec
    tasks: tuple[str, ...]
    split: Split

    @property
    def believed(self) -> dict[str, Any]:
        """What was believed, JSON-able: the spec."""
        return self.spec.model_dump()

    @property
    def data(self) -> ScoreTable:
        """The table."""
        return self.table

    @property
    def sentences(self) -> tuple[str, ...]:
        """What was fitted, when, what was asked for, and whose scores were hidden."""
        hidden = f"{len(self.split.held_out)} models held out ({self.split.name})" if self.split.held_out else "none"
        first, *notes = super().sentences
        return (first, f"Asked for: {', '.join(self.tasks)}. Scores hidden: {hidden}.", *notes)

    @cached_property
    def layout(self) -> Layout:
        """The arrays that were sampled, laid out again from table, split and spec.

        The models that taught the heads are those of the fit: a fit that others joined keeps its own.
        """
        layout = lay_out(self.table, self.tasks, self.split, self.spec)
        observed = self.tree["observed_data"].to_dataset() if "observed_data" in self.tree.children else xr.Dataset()
        return replace(layout, reference=observed["reference"].to_numpy()) if "reference" in observed else layout

    @property
    def drift(self) -> str:
        """Whose release dates efficiency grows with: as in the spec, "none" where no model of the table has one."""
        return self.layout.structure.drift

    @cached_property
    def posterior(self) -> Posterior:
        """The posterior draws as arrays, and what the model says of them: the view that every reader uses."""
        return Posterior(self.draws, self.layout, self.table, self.spec, self.provenance["seed"])

    def chance(self, name: str) -> float:
        """Score of a guesser on a benchmark or task: as stated, or the median of what the fit infers."""
        name = self.table.resolve(name)
        return (
            self.table.chance(name)
            if name not in self.inferred_chance
            else float(np.median(self.inferred_chance[name]))
        )

    @cached_property
    def inferred_chance(self) -> dict[str, np.ndarray]:
        """Draws (S,) of the chance levels that nobody said, by benchmark or task of the fit."""
        return inferred_chance(self.draws, self.layout)

    def extended(
        self,
        *,
        log_likelihood: bool = False,
        posterior_predictive: bool = False,
        prior: bool = False,
        predictors: str = "",
    ) -> CapabilityFit:
        """The fit with more groups on its tree, for the statistics and plots of ArviZ.

        Each group holds ``benchmark_score`` (chain, draw, benchmark_observation) and, with tasks, ``task_score``
        (chain, draw, task_observation) of the scores that the fit has seen, with coordinates ``benchmark_model`` and
        ``benchmark``, ``task_model`` and ``task``. ``observed_data`` has the same form then.

        Parameters
        ----------
        log_likelihood : bool
            Add ``log_likelihood``: log density of every score at every draw, as for ``arviz_stats.loo``.
        posterior_predictive : bool
            Add ``posterior_predictive``: new evaluations inside 0..1 at every draw, as for
            ``arviz_plots.plot_ppc_dist`` and ``plot_ppc_pit``.
        prior : bool
            Add ``prior``, the variables of the posterior drawn from the prior (the same draws for every predictor set),
            and ``prior_predictive``, new evaluations drawn from the prior, as for ``arviz_plots.plot_prior_posterior``.
        predictors : str
            Predictor set ("all", "without ...") whose benchmark scores are meant; default the complete one where the
            fit has it, else the first. A task's scores belong to the set that the task reads.

        Raises
        ------
        InputError
            For a predictor set that the fit does not have.

        Notes
        -----
        ``arviz_stats.loo`` leaves a score out at fixed capabilities, which lean on that same score: its Pareto k tell
        so. `bayes_obscaling.results.leave_one_out` integrates them out first. In a cut posterior the draws of the
        capabilities must not be reweighted by ``task_score``.
        """
        from bayes_obscaling.results.extended import extend

        return extend(self, log_likelihood, posterior_predictive, prior, predictors)


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class LadderFit(Fit):
    """What was learned from a ladder of small runs.

    The tree has, beside the groups of every fit, ``log_likelihood`` (``loss``, ``accuracy``: run by task),
    and ``residuals`` (the same two, in scales of their Student t noise); that of a fit that ships with the package has
    neither, since both follow from the draws: `LadderPosterior.pointwise_groups`.

    Attributes
    ----------
    ladder : Ladder
        The runs.
    spec : LadderSpec
        What was believed.
    """

    ladder: Ladder
    spec: LadderSpec

    @property
    def data(self) -> Ladder:
        """The ladder."""
        return self.ladder

    @cached_property
    def layout(self) -> LadderLayout:
        """The arrays that were sampled, laid out again from ladder and spec."""
        return lay_out_ladder(self.ladder, self.spec)

    @cached_property
    def posterior(self) -> LadderPosterior:
        """The posterior draws as arrays, continued beyond the ladder: the view that every reader uses."""
        return LadderPosterior(self.draws, self.layout, self.spec, self.provenance["seed"])

    @cached_property
    def priors(self) -> dict[str, Prior]:
        """The priors that had a part in it, or have one in its forecasts, by name.

        A single loss for all tasks has no luck of runs beside its own noise, for example, and a single step no loss.
        """
        sites = sites_of(ladder_model, self.layout.data, self.spec.priors, self.layout.structure)
        used = {site.prior for site in sites.values()}
        return {
            name: getattr(self.spec.priors, name)
            for name in type(self.spec.priors).model_fields
            if name in used or name.startswith(("recipe_", "checkpoint_"))
        }

    @property
    def believed(self) -> dict[str, Any]:
        """What was believed, JSON-able: the spec, with the priors that had a part in it."""
        return {
            **self.spec.model_dump(exclude={"priors"}),
            "priors": {name: prior.model_dump() for name, prior in self.priors.items()},
        }
