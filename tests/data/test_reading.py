import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bayes_obscaling.data import ScoreTable, check_table, load_base_llms, read_scores
from bayes_obscaling.errors import InputError

BASE = load_base_llms("paper")
LLAMA = "meta-llama/Llama-2-7b-hf"
WIDE = "Model,Model Family,Model Size (B),Pretraining Data Size (T),FLOPs (1E21)"


def score(table, model, benchmark):
    return table.matrix([benchmark]).loc[model].item()


# ------------------------------------------------------------------------------------------------- what is read


def test_wide_layout_adds_models_scores_and_new_columns(file):
    path = file(f"{WIDE},MMLU,quiz\nme/new-3b,Mine,3,1.5,,0.4,0.2\nme/new-9b,Mine,9,1.5,81,0.6,-\n")
    table = read_scores(path, tasks=["quiz"], into=BASE)
    assert len(table.models) == 79
    new = table.models.loc["me/new-3b"]
    assert (new["family"], new["params"], new["tokens"], new["cohort"]) == ("Mine", 3e9, 1.5e12, "user")
    assert new["flops"] == 6 * 3e9 * 1.5e12
    assert table.models.at["me/new-9b", "flops"] == 8.1e22
    assert score(table, "me/new-9b", "MMLU") == 0.6
    assert np.isnan(score(table, "me/new-9b", "quiz"))
    assert table.task_names[-1] == "quiz"
    assert any("quiz is new; its chance level is not said" in note and "no item count" in note for note in table.notes)
    assert len(BASE.models) == 77


def test_long_layout_is_the_tables_own(file, tmp_path):
    everything = BASE.scores.merge(BASE.models.reset_index(), on="model").drop(columns="cohort")
    everything.to_csv(tmp_path / "all.csv", index=False)
    assert read_scores(tmp_path / "all.csv", into=BASE) == BASE
    path = file("model,benchmark,score,n_items,chance\nLlama-2-7b-hf,quiz,0.5,40,0.2\nLlama-2-13b-hf,quiz,0.6,40,0.2\n")
    table = read_scores(path, into=BASE)
    assert table.benchmarks.loc["quiz", ["chance", "n_items"]].tolist() == [0.2, 40]
    assert table.item_counts(["quiz"]).at[LLAMA, "quiz"] == 40
    assert not any("assumed" in note for note in table.notes)


def test_only_model_and_score_columns(file):
    table = read_scores(file("Model,quiz\nllama-2-7B-hf,0.25\n"), into=BASE)
    assert score(table, LLAMA, "quiz") == 0.25
    assert len(table.models) == 77


def test_published_columns_keep_their_range(file):
    path = file("Model,ipa_transliterate_2_bleu,ABench-OA,arithmetic_3ds_2_acc\nhuggyllama/llama-7b,20,2.5,0.5\n")
    table = read_scores(path, into=BASE)
    assert score(table, "huggyllama/llama-7b", "ipa_transliterate_bleu") == 0.2
    assert score(table, "huggyllama/llama-7b", "agentbench") == 0.25
    assert score(table, "huggyllama/llama-7b", "arithmetic_3ds") == 0.5
    assert "agentbench" in table.task_names


def test_a_known_published_error_is_no_conflict(file):
    table = read_scores(file(f"{WIDE},quiz\ncerebras/btlm-3b-8k-base,BTLM,3,627,11286,0.1\n"), into=load_base_llms())
    assert table.models.at["cerebras/btlm-3b-8k-base", "flops"] == pytest.approx(1.1286e22)
    assert any("known error" in note for note in table.notes)


def test_a_benchmarks_table_says_range_chance_items_and_role(file):
    benchmarks = file(
        "benchmark,role,chance,n_items,lower,upper,aliases,excludes\n"
        "quiz,task,0.2,50,,100,my quiz|q,MMLU\nMMLU,,,,,100,,\n",
        "benchmarks.csv",
    )
    table = read_scores(file("Model,My Quiz,mmlu\nllama-7b,45,35.7\n"), benchmarks, into=BASE)
    row = table.benchmarks.loc["quiz"]
    assert row[["role", "chance", "n_items", "excludes"]].tolist() == ["task", 0.2, 50, ("MMLU",)]
    assert score(table, "huggyllama/llama-7b", "quiz") == 0.45
    assert score(table, "huggyllama/llama-7b", "MMLU") == pytest.approx(0.357)
    assert table.benchmarks.at["MMLU", "upper"] == 1
    assert table.resolve("Q") == "quiz"
    # the range declared for chance-corrected scores turns them back
    corrected = pd.DataFrame({"benchmark": ["exam"], "chance": [0.25], "lower": [-1 / 3], "upper": [1]})
    table = read_scores(file("Model,exam\nllama-7b,-0.04\n"), corrected, into=BASE)
    assert score(table, "huggyllama/llama-7b", "exam") == pytest.approx(-0.04 * 0.75 + 0.25)


