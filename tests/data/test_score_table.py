import pickle

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.errors import InputError


def small(**changes):
    models = ["org/A-1b", "org/A-7b", "B"]
    parts = {
        "models": pd.DataFrame({"model": models, "family": ["A", "A", "B"], "flops": [1e21, 7e21, np.nan]}),
        "benchmarks": pd.DataFrame(
            {"role": ["benchmark", "task"], "chance": [0.25, 0], "n_items": [100, np.nan]},
            index=pd.Index(["quiz", "essay"], name="benchmark"),
        ),
        "scores": pd.DataFrame(
            {
                "model": models,
                "benchmark": ["quiz", "quiz", "essay"],
                "score": [0.3, 0.6, 0.1],
                "n_items": [np.nan, 50, np.nan],
            }
        ),
    }
    return ScoreTable(**(parts | changes))


def test_matrix_and_item_counts():
    table = small()
    matrix = table.matrix(["essay", "quiz"])
    assert matrix.index.tolist() == ["org/A-1b", "org/A-7b", "B"]
    assert matrix.columns.tolist() == ["essay", "quiz"]
    np.testing.assert_array_equal(matrix["quiz"], [0.3, 0.6, np.nan])
    np.testing.assert_array_equal(table.item_counts(["quiz"])["quiz"], [100, 50, 100])
    assert table.item_counts(["essay"]).isna().all(axis=None)
    assert (table.benchmark_names, table.task_names) == (["quiz"], ["essay"])


def test_facts_of_one_benchmark():
    table = small()
    assert (table.chance("QUIZ"), table.n_items("quiz")) == (0.25, 100)
    assert np.isnan(table.n_items("essay"))
    assert load_base_llms().excludes("arithmetic_3ds") == ("GSM8K",)
    assert table.families == ["A", "B"]
    with pytest.raises(InputError, match="no benchmark or task 'exam'"):
        table.chance("exam")


def test_names_resolve_through_aliases_and_case():
    table = load_base_llms()
    assert table.resolve("mmlu") == "MMLU"
    assert table.resolve("gsm8k_cot_8_exact_match,flexible-extract") == "gsm8k_cot"
    assert table.resolve(" word_unscrambling_2_exact_match ") == "word_unscrambling"
    for name, aliases in table.benchmarks["aliases"].items():
        assert {table.resolve(alias) for alias in aliases} <= {name}
    assert table.resolve_model("llama-2-7B-HF") == "meta-llama/Llama-2-7b-hf"
    assert table.matrix(["Winogrande"]).columns.tolist() == ["Winograd"]


def test_unknown_names_bring_the_nearest():
    table = load_base_llms()
    with pytest.raises(InputError, match="did you mean word_unscrambling"):
        table.resolve("word_unscrambled")
    with pytest.raises(InputError, match=r"did you mean .*Llama-2-7b-hf"):
        table.resolve_model("llama2-7b-hg")
    with pytest.raises(InputError, match="choose one of MMLU, ARC-C"):
        table.resolve("zzzz")


def test_an_ambiguous_short_model_name_is_refused():
    models = pd.DataFrame({"model": ["x/base", "y/base"], "family": "A"})
    table = small(models=models, scores=pd.DataFrame({"model": ["x/base"], "benchmark": ["quiz"], "score": [0.5]}))
    assert table.resolve_model("Y/base") == "y/base"
    with pytest.raises(InputError, match="x/base, y/base"):
        table.resolve_model("base")


def test_nothing_changes_a_table():
    models = pd.DataFrame({"model": ["m"], "family": ["A"]})
    scores = pd.DataFrame({"model": ["m"], "benchmark": ["quiz"], "score": [0.5]})
    table = small(models=models, scores=scores)
    before = table.data_hash
    models.loc[0, "family"] = "B"
    scores.loc[0, "score"] = 0.9
    for frame, value in ((table.models, "C"), (table.scores, 0.8), (table.benchmarks, 0.9)):
        frame.iloc[0, 2] = np.nan if value == "C" else value
        frame.iloc[0, 0] = "changed"
    assert table.models.at["m", "family"] == "A"
    assert table.scores.at[0, "score"] == 0.5
    assert small(models=table.models, scores=table.scores).data_hash == before
    assert scores.columns.tolist() == ["model", "benchmark", "score"]


