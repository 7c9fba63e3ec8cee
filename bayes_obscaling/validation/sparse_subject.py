"""The posterior of a sparse table for simulation-based calibration, at a reduced shape of the frontier table."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from bayes_obscaling.data import ScoreTable, Split, load_frontier
from bayes_obscaling.inference.cache import content_hash
from bayes_obscaling.inference.fit import bound_measurement
from bayes_obscaling.inference.sampler import Arrays, Model
from bayes_obscaling.inference.starts import from_anchors
from bayes_obscaling.models.capability_equations import CELL_NOISE_DF
from bayes_obscaling.models.layout import Layout, lay_out
from bayes_obscaling.models.spec import CapabilitySpec
from bayes_obscaling.models.trace import sites_of, start_near_priors, with_priors
from bayes_obscaling.results.stages import Settings
from bayes_obscaling.validation import simulate_sparse
from bayes_obscaling.validation.ranks import Subject
from bayes_obscaling.validation.simulate import Rng, Values

_MODELS, _BENCHMARKS = 60, 25
# Latest models of which no score is seen, and models of unknown compute whose compute is ranked.
_HIDDEN, _SECRET = 4, 6
# A model to come, of a family never seen: years after 2023.5.
_NEXT = 4.0


def reduced_layout(spec: CapabilitySpec | None = None) -> Layout:
    """The models with most scores of the bundled frontier table, and their benchmarks with most, in all settings.

    Of the latest models of some families no score is seen.
    """
    table = load_frontier()
    models = table.scores["model"].value_counts().index[:_MODELS]
    scores, others = (frame[frame["model"].isin(models)] for frame in (table.scores, table.other_settings))
    benchmarks = scores["benchmark"].value_counts().index[:_BENCHMARKS]
    scores, others = (frame[frame["benchmark"].isin(benchmarks)] for frame in (scores, others))
    facts = table.benchmarks
    kept = table.models.index.isin(models)
    table = ScoreTable(
        table.models[kept], facts[facts.index.isin(benchmarks)], scores, other_settings=others.reset_index(drop=True)
    )
    latest = table.models.sort_values("date").groupby("family").tail(1).index[-_HIDDEN:]
    split = Split("the latest of some families", tuple(latest), tuple(latest))
    return lay_out(table, table.benchmark_names[:1], split, spec or CapabilitySpec.frontier())


# long: what is drawn and what is derived read the same arrays of the layout
def sparse_subject(
    layout: Layout | None = None,
    spec: CapabilitySpec | None = None,
    settings: Settings | None = None,
    draws: int = 300,
) -> Subject:
    """Return the posterior of a sparse table, by default of 60 models and 25 benchmarks of the bundled one.

    Ranked are all variables with a prior, loadings, difficulties and noise of benchmarks (which have a population), the
    hidden scores of the models of which nothing is seen, the compute of some models of which nothing was published, the
    capabilities of a model to come of a family never seen, and the log likelihood.
    """
    spec = spec or CapabilitySpec.frontier()
    layout = layout or reduced_layout(spec)
    template, structure = layout.measurements[0], layout.structure
    cells, chance = template.cells, np.asarray(template.chance)
    assert cells is not None and structure.compute_trend and structure.drift == "line"
    priors = jax.tree.map(jnp.asarray, spec.priors)
    sites = sites_of(bound_measurement, (template, priors), None, structure)
    seen = np.asarray(cells.seen)
    none_seen = [m for m in range(structure.n_models) if not seen[np.asarray(cells.model) == m].any()]
    hidden = np.flatnonzero(np.isin(np.asarray(cells.model), none_seen))
    secret = list(structure.unknown_compute[:_SECRET])

    def likelihood(t: Values, p: np.ndarray, score: np.ndarray) -> np.ndarray:
        density = stats.t.logpdf(score, CELL_NOISE_DF, p, simulate_sparse.cell_scale(p, t, cells))
        return np.asarray(np.where(seen, density, 0.0).sum(axis=-1))

    def newcomer(t: Values, rng: Rng) -> np.ndarray:
        """Capabilities (..., K) of a model that reasons, of a family never seen, whose compute is on its own trend."""
        date, size = np.array([_NEXT]), np.shape(t["compute_sd"])
        off = t["family_compute_sd"] * rng.standard_normal(size) + t["compute_sd"] * rng.standard_normal(size)
        place = {name: t[name] for name in ("drift", "slope_mean", "reasoning_step")}
        zero = np.zeros_like(t["slope_mean"])
        for name, mean in (("intercept", t["intercept_mean"]), ("slope", t["slope_mean"]), ("family_drift", zero)):
            place[name] = (mean + t[f"{name}_sd"] * rng.standard_normal(mean.shape))[..., None, :]
        compute = simulate_sparse.compute_line(t, off[..., None], date)
        typical = simulate_sparse.sparse_line(place, np.zeros(1, int), compute, date, np.ones(1))
        return np.asarray(typical[..., 0, :] + t["residual_sd"] * rng.standard_normal(zero.shape))

    def derived_of(t: Values, score: np.ndarray, rng: Rng) -> Values:
        p = simulate_sparse.cell_curve(t, cells, chance)
        return {
            "hidden_score": simulate_sparse.draw_cells(p, t, cells, rng)[..., hidden],
            "secret_compute": t["compute"][..., secret],
            "newcomer": newcomer(t, rng),
            "log_likelihood": likelihood(t, p, score),
        }

    def draw(rng: Rng) -> tuple[Values, Arrays]:
        t = simulate_sparse.draw_sparse(template, structure, spec, rng)
        p = simulate_sparse.cell_curve(t, cells, chance)
        score = simulate_sparse.draw_cells(p, t, cells, rng)
        t |= derived_of(t, score, rng) | {"hidden_score": score[hidden]}
        wide = np.array(template.score)  # where chains start; of several settings, the model's best comes first
        wide[np.asarray(cells.model)[::-1], np.asarray(cells.benchmark)[::-1]] = score[::-1]
        data = template._replace(
            score=jnp.asarray(wide),
            cells=cells._replace(score=jnp.asarray(score)),
            covariates=template.covariates._replace(compute=jnp.asarray(t["published"])),
        )
        return t, (data, priors)

    def start(data: Arrays, rng: Rng) -> Values:
        return start_near_priors(sites, spec.priors, rng) | from_anchors(data[0], structure, rng)

    ranked = [*with_priors(sites), "loading", "difficulty", "overdispersion", "newcomer", "log_likelihood"]
    ranked += ["hidden_score"] * bool(len(hidden)) + ["secret_compute"] * bool(secret)
    return Subject(
        name="sparse",
        model=Model(bound_measurement, (structure,)),
        simulate=draw,
        start=start,
        derive=lambda values, data, rng: derived_of(values, np.asarray(data[0].cells.score), rng),
        ranked=tuple(ranked),
        settings=settings or Settings(warmup=600, thin=2, target_accept=0.9, max_depth=8),
        draws=draws,
        belief=content_hash([spec.model_dump(), structure], template),
    )
