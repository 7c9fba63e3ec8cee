"""What was measured: tables of scores, the bundled ones, and reading and checking a user's own."""

from bayes_obscaling.data.bundled import load_base_llms, load_instruct_llms
from bayes_obscaling.data.checks import CheckLine, check_table
from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder, read_ladder
from bayes_obscaling.data.splits import (
    Split,
    split_by_date,
    split_by_family,
    split_by_flops,
    split_by_rank,
    split_by_score,
    split_by_size,
    split_largest_of_family,
    split_models,
    split_random,
)
from bayes_obscaling.data.table import ScoreTable

__all__ = [
    "CheckLine",
    "Ladder",
    "ScoreTable",
    "Split",
    "check_table",
    "load_base_llms",
    "load_instruct_llms",
    "load_olmo_ladder",
    "read_ladder",
    "split_by_date",
    "split_by_family",
    "split_by_flops",
    "split_by_rank",
    "split_by_score",
    "split_by_size",
    "split_largest_of_family",
    "split_models",
    "split_random",
]
