"""What was measured: tables of scores, the bundled ones, and reading and checking a user's own."""

from bayes_obscaling.data.bundled import load_base_llms, load_instruct_llms, load_olmo_ladder
from bayes_obscaling.data.checks import Finding, check_table
from bayes_obscaling.data.table import ScoreTable

__all__ = ["Finding", "ScoreTable", "check_table", "load_base_llms", "load_instruct_llms", "load_olmo_ladder"]
