import pickle

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, load_base_llms
from bayes_obscaling.data.efforts import EFFORTS, effort_level, setting_of
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


def with_settings(**changes):
    """A table of which one score has a setting, and the same cell two more."""
    scores = pd.DataFrame(
        {
            "model": ["org/A-1b", "org/A-7b"],
            "benchmark": "quiz",
            "score": [0.3, 0.6],
            "setting": ["", "High"],
            "reasoning": [np.nan, True],
            "evaluated": ["", "2026-03-01"],
        }
    )
    others = pd.DataFrame(
        {
            "model": "org/A-7b",
            "benchmark": "quiz",
            "setting": ["none", "16k"],
            "reasoning": [0, 1],
            "score": [0.4, 0.5],
            "n_items": [np.nan, 50],
        }
    )
    return small(**({"scores": scores, "other_settings": others} | changes))


def test_optional_columns_hold_nothing_unless_given():
    table = small()
    assert table.models[["provider", "open_weights"]].eq("").all(axis=None) and table.models["flops_sd"].isna().all()
    assert table.benchmarks["category"].eq("").all()
    assert table.scores[["setting", "evaluated"]].eq("").all(axis=None) and table.scores["reasoning"].isna().all()
    assert table.other_settings.columns.tolist() == ["model", "benchmark", "setting", "reasoning", "score", "n_items"]
    assert len(table.other_settings) == 0


def test_settings_of_a_cell():
    table = with_settings()
    assert table.scores["setting"].tolist() == ["", "high"]
    assert table.other_settings["setting"].tolist() == ["none", "16K"]
    assert table.other_settings["reasoning"].tolist() == [0, 1]
    assert table.matrix(["quiz"])["quiz"].tolist()[:2] == [0.3, 0.6]
    assert len(table.select(["A-7b"]).other_settings) == 2 and len(table.select(["A-1b"]).other_settings) == 0
    frame = table.other_settings
    frame["score"] = 0.0
    assert table.other_settings["score"].tolist() == [0.4, 0.5]


def test_the_hash_tells_settings_and_says_nothing_of_empty_columns():
    plain = small(models=small().models, benchmarks=small().benchmarks, scores=small().scores)
    assert plain.data_hash == small().data_hash
    # as it was before there were optional columns
    assert load_base_llms().data_hash == "0884cdde3532a92d463b62d75ae040817d342013555b72eabc8db4bae8b623ae"
    with_others, without = with_settings(), with_settings(other_settings=None)
    assert with_others != without and without != small(scores=without.scores[["model", "benchmark", "score"]])
    yes = small().models.assign(provider="yes"), small().models.assign(open_weights="yes")
    assert len({small(models=models).data_hash for models in yes}) == 2


@pytest.mark.parametrize(
    ("part", "column", "value", "sentence"),
    [
        ("models", "flops_sd", -0.1, "flops_sd -0.1 cannot be"),
        ("models", "flops_sd", 3.5, "in decades, from 0 to 3"),
        ("models", "open_weights", "maybe", "write yes or no"),
        (
            "scores",
            "setting",
            "higher",
            "none, minimal, low, medium, high, xhigh, max, or a budget of tokens such as 16K",
        ),
        ("scores", "reasoning", 0.5, "org/A-1b on quiz: reasoning 0.5 cannot be"),
        ("scores", "reasoning", "often", "write 1, 0 or nothing"),
        ("scores", "evaluated", "2099-01-01", "after today"),
        ("other_settings", "setting", "", "a score in another setting has no setting"),
        ("other_settings", "setting", "high", "org/A-7b has two scores on quiz in the setting high"),
        ("other_settings", "setting", "low", "two scores on quiz in the setting low"),
        ("other_settings", "model", "C", "not among the models"),
        ("other_settings", "score", 1.5, "outside 0..1"),
    ],
)
def test_what_optional_columns_cannot_hold(part, column, value, sentence):
    frame = getattr(with_settings(), part).assign(**{column: value})
    with pytest.raises(InputError) as refused:
        with_settings(**{part: frame})
    assert sentence in str(refused.value)


def test_levels_of_efforts_and_budgets():
    levels = [effort_level(name) for name in EFFORTS]
    assert levels == [0, 1, 2, 3, 4, 5, 6]
    assert np.isnan(effort_level("")) and effort_level("XHigh") == 5
    assert [effort_level(budget) for budget in ("1K", "4k", "16K", "32K", "64K", "128K")] == [2, 2, 4, 5, 6, 6]
    assert effort_level("8K") == 3 and 5.8 < effort_level("59K") < 5.9
    spelled = [setting_of(text) for text in ("16384", "16000 tokens", "16k Tokens", " MAX ", "")]
    assert spelled == ["16K", "16K", "16K", "max", ""]
    for text in ("0K", "12", "very high", "-4K"):
        with pytest.raises(InputError, match="is no setting: write one of none"):
            setting_of(text)
