"""Files of any kind: a table written in one of them reads back equal, and what is no table is refused."""

import gzip
import json

import numpy as np
import openpyxl
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bayes_obscaling as bo
from bayes_obscaling.data import load_base_llms, read_scores
from bayes_obscaling.errors import InputError

BASE = load_base_llms("paper")
FAMILIES = ["Mine", "Other"]


def comma(value, form="g"):
    return format(value, form).replace(".", ",")


# Each writes the frame (Model, Model Family, Model Size (B), MMLU, my_exam) into a folder and says where.


def separated(mark, encoding="utf-8", decimal="."):
    def write(frame, folder):
        path = folder / "scores.txt"
        path.write_text(frame.to_csv(index=False, sep=mark, decimal=decimal), encoding=encoding)
        return path

    return write


def zipped(frame, folder):
    path = folder / "scores.csv.gz"
    path.write_bytes(gzip.compress(frame.to_csv(index=False).encode()))
    return path


def with_index(frame, folder):
    frame.to_csv(folder / "scores.csv")
    return folder / "scores.csv"


def excel(frame, folder):
    frame.to_excel(folder / "scores.xlsx", index=False)
    return folder / "scores.xlsx"


def excel_percent(frame, folder):
    """Percent formats, a title above, and a second sheet."""
    path = excel(frame, folder)
    book = openpyxl.load_workbook(path)
    page = book.active
    for row in page.iter_rows(min_row=2, min_col=4):
        for cell in row:
            cell.number_format = "0.0%"
    page.insert_rows(1, 2)
    page["A1"] = "Results of the spring"
    book.create_sheet("Notes")["A1"] = "nothing"
    book.save(path)
    return path


def parquet(frame, folder):
    frame.to_parquet(folder / "scores.parquet")
    return folder / "scores.parquet"


def records(frame, folder):
    frame.to_json(folder / "scores.json", orient="records", double_precision=15)
    return folder / "scores.json"


def lines(frame, folder):
    frame.to_json(folder / "scores.jsonl", orient="records", lines=True, double_precision=15)
    return folder / "scores.jsonl"


def by_column(frame, folder):
    frame.to_json(folder / "scores.json", double_precision=15)
    return folder / "scores.json"


def split(frame, folder):
    frame.to_json(folder / "scores.json", orient="split", double_precision=15)
    return folder / "scores.json"


def by_model(frame, folder):
    frame.set_index("Model").to_json(folder / "scores.json", orient="index", double_precision=15)
    return folder / "scores.json"


def markdown(frame, folder):
    rows = [frame.columns, ["---"] * len(frame.columns), *frame.astype(object).where(frame.notna(), "").to_numpy()]
    table = "\n".join("| " + " | ".join(map(str, row)) + " |" for row in rows)
    (folder / "README.md").write_text(f"# Results\n\nAll runs.\n\n{table}\n\nMore text.\n")
    return folder / "README.md"


def percent_signs(frame, folder):
    scores = frame[["MMLU", "my_exam"]].map(lambda x: f"{x * 100:.10g} %" if x == x else "—")
    frame.assign(**scores).to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def percent_header(frame, folder):
    scores = frame.assign(MMLU=frame["MMLU"] * 100, my_exam=frame["my_exam"] * 100)
    scores.rename(columns={"MMLU": "MMLU (%)", "my_exam": "my_exam [%]"}).to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def sizes_with_units(frame, folder):
    sizes = [f"{size:g}B" if size == size else "n/a" for size in frame["Model Size (B)"]]
    frame.assign(**{"Model Size (B)": sizes}).to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def other_headers(frame, folder):
    names = {"Model": "model_name", "Model Family": "Family", "Model Size (B)": "#Params (B)", "MMLU": "mmlu_5shot"}
    frame.rename(columns=names).to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def with_other_columns(frame, folder):
    extra = frame.assign(
        **{"Average ⬆️": 0.5, "Hub License": "mit", "URL": "https://x.org/1", "Remark": "fine", "Likes": 3, "rank": 1}
    )
    extra.to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


def turned(frame, folder):
    frame.set_index("Model").T.rename_axis("Benchmark").to_csv(folder / "scores.csv")
    return folder / "scores.csv"


def tidy(frame, folder):
    long = frame.melt(["Model", "Model Family", "Model Size (B)"], var_name="Benchmark", value_name="Score")
    long.to_csv(folder / "scores.csv", index=False)
    return folder / "scores.csv"


WRITERS = {
    "comma": separated(","),
    "semicolon": separated(";"),
    "semicolon, decimal comma": separated(";", decimal=","),
    "tab": separated("\t"),
    "tab, decimal comma, UTF-16": separated("\t", "utf-16", ","),
    "bar": separated("|"),
    "byte order mark": separated(",", "utf-8-sig"),
    "gzip": zipped,
    "pandas index": with_index,
    "Excel": excel,
    "Excel in percent": excel_percent,
    "Parquet": parquet,
    "JSON records": records,
    "JSON lines": lines,
    "JSON by column": by_column,
    "JSON split": split,
    "JSON by model": by_model,
    "Markdown": markdown,
    "percent signs": percent_signs,
    "percent in the header": percent_header,
    "sizes with units": sizes_with_units,
    "other headers": other_headers,
    "other columns": with_other_columns,
    "turned": turned,
    "tidy": tidy,
    "frame": lambda frame, _: frame,
    "frame by model": lambda frame, _: frame.set_index("Model"),
}