def test_the_users_score_wins_and_is_noted(file):
    table = read_scores(file("Model,MMLU,GSM8K\nllama-2-7b-hf,0.6,0.145\n"), into=BASE)
    assert score(table, LLAMA, "MMLU") == 0.6
    assert score(table, LLAMA, "GSM8K") == 0.145
    assert len(table.scores) == len(BASE.scores)
    assert "1 score differs from the one it replaces" in table.notes[0]
    assert "0.600 for 0.438" in table.notes[0]


def test_the_same_score_again_keeps_its_item_count():
    again = BASE.scores.query("model == 'Qwen/Qwen-72B' and benchmark == 'ipa_transliterate'").drop(columns="n_items")
    assert read_scores(again, into=BASE) == BASE


def test_gaps_of_a_known_model_are_filled(file):
    table = read_scores(file("model,flops,quiz\nmistralai/Mistral-7B-v0.1,3e23,0.5\n"), into=BASE)
    assert table.models.at["mistralai/Mistral-7B-v0.1", "flops"] == 3e23


@pytest.mark.parametrize("missing", ["", "-", "NA", "n/a", "NaN", " "])
def test_missing_cells(file, missing):
    table = read_scores(file(f"Model,quiz,exam\nllama-7b,{missing},0.5\n"), into=BASE)
    assert "quiz" not in table.benchmarks.index
    assert score(table, "huggyllama/llama-7b", "exam") == 0.5


@pytest.mark.parametrize(
    "content",
    [
        b"\xef\xbb\xbfModel,quiz\nllama-7b,0.5\n",
        b"Model,quiz\r\nllama-7b,0.5\r\n",
        b"\n Model , quiz \n\n llama-7b , 0.5 \n,\n",
        b"QUIZ,MODEL\n5e-1,LLAMA-7B\n",
    ],
    ids=["byte order mark", "CRLF", "white space", "order and case"],
)
def test_harmless_variants(file, content):
    table = read_scores(file(content), into=BASE)
    assert score(table, "huggyllama/llama-7b", "quiz") == 0.5


def test_names_in_any_script(file):
    table = read_scores(file("Model,family,测验\n模型/一号,家族,0.5\n"), into=BASE)
    assert score(table, "模型/一号", "测验") == 0.5


def test_frames_are_read_like_files_and_left_alone():
    frame = pd.DataFrame({"MMLU": [0.6, None]}, index=pd.Index([LLAMA, "huggyllama/llama-7b"], name="Model"))
    copy = frame.copy()
    assert score(read_scores(frame, into=BASE), LLAMA, "MMLU") == 0.6
    pd.testing.assert_frame_equal(frame, copy)


def test_a_table_of_ones_own(file):
    table = read_scores(
        file(
            f"{WIDE},MMLU,GSM8K,arithmetic_3ds_2_acc,quiz\n"
            "me/new-3b,Mine,3,1.5,,0.4,0.1,0.2,0.3\nllama-7b,Llama,7,1,42,0.36,0.1,0.3,0.4\n"
        ),
        tasks=["quiz"],
    )
    assert table.models.index.tolist() == ["me/new-3b", "llama-7b"]
    assert table.models["flops"].tolist() == [2.7e22, 4.2e22]
    assert table.benchmark_names == ["MMLU", "GSM8K"]
    assert table.task_names == ["arithmetic_3ds", "quiz"]
    # what the bundled tables say of a benchmark holds
    assert table.chance("MMLU") == BASE.chance("MMLU")
    assert table.excludes("arithmetic_3ds") == BASE.excludes("arithmetic_3ds") == ("GSM8K",)
    assert len(table.notes) == 1 and "quiz is new; its chance level is not said" in table.notes[0]
    assert score(table, "llama-7b", "arithmetic_3ds_2_acc") == 0.3
    # and a benchmark without scores is not excluded
    alone = read_scores(pd.DataFrame({"Model": ["a"], "family": ["A"], "arithmetic_3ds": [0.5]}))
    assert alone.excludes("arithmetic_3ds") == ()
    assert read_scores(alone.scores.assign(family="A")) == alone
    both = read_scores(alone.scores.assign(family="A"), into=BASE)
    assert set(both.models.index) - set(BASE.models.index) == {"a"}


