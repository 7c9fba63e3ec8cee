"""What was measured: tables of scores, the bundled ones, and reading and checking a user's own."""

from bayes_obscaling.data.bundled import load_base_llms, load_frontier, load_instruct_llms
from bayes_obscaling.data.checks import check_table
from bayes_obscaling.data.ladder import Ladder, load_olmo_ladder
from bayes_obscaling.data.ladder_reading import read_ladder
from bayes_obscaling.data.reading import read_scores
from bayes_obscaling.data.splits import Split
from bayes_obscaling.data.table import ScoreTable

__all__ = [
    "Ladder",
    "ScoreTable",
    "Split",
    "check_table",
    "load_base_llms",
    "load_frontier",
    "load_instruct_llms",
    "load_olmo_ladder",
    "read_ladder",
    "read_scores",
]