@st.composite
def tables(draw):
    count = draw(st.integers(2, 5))
    scores = st.integers(100, 999).map(lambda x: x / 1000)
    some = st.one_of(scores, st.just(np.nan))
    frame = pd.DataFrame(
        {
            "Model": [f"me/fine-{draw(st.sampled_from('abcde'))}{i}" for i in range(count)],
            "Model Family": [draw(st.sampled_from(FAMILIES)) for _ in range(count)],
            "Model Size (B)": [draw(st.sampled_from([0.5, 1.3, 7, 70, 405, np.nan])) for _ in range(count)],
            "MMLU": [draw(scores), *(draw(some) for _ in range(count - 1))],
            "my_exam": [draw(scores), *(draw(some) for _ in range(count - 1))],
        }
    )
    return frame.astype({"Model Size (B)": float})


def scores_in(table):
    return table.matrix(["MMLU", "my_exam"]).rename_axis(None).rename_axis(None, axis=1)


@pytest.mark.parametrize("form", WRITERS)
@settings(max_examples=8, deadline=None)
@given(frame=tables())
def test_a_table_written_in_any_form_reads_back_equal(form, frame, tmp_path_factory):
    table = read_scores(WRITERS[form](frame, tmp_path_factory.mktemp("form")))
    expected = frame.set_index("Model")
    np.testing.assert_allclose(scores_in(table).loc[expected.index], expected[["MMLU", "my_exam"]], rtol=1e-12)
    np.testing.assert_allclose(table.models.loc[expected.index, "params"], expected["Model Size (B)"] * 1e9)
    assert table.models.loc[expected.index, "family"].tolist() == expected["Model Family"].tolist()
    assert table.benchmark_names == ["MMLU"] and table.task_names == ["my_exam"]


# ---------------------------------------------------------------------------------------------------- what is said


def notes(source, **options):
    return "\n".join(read_scores(source, into=BASE, **options).notes)


def test_what_was_understood_is_said(file):
    text = "Model;URL;Average;my_exam;mmlu_5shot\nllama-7b;x;0,5;51,2;0,3\nllama-13b;y;0,6;60,1;0,4\n"
    said = notes(file(text))
    assert "columns are separated by semicolons" in said
    assert "left aside: URL (not a score)" in said
    assert "left aside: Average (an average)" in said
    assert "read my_exam as percent (all its values are above 1)" in said
    assert "read 'mmlu_5shot' as MMLU" in said
    assert notes(file("Model,quiz\nllama-7b,0.5\n")).count("\n") == 0  # nothing but what is assumed of quiz


def test_text_in_another_encoding_is_said(file):
    path = file("Model,family,quiz\nmodèle,famille,0.5\n".encode("cp1252"))
    assert "read as Windows-1252 ('modèle,famille,0.5' in row 2)" in notes(path)
    assert "modèle" in read_scores(path).models.index


def test_sheets_of_a_workbook(tmp_path):
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        for name, score in (("first", 0.5), ("Second", 0.6)):
            pd.DataFrame({"Model": ["llama-7b"], "quiz": [score]}).to_excel(book, sheet_name=name, index=False)
    path = tmp_path / "two.xlsx"
    assert "read sheet 'first' (the others are Second)" in notes(path)
    assert read_scores(path, into=BASE, sheet="second").matrix(["quiz"]).loc["huggyllama/llama-7b"].item() == 0.6
    with pytest.raises(InputError, match="no sheet 'third'; the sheets are first, Second"):
        read_scores(path, into=BASE, sheet="third")
    with pytest.raises(InputError, match="this is no Excel workbook"):
        bo.read(__file__, sheet="first")


@pytest.mark.parametrize("page", [{"About": ["scores of the spring"], "by": ["me"]}, {}])
def test_a_first_sheet_that_is_no_table_brings_the_names_of_the_others(tmp_path, page):
    path = tmp_path / "book.xlsx"
    with pd.ExcelWriter(path) as book:
        pd.DataFrame(page).to_excel(book, sheet_name="README", index=False)
        pd.DataFrame({"Model": ["llama-7b"], "quiz": ["?!"]}).to_excel(book, sheet_name="Spring", index=False)
    with pytest.raises(InputError, match=r"in the first sheet; --sheet, in Python sheet=, names another: Spring\)"):
        read_scores(path)
    with pytest.raises(InputError) as caught:  # it is no longer a question which sheet is meant
        read_scores(path, sheet="Spring")
    assert "--sheet" not in str(caught.value)