def test_models_without_a_family_are_one_of_their_own(file):
    alone = read_scores(file("Model,MMLU\nx/llama-7b,0.3\n"))
    assert alone.models["family"].tolist() == ["llama-7b"]
    assert "without a family are one of their own (x/llama-7b)" in alone.notes[-1]
    near = read_scores(file("Model,MMLU\nLlama-2-7b-hg,0.3\n"), into=BASE)
    assert "did you mean meta-llama/Llama-2-7b-hf?" in near.notes[-1]


def test_the_tables_family_wins_and_is_said(file):
    table = read_scores(file("Model,family,MMLU\nllama-7b,Llama-2,0.3\n"), into=BASE)
    assert table.models.at["huggyllama/llama-7b", "family"] == "Llama"
    assert any("the table's family is used (huggyllama/llama-7b is in Llama, not Llama-2)" in x for x in table.notes)


# ---------------------------------------------------------------------------------------------- what is refused


@pytest.mark.parametrize(
    ("content", "fragments"),
    [
        ("Model,MMLU\nllama-7b,0.3\nllama-13b,47\nllama-30b,0.5\nllama-65b,64\n", ["row 3", "mix of percent"]),
        ("Model,MMLU\nllama-7b,0.3\nllama-13b,1.2\n", ["row 3", "'MMLU'", "1.2 is outside 0..1"]),
        ("Model,MMLU\nllama-7b,0.3\nllama-13b,-0.02\n", ["row 3", "below 0", "score * (1 - chance) + chance"]),
        (
            "model,benchmark,score\nllama-7b,MMLU,35\nllama-13b,MMLU,47\nllama-30b,MMLU,.5\n",
            ["row 2", "'score'", "MMLU", "percent"],
        ),
        ("Model,MMLU\nllama-7b,35%\nllama-13b,0.47\n", ["row 3", "no percent sign", "in the same way"]),
        ("Model,MMLU (%)\nllama-7b,.35\nllama-13b,.47\n", ["the header says percent, but no value is above 1"]),
        ("Model,quiz\nllama-7b,3.5\nllama-13b,7\n", ["percent or a scale of its own", "declare upper"]),
        ("Model,ipa_transliterate_2_bleu\nllama-7b,200\n", ["outside 0..100"]),
        ("Model,MMLU\nllama-7b,0.3\nllama-7b,0.3\n", ["row 3", "already in row 2"]),
        ("Model,MMLU\nllama-7b,0.3\nhuggyllama/Llama-7B,0.3\n", ["row 3", "already in row 2"]),
        ("model,benchmark,score\nllama-7b,MMLU,0.3\nllama-7b,mmlu,0.4\n", ["row 3, column 'score'", "in row 2"]),
        ("Model,MMLU,mmlu\nllama-7b,0.3,0.3\n", ["'mmlu'", "twice"]),
        ("Model,Winograd,Winogrande\nllama-7b,0.6,0.6\n", ["both Winograd"]),
        ("Model,flops,FLOPs (1E21),MMLU\nllama-7b,,,0.3\n", ["both hold the flops"]),
        ("", ["empty"]),
        (" \n\n", ["empty"]),
        ("Model,MMLU\n", ["no row below the header"]),
        ("Model\nllama-7b\n", ["no score column"]),
        (b"\x89PNG\r\n\x1a\n\0\0\0", ["not a CSV file"]),
        (b"PK\x03\x04 a spreadsheet", ["the zip file cannot be read", "export the table as CSV"]),
        ("Modell,MMLU\nllama-7b,0.3\n", ["'Model'", "is it 'Modell'?"]),
        ('{"Model": "llama-7b"}\n1\n', ["this JSON holds no table"]),
        ('{"Model": "llama-7b",\n', ["not valid JSON"]),
        ('Model,MMLU\nllama-7b,"0.3\n', ["not a CSV file"]),
        ("Model,MMLU\nllama-7b,0.3,0.4\n", ["row 2", "3 cells under 2 columns"]),
        ("Model,\nllama-7b,0.3\n", ["column 2 has no name"]),
        ("Model,MMLU\n,0.3\n", ["row 2", "no model"]),
        ("Modèle,MMLU\nllama-7b,0.3\n".encode("latin-1"), ["is it 'Modèle'?"]),
        (b"Model,MMLU\nllama-7b,0.3\x81\x01\n", ["not in UTF-8"]),
        ("Model,MMLU\nllama-7b,good\n", ["row 2", "'MMLU'", "'good' is not a number"]),
        ('Model,flops,MMLU\nnew,"1,024",0.3\n', ["'1,024' may be 1024 or 1.024"]),
        ("Model,MMLU\nllama-7b,7B\n", ["'7B' is no score"]),
        ("Model,MMLU\nllama-7b,inf\n", ["'inf' is not a number"]),
        ("Model,MMLU\nllama-7b,1e999\n", ["too large"]),
        (f"{WIDE},MMLU\nnew,N,7,2,0,0.3\n", ["row 2", "'FLOPs (1E21)'", "0 cannot be"]),
        (f"{WIDE},MMLU\nnew,N,7,2,-84,0.3\n", ["-8.4e+22 cannot be", "leave the cell empty"]),
        (f"{WIDE},MMLU\nnew,N,-7,2,,0.3\n", ["'Model Size (B)'"]),
        (f"{WIDE},MMLU\nnew,N,8x7B,2,,0.3\n", ["'8x7B' is not a number", "mixture of experts"]),
        ("Model,Training compute (PF-days),MMLU\nnew,5,0.3\n", ["the unit 'pf days' is not known"]),
        ("Model,flops,MMLU\nllama-7b,1e22,0.3\n", ["row 2, column 'flops'", "1e+22", "4.02e+22 in the table"]),
        ("Model,MMLU,n_items\nllama-7b,0.3,100\n", ["'n_items'", "benchmarks table"]),
        ("model,benchmark,score,n_item\nllama-7b,MMLU,0.3,100\n", ["'n_item'", "is it 'n_items'?"]),
        ("model,benchmark,score,n_items\nllama-7b,MMLU,0.3,0\n", ["row 2", "'n_items'"]),
        ("model,benchmark,score\nllama-7b,,0.3\n", ["row 2", "no benchmark"]),
        ("model,benchmark,score,chance\nllama-7b,quiz,0.3,25\n", ["25 is no chance level", "0.25"]),
        ("model,benchmark,score,chance\nllama-7b,MMLU,0.3,0.5\n", ["chance level of MMLU is 0.25"]),
        ("model,family,benchmark,score\nnew,A,MMLU,0.3\nnew,B,GSM8K,0.3\n", ["'family'", "B here and A before"]),
    ],
)
def test_bad_input_is_one_sentence_with_place_and_remedy(file, content, fragments):
    path = file(content)
    with pytest.raises(InputError) as caught:
        read_scores(path, into=BASE)
    error = caught.value
    assert error.remedy and error.where.startswith(str(path))
    message = str(error)
    assert message.startswith(f"{error.where}: {error.problem}; {error.remedy}")
    assert message.endswith((".", "?"))
    assert message.startswith(str(path))
    assert "\n" not in message.removeprefix(str(path))
    for fragment in fragments:
        assert fragment in message