def test_a_frame_can_be_changed_in_any_way_and_the_table_stays():
    table = load_base_llms("paper")
    before, matrix = pickle.dumps(table), table.matrix(["MMLU"])
    models = table.models
    models["flops"] = 1.0
    models.loc["meta-llama/Llama-2-7b-hf", "params"] = 1.0
    del models["tokens"]
    scores = table.scores
    scores["score"] *= 0.5
    scores.iloc[0, 0] = "somebody"
    benchmarks = table.benchmarks
    benchmarks.at["MMLU", "chance"] = 0.9
    benchmarks.index = benchmarks.index.str.upper()
    benchmarks.columns = [name.upper() for name in benchmarks]
    for frame in (table.matrix(["MMLU"]), table.item_counts(["MMLU"])):
        frame.iloc[:, 0] = 0.0
    untouched = pickle.loads(before)
    for part in ("models", "benchmarks", "scores"):
        pd.testing.assert_frame_equal(getattr(table, part), getattr(untouched, part))
    pd.testing.assert_frame_equal(table.matrix(["MMLU"]), matrix)
    assert table.chance("MMLU") == 0.25
    changed = ScoreTable(table.models.assign(flops=1.0), table.benchmarks, table.scores)
    assert changed != table == untouched


def test_the_hash_knows_contents_and_not_their_order():
    table = load_base_llms("paper")
    backwards = ScoreTable(table.models[::-1], table.benchmarks[::-1], table.scores[::-1])
    assert backwards == table
    assert hash(backwards) == hash(table)
    scores = table.scores
    scores.loc[5, "score"] += 1e-9
    assert ScoreTable(table.models, table.benchmarks, scores) != table
    assert pickle.loads(pickle.dumps(table)) == table


def test_select():
    table = load_base_llms().select(["llama-2-70b-hf", "Llama-2-7b-hf"])
    assert table.models.index.tolist() == ["meta-llama/Llama-2-7b-hf", "meta-llama/Llama-2-70b-hf"]
    assert set(table.scores["model"]) == set(table.models.index)
    assert table.data_hash == ScoreTable(table.models, table.benchmarks, table.scores).data_hash
    with pytest.raises(InputError, match="no model"):
        table.select(["Llama-2-13b-hf"])


MODEL, QUIZ = {"model": ["m"], "family": ["A"]}, {"model": ["m"], "benchmark": ["quiz"], "score": [0.5]}


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"models": {"model": ["m", "M"], "family": "A"}}, "'m' is listed twice"),
        ({"models": MODEL | {"family": [None]}}, "'m' has no family"),
        ({"models": MODEL | {"flops": [0.0]}}, "flops 0"),
        ({"models": MODEL | {"flops": [np.inf]}}, "flops inf"),
        ({"models": MODEL | {"params": ["7B"]}}, "must be numbers"),
        ({"scores": QUIZ | {"score": [1.2]}}, "score 1.2"),
        ({"scores": QUIZ | {"score": [np.nan]}}, "score nan"),
        ({"scores": QUIZ | {"model": ["n"]}}, "model 'n'"),
        ({"scores": QUIZ | {"benchmark": ["exam"]}}, "benchmark 'exam'"),
        ({"scores": QUIZ | {"n_items": [0]}}, "n_items 0"),
        ({"scores": {"model": "m", "benchmark": "quiz", "score": [0.5, 0.6]}}, "two scores"),
        ({"benchmarks": {"benchmark": ["quiz"], "chance": [1.0]}}, "benchmark 'quiz': 1 is no chance level"),
        ({"benchmarks": {"benchmark": ["quiz"], "role": ["test"]}}, "role 'test'"),
        ({"benchmarks": {"benchmark": ["quiz"], "lower": [1.0]}}, "lower 1 must be below upper 1"),
        ({"benchmarks": {"benchmark": ["quiz"], "excludes": [("exam",)]}}, "excludes 'exam'"),
        ({"benchmarks": {"benchmark": ["quiz", "b"], "aliases": [("b",), ()]}}, "'b' is a name of b too"),
    ],
)
def test_impossible_tables_are_refused(changes, fragment):
    parts = {"models": MODEL, "scores": QUIZ} | changes
    with pytest.raises(InputError, match=fragment):
        small(**{name: pd.DataFrame(part) for name, part in parts.items()})