def test_formulas_that_were_never_calculated_are_refused(tmp_path):
    book = openpyxl.Workbook()
    for row in (["Model", "quiz"], ["llama-7b", "=1/2"]):
        book.active.append(row)
    book.save(tmp_path / "formula.xlsx")
    with pytest.raises(InputError, match="cell B2: the formula was never calculated"):
        read_scores(tmp_path / "formula.xlsx", into=BASE)


@pytest.mark.parametrize(
    ("content", "fragment"),
    [
        (b"\x1f\x8bnothing", "gzip file is damaged"),
        (gzip.compress(b"\x89PNG\0\0"), "binary data"),
        (b"PAR1 nothing", "the Parquet file cannot be read"),
        (b"\xd0\xcf\x11\xe0 old", "old Excel file"),
        (b"[1, 2]", "holds no table"),
        (b"{}", "holds no table"),
        (b"[]", "holds no table"),
        (b'{"a": {"b": {"c": 1}}}', "Model|column"),
        (b"| Model | MMLU |\n|---|---|\n| llama-7b |\n", "1 cells under 2 columns"),
        (b"\xff\xfe", "the file is empty"),
        (b"\xff\xfea", "not in UTF-8"),
    ],
)
def test_files_that_hold_no_table_are_refused(file, content, fragment):
    path = file(content)
    with pytest.raises(InputError, match=fragment) as caught:
        read_scores(path, into=BASE)
    assert str(caught.value).startswith(str(path)) and caught.value.remedy


def test_a_turned_table_is_noticed_by_its_rows(file):
    for corner in ("", "Model", "Metric"):
        path = file(f"{corner},me/a-7b,me/b-7b\nMMLU,0.5,0.6\nHellaSwag,0.7,\nModel Family,A,B\n")
        table = read_scores(path)
        assert table.matrix(["MMLU"])["MMLU"].to_dict() == {"me/a-7b": 0.5, "me/b-7b": 0.6}
        assert table.families == ["A", "B"]
        assert "has a row per benchmark and was turned" in table.notes[0]


def test_an_index_without_a_name_holds_the_models():
    frame = pd.DataFrame({"MMLU": [0.5, 0.6]}, index=["me/a", "me/b"])
    assert read_scores(frame).models.index.tolist() == ["me/a", "me/b"]


def test_named_levels_of_an_index_are_columns(tmp_path):
    long = pd.DataFrame({"model": ["me/a", "me/b"], "benchmark": "quiz", "score": [0.5, 0.6]})
    long.set_index("model").to_parquet(tmp_path / "indexed.parquet")
    wide = long.pivot(index="model", columns="benchmark", values="score")
    tables = [
        read_scores(x) for x in (long, long.set_index(["model", "benchmark"]), wide, tmp_path / "indexed.parquet")
    ]
    assert all(table == tables[0] for table in tables)


def test_numbers_in_json_keep_their_digits(file):
    path = file(json.dumps([{"model": "a", "family": "A", "flops": 1.23456789e24, "MMLU": 0.123456789012345}]))
    table = read_scores(path)
    assert table.models.at["a", "flops"] == 1.23456789e24
    assert table.scores["score"].item() == 0.123456789012345


def test_the_command_line_reads_a_sheet_a_folder_and_reruns(run, tmp_path):
    (tmp_path / "results").mkdir()
    content = {"results": {"mmlu": {"acc,none": 0.4}}, "config": {"model_args": "pretrained=me/a"}}
    (tmp_path / "results" / "results_1.json").write_text(json.dumps(content))
    code, out, _ = run("check", tmp_path / "results")
    assert code == 0 and "read 1 files of results" in out and "acc of mmlu" in out
    with pd.ExcelWriter(tmp_path / "two.xlsx") as book:
        pd.DataFrame({"Remark": ["see the other"]}).to_excel(book, sheet_name="About", index=False)
        runs = pd.DataFrame({"Model": ["llama-7b", "llama-7b"], "quiz": [0.4, 0.5]})
        runs.to_excel(book, sheet_name="Runs", index=False)
    code, out, _ = run("check", tmp_path / "two.xlsx")
    assert code == 2 and "there must be a column 'Model'" in out
    code, out, _ = run("check", tmp_path / "two.xlsx", "--sheet", "Runs")
    assert code == 2 and "already in row 2" in out and "--duplicates mean" in out
    code, out, _ = run("check", tmp_path / "two.xlsx", "--sheet", "Runs", "--duplicates", "mean")
    assert code == 0 and "1 scores are means of several runs" in out
    code, _, err = run("forecast", "--task", "MMLU", "--sheet", "Runs")
    assert code == 2 and "--sheet is about your own table" in err


def test_a_damaged_cell_of_a_parquet_file_is_one_sentence(tmp_path):
    """The file is read; the cell is no text when it is looked at."""
    path = tmp_path / "scores.parquet"
    frame = pd.DataFrame({"model": ["a-seventh-model", "b"], "family": ["F", "G"], "quiz": [0.5, 0.6]})
    frame.to_parquet(path, compression=None)
    path.write_bytes(path.read_bytes().replace(b"a-seventh-model", b"a-\xff\xfe\xfdenth-model"))
    with pytest.raises(InputError, match="Parquet file cannot be read"):
        read_scores(path)