def test_paths_that_are_no_files(tmp_path):
    for path, fragment in (
        (tmp_path / "nothing.csv", "no such file"),
        (tmp_path, "folder"),
        ("a\0b", "cannot be read"),
    ):
        with pytest.raises(InputError, match=fragment):
            read_scores(path, into=BASE)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        ("benchmark,chance\nquiz,25\n", "25 is no chance level"),
        ("benchmark,change\nquiz,0.25\n", "is it 'chance'"),
        ("benchmark,role\nquiz,exam\n", "write benchmark or task"),
        ("benchmark,n_items\nquiz,0\n", "0 cannot be"),
        ("benchmark,lower,upper\nquiz,1,1\n", "lower 1 must be below upper 1"),
        ("benchmark,signed\nquiz,perhaps\n", "neither true nor false"),
        ("benchmark,chance\nMMLU,0.5\n", "MMLU has chance 0.25 in the table"),
        ("benchmark,aliases\nquiz,MMLU\n", "'MMLU' is a name of MMLU too"),
        ("benchmark,chance\nquiz,0.1\nQuiz,0.2\n", "listed twice"),
        ("benchmark,excludes\nquiz,exam\n", "excludes 'exam'"),
        ("name,chance\nquiz,0.25\n", "a column 'benchmark'"),
    ],
)
def test_bad_benchmarks_tables(file, content, fragment):
    scores = pd.DataFrame({"Model": [LLAMA], "quiz": [0.5]})
    with pytest.raises(InputError, match=fragment):
        read_scores(scores, file(content), into=BASE)


