"""The published design: whole families by V-optimality, found by brute force."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA

from bayes_obscaling.data import ScoreTable
from bayes_obscaling.data.components import fill_scores
from bayes_obscaling.design.selection import Selection, facts_of, families_of, rows_of
from bayes_obscaling.errors import InputError

# The published search: three principal components, at most ten families.
COMPONENTS = 3
MOST_FAMILIES = 10
# Subsets of families beyond which a search by brute force is refused; the published one needs 430 000.
_MOST_SUBSETS = 2_000_000


def v_optimal(
    table: ScoreTable,
    budget: int,
    *,
    among: Iterable[str] | None = None,
    include: Iterable[str] = (),
    components: int = COMPONENTS,
    most_families: int = MOST_FAMILIES,
) -> Selection:
    """Choose whole families by V-optimality, by brute force (Ruan et al. 2024, section 5).

    Maximises ``-trace(X' X (X_S' X_S)^-1)``: the negative mean variance, up to a constant, of a linear regression's
    predictions for all models that may be chosen, when only those of S are observed (V-optimality; Pukelsheim 1993,
    section 9.8).

    Parameters
    ----------
    table : ScoreTable
        The scores; only those on its benchmarks are read.
    budget : int
        Most models to evaluate.
    among : iterable of str, optional
        Models that may be chosen; default all of the table. See `candidates`.
    include : iterable of str
        Families that are always chosen (in the published guide, Llama-2).
    components : int
        Principal components to regress on.
    most_families : int
        Most families to combine.

    Returns
    -------
    Selection
        ``table``: model, family, params, flops. ``parts["path"]``: the best objective by number of models, with its
        families.

    Raises
    ------
    InputError
        For an unknown model or family, a budget below the number of components, or more subsets than 2 million.

    Notes
    -----
    X holds the principal components of the benchmark scores of the models that may be chosen, all benchmarks of the
    table, missing scores imputed as in `bayes_obscaling.data.components`: centred, not scaled, no intercept. This
    gives the printed optima of the published code.
    """
    rows = rows_of(table, among)
    if not 1 <= components <= min(len(table.benchmark_names), len(rows)):
        raise InputError(f"{components} components of {len(rows)} models cannot be taken: ask for fewer.")
    if budget < components:
        raise InputError(f"{budget} models cannot identify {components} components: raise the budget.")
    if most_families < 1:
        raise InputError(f"At most {most_families} families leave nothing to choose: give at least 1.")
    scores = table.matrix(table.benchmark_names).loc[rows].dropna(axis="columns", how="all").to_numpy()
    filled, scaler, _ = fill_scores(scores)
    x = PCA(components).fit_transform(scaler.inverse_transform(filled))
    family = pd.Categorical(table.models.loc[rows, "family"], ordered=True)
    names = list(family.categories)
    member = np.eye(len(names))[family.codes]
    counts = member.sum(axis=0).astype(int)
    grams = np.einsum("mf,mi,mj->fij", member, x, x)
    fixed = [names.index(name) for name in families_of(pd.Series(names), include)]

    sets = family_sets(counts, budget, most_families, fixed)
    sizes = sets @ counts
    keep = sizes >= components
    sets, sizes = sets[keep], sizes[keep]
    if not len(sets):
        raise InputError(f"No combination of families has {components} to {budget} models: raise the budget.")
    objective = _objective(sets, grams, x.T @ x)

    path = []
    for count in sorted(set(sizes)):
        at = np.flatnonzero(sizes == count)
        best = at[objective[at].argmax()]
        path.append((count, objective[best], ", ".join(np.array(names)[sets[best]])))
    best = int(objective.argmax())
    picked = [str(name) for name in np.array(names)[sets[best]]]
    chosen = rows[np.isin(np.asarray(family), picked)]
    sentences = (
        f"{len(chosen)} models of {len(picked)} families out of {len(rows)} models of {len(names)}: "
        f"{', '.join(picked)}. V-optimality objective {objective[best]:.2f}, the best of {len(sets)} combinations.",
    )
    return Selection(
        table=facts_of(table, chosen),
        sentences=sentences,
        parts={"path": pd.DataFrame(path, columns=["models", "criterion", "families"])},
        models=tuple(chosen),
        criterion="V-optimality objective (0 is best)",
    )


def family_sets(counts: np.ndarray, budget: int, most: int, fixed: list[int]) -> np.ndarray:
    """All sets of families (set, family) bool with at most `budget` models, holding the fixed ones.

    Built breadth first, each set from one smaller by a family of higher index, so that what is over budget is dropped
    with all that would contain it.
    """
    free = np.array([f for f in range(len(counts)) if f not in fixed], dtype=int)
    start = np.zeros((1, len(counts)), dtype=bool)
    start[0, fixed] = True
    if len(fixed) > most or counts[fixed].sum() > budget:
        raise InputError("The families to include are over the budget by themselves: raise it, or include fewer.")
    level, last, found = start, np.array([-1]), [start] if fixed else []
    total = 0
    for _ in range(most - len(fixed)):
        affordable = (level @ counts)[:, None] + counts[free] <= budget
        larger = affordable & (np.arange(len(free)) > last[:, None])
        if (total := total + int(larger.sum())) > _MOST_SUBSETS:
            raise InputError(
                f"There are more than {_MOST_SUBSETS} combinations of {len(counts)} families inside the budget: lower "
                "it, name fewer families, or use the Bayesian design, which has no such limit."
            )
        parent, place = np.nonzero(larger)
        if not len(parent):
            break
        level, last = level[parent].copy(), place
        level[np.arange(len(level)), free[place]] = True
        found.append(level)
    return np.concatenate(found) if found else start[:0]


def _objective(sets: np.ndarray, grams: np.ndarray, everyone: np.ndarray, chunk: int = 200_000) -> np.ndarray:
    """``-trace(G G_S^-1)`` of each set; minus infinity for a set that does not span the components."""
    parts = []
    for first in range(0, len(sets), chunk):
        gram = np.tensordot(sets[first : first + chunk].astype(float), grams, axes=1)
        value = np.full(len(gram), -np.inf)
        spans = np.linalg.cond(gram) < 1e12
        value[spans] = -np.einsum("sij,ji->s", np.linalg.inv(gram[spans]), everyone)
        parts.append(value)
    return np.concatenate(parts)
