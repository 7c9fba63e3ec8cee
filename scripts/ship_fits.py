"""Make the fits that ship with the package: about half an hour on two cores.

Run from the repository after a change of the bundled tables, the models, their priors or the version:

    python scripts/ship_fits.py            # all, or the names of some
"""

import sys

import bayes_obscaling as bo
from bayes_obscaling.data.table import ScoreTable
from bayes_obscaling.inference.shipped import ship

CUTOFF = 8.4e22  # of the first forecast of the README
LADDER = "olmo-ladder"


def counted(table: ScoreTable) -> list[str]:
    """Tasks that count items: others have another noise and are fitted when they are asked for."""
    return [name for name in table.task_names if table.n_items(name) == table.n_items(name)]


def main(names: list[str]) -> None:
    paper, base, instruct = bo.load("base-llms", only="paper"), bo.load("base-llms"), bo.load("instruct-llms")
    frontier = bo.load("frontier")
    questions = {
        "base-llms-paper": (paper, counted(paper), CUTOFF),
        "base-llms": (base, [*counted(base), *base.benchmark_names], None),
        "instruct-llms": (instruct, [*instruct.task_names, *instruct.benchmark_names], None),  # no task counts items
        "frontier": (frontier, [*counted(frontier), *frontier.benchmark_names], None),
    }
    for name in names or [*questions, LADDER]:
        if name == LADDER:
            fit = bo.fit(bo.load(LADDER), cache=bo.default_cache_dir())
        else:
            table, tasks, cutoff = questions[name]
            fit = bo.fit(table, tasks, cutoff=cutoff, cache=bo.default_cache_dir())
        path = ship(fit, name)
        print(f"{path.name}: {path.stat().st_size / 1e6:.1f} MB, {fit.verdict}, {fit.worst_convergence}")
        if fit.problems:
            raise SystemExit(f"{name} has not converged, so it is not to be shipped: {'; '.join(fit.problems)}")


if __name__ == "__main__":
    main(sys.argv[1:])