# ------------------------------------------------------------------------------------------------------ anything

CELLS = st.one_of(
    st.sampled_from(["", "NA", "-", "45%", "0,5", "inf", "1e400", "-1", "0", "1", "50", "8.4e22", "\0", '"']),
    st.text(max_size=6),
    st.floats(),
    st.integers(),
    st.booleans(),
    st.none(),
)
PLAUSIBLE = {
    "model": st.sampled_from([LLAMA, "llama-7b", "Qwen/Qwen-7B", "falcon-7b", "phi-2", "new", "NEW", "x/new-7b"]),
    "family": st.sampled_from(["", "Mine", "mine", "Llama-2"]),
    "score": st.one_of(st.floats(0, 1), st.just("")),
    "benchmark": st.sampled_from(["MMLU", "mmlu", "quiz", "exam", "GSM8K"]),
    "size": st.one_of(st.none(), st.floats(1e6, 1e25)),
    "count": st.integers(1, 2000),
    "chance": st.sampled_from([0.25, None]),
}
KINDS = {
    "Model": "model",
    "Model Family": "family",
    "family": "family",
    "FLOPs (1E21)": "size",
    "params": "size",
    "tokens": "size",
    "benchmark": "benchmark",
    "n_items": "count",
    "chance": "chance",
}


@st.composite
def frames(draw):
    """Frames in one of the two layouts, most of them with a few cells or headers that do not belong there."""
    wide = (["Model"], ["MMLU", "quiz", "q", "ipa_transliterate_2_bleu"])
    long = (["Model", "benchmark", "score"], ["n_items", "chance"])
    needed, optional = draw(st.sampled_from([wide, long]))
    about = ["Model Family", "FLOPs (1E21)", "params", "tokens"]
    columns = [*needed, *draw(st.lists(st.sampled_from([*optional, *about]), max_size=5, unique=True))]
    kinds = [PLAUSIBLE[KINDS.get(column, "score")] for column in columns]
    rows = draw(st.lists(st.tuples(*kinds).map(list), min_size=1, max_size=5))
    for _ in range(draw(st.integers(0, 2))):
        row = draw(st.integers(-1, len(rows) - 1))
        (rows[row] if row >= 0 else columns)[draw(st.integers(0, len(columns) - 1))] = draw(CELLS)
    return pd.DataFrame(rows, columns=columns, dtype=object)


@settings(max_examples=50, deadline=None)
@given(frame=frames())
def test_any_frame_is_a_table_or_an_input_error(frame):
    findings = check_table(frame, against=BASE)
    try:
        table = read_scores(frame, into=BASE)
    except InputError:
        assert findings[0].level == "FAIL"
        return
    assert findings[0].level == ("FAIL" if findings[0].what.endswith(", 0 scores") else "PASS")
    assert isinstance(table, ScoreTable)
    assert table.scores["score"].between(0, 1).all()


@settings(max_examples=150, deadline=None)
@given(
    content=st.one_of(
        st.binary(max_size=60), st.text(alphabet='Model,QuizMMLU0.5\n\r";é-', max_size=60).map(str.encode)
    )
)
def test_any_file_is_a_table_or_an_input_error(content, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content)
    try:
        read_scores(path, into=BASE)
    except InputError as error:
        assert str(error).startswith(str(path))
