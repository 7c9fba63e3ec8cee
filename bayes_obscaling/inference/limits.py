"""How many chains, draws, seeds and workers there may be: checked before anything is prepared, without JAX."""

from __future__ import annotations

import operator

from bayes_obscaling.errors import InputError

# Below the lowest, convergence cannot be judged; the highest are far beyond what a forecast needs. Seeds are what a
# signed 64-bit number holds.
CHAINS = (2, 100)
DRAWS = (100, 100_000)
SEEDS = (0, 2**63 - 1)
WORKERS = (1, 1000)
_TOO_FEW = ", so that the fit cannot be checked for convergence"


def check_sampling(chains: int, draws: int, seed: int = 0) -> None:
    """Refuse chains too few or too short to be judged, sizes that cannot be meant, and seeds that do not exist."""
    for name, value, limits, why in (
        ("chains", chains, CHAINS, _TOO_FEW),
        ("draws", draws, DRAWS, _TOO_FEW),
        ("seed", seed, SEEDS, ""),
    ):
        if not _is_whole(value, limits):
            said = why if _is_whole(value, (-limits[1], limits[0])) else ""
            raise InputError(f"{name} is {value}{said}", _remedy(limits))


def check_workers(workers: int) -> None:
    """Refuse a number of worker processes that cannot be meant."""
    if not _is_whole(workers, WORKERS):
        raise InputError(f"{workers} worker processes were asked for", _remedy(WORKERS))


def _is_whole(value: int, limits: tuple[int, int]) -> bool:
    """Whether a value is a whole number within limits."""
    try:
        return limits[0] <= operator.index(value) <= limits[1]
    except TypeError:
        return False


def _remedy(limits: tuple[int, int]) -> str:
    return f"give a whole number from {limits[0]} to {limits[1]}"
