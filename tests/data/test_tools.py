"""Outputs of evaluation tools and tables of leaderboards, recognised by their content."""

import json
import zipfile

import pandas as pd
import pytest

from bayes_obscaling.data import check_table, load_base_llms, read_scores
from bayes_obscaling.errors import InputError

BASE = load_base_llms("paper")


@pytest.fixture
def put(tmp_path):
    def write(content, name="file.csv"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
        return path

    return write


def scores(table, model):
    own = table.scores[table.scores["model"] == model]
    return dict(zip(own["benchmark"], own["score"].round(6), strict=True))


# -------------------------------------------------------------------------------------------- lm-evaluation-harness

HARNESS = {
    "results": {
        "arc_challenge": {
            "alias": "arc_challenge",
            "acc,none": 0.4,
            "acc_norm,none": 0.45,
            "acc_norm_stderr,none": 0.0145,
        },
        "hellaswag": {"acc,none": 0.57, "acc_norm,none": 0.76, "acc_norm_stderr,none": 0.004},
        "mmlu": {"acc,none": 0.46, "acc_stderr,none": 0.004, "alias": "mmlu"},
        "mmlu_humanities": {"acc,none": 0.43, "acc_stderr,none": 0.01},
        "mmlu_philosophy": {"acc,none": 0.5, "acc_stderr,none": 0.02},
        "gsm8k": {
            "exact_match,strict-match": 0.14,
            "exact_match_stderr,strict-match": 0.01,
            "exact_match,flexible-extract": 0.15,
        },
        "humaneval": {"pass@1,create_test": 0.13, "pass@1_stderr,create_test": "N/A"},
        "wikitext": {"word_perplexity,none": 8.7},
        "my_task": {"acc,none": 0.3, "acc_norm,none": 0.35},
    },
    "groups": {"mmlu": {"acc,none": 0.46, "acc_stderr,none": 0.004}},
    "group_subtasks": {"mmlu": ["mmlu_humanities"], "mmlu_humanities": ["mmlu_philosophy"]},
    "n-shot": {"arc_challenge": 25, "hellaswag": 10},
    "n-samples": {"my_task": {"original": 300, "effective": 250}},
    "config": {"model": "hf", "model_args": "pretrained=me/fine-7b,dtype=bfloat16", "model_num_parameters": 7000000000},
}


def test_results_of_the_harness(put):
    table = read_scores(put(HARNESS, "results_2024.json"), into=BASE)
    assert scores(table, "me/fine-7b") == {
        "ARC-C": 0.45,
        "HellaSwag": 0.76,
        "MMLU": 0.46,
        "GSM8K": 0.14,
        "HumanEval": 0.13,
        "my_task": 0.3,
    }
    assert table.models.at["me/fine-7b", "params"] == 7e9
    assert table.item_counts(["my_task"]).at["me/fine-7b", "my_task"] == 250
    assert any("only a part of the items was run (--limit): my_task 250 of 300" in note for note in table.notes)
    assert table.item_counts(["ARC-C"]).at["me/fine-7b", "ARC-C"] == round(0.45 * 0.55 / 0.0145**2)
    assert table.item_counts(["HumanEval"]).at["me/fine-7b", "HumanEval"] == 164
    said = "\n".join(table.notes)
    assert "acc_norm of arc_challenge, hellaswag" in said and "exact_match (strict-match) of gsm8k" in said
    assert "shots: arc_challenge 25, hellaswag 10" in said
    assert "left aside: 2 parts of mmlu" in said and "left aside: wikitext" in said


def test_a_folder_of_results_of_several_models(put, tmp_path):
    for name in ("a-7b", "b-7b"):
        content = {"results": {"mmlu": {"acc,none": 0.4}}, "config": {"model_args": {"pretrained": f"me/{name}"}}}
        put(content, f"me__{name}/results_2024-01-01.json")
    put('{"doc_id": 0}\n', "me__a-7b/samples_mmlu.jsonl")
    put({"anything": 1}, "settings.json")
    table = read_scores(tmp_path)
    assert scores(table, "me/a-7b") == scores(table, "me/b-7b") == {"MMLU": 0.4}
    assert "read 2 files of results" in table.notes[0]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="without results of a tool"):
        read_scores(tmp_path / "empty")


def test_what_is_wrong_in_a_folder_is_named_by_its_file(put, tmp_path):
    for name, score in (("a-7b", 0.4), ("b-7b", 1.5)):
        put({"results": {"mmlu": {"acc": score}}, "config": {"model_args": f"pretrained=me/{name}"}}, f"{name}.json")
    with pytest.raises(InputError, match=r"b-7b\.json, column .*score 1\.5 is outside") as refused:
        read_scores(tmp_path)
    assert "row" not in str(refused.value)


def test_a_rerun_of_one_model_is_refused_or_averaged(put, tmp_path):
    for i, score in enumerate((0.4, 0.44)):
        put({"results": {"mmlu": {"acc": score}}, "config": {"model_args": "pretrained=me/a"}}, f"results_{i}.json")
    with pytest.raises(InputError, match="two scores on MMLU"):
        read_scores(tmp_path)
    table = read_scores(tmp_path, duplicates="mean")
    assert scores(table, "me/a") == {"MMLU": 0.42}
    assert table.scores["n_items"].item() == round(0.42 * 0.58 / (0.0008 / 2))


def test_results_of_old_versions(put):
    subjects = {f"hendrycksTest-s{i}": {"acc": 0.4 + i / 1000, "acc_stderr": 0.05, "acc_norm": 0.1} for i in range(57)}
    old = {
        "results": {**subjects, "truthfulqa_mc": {"mc1": 0.2, "mc2": 0.38}},
        "versions": {},
        "config": {"model": "me/a"},
    }
    table = read_scores(put(old, "old.json"), into=BASE)
    assert scores(table, "me/a") == {"TruthfulQA": 0.38, "MMLU": 0.428}
    server = {
        "config_general": {"model_name": "me/b"},
        "results": {"harness|arc:challenge|25": {"acc": 0.4, "acc_norm": 0.45}, "all": {"acc": 0.4}},
    }
    table = read_scores(put(server, "b.json"), into=BASE)
    assert scores(table, "me/b") == {"ARC-C": 0.45}
    assert any("shots: arc:challenge 25" in note for note in table.notes)


# ------------------------------------------------------------------------------------------------------ other tools


def log(status="success"):
    metrics = {"accuracy": {"name": "accuracy", "value": 0.54}, "stderr": {"name": "stderr", "value": 0.0355}}
    return {
        "version": 2,
        "status": status,
        "eval": {"task": "inspect_evals/gpqa_diamond", "model": "openai/gpt-x"},
        "results": {"total_samples": 198, "scores": [{"name": "choice", "metrics": metrics}]},
    }


def test_logs_of_inspect(put, tmp_path):
    with zipfile.ZipFile(tmp_path / "run.eval", "w") as archive:
        archive.writestr("header.json", json.dumps(log()))
        archive.writestr("samples/1.json", "{}")
    for path in (put(log(), "log.json"), tmp_path / "run.eval"):
        table = read_scores(path)
        assert scores(table, "openai/gpt-x") == {"gpqa_diamond": 0.54}
        assert table.scores["n_items"].item() == round(0.54 * 0.46 / 0.0355**2)
        assert table.chance("gpqa_diamond") == 0.25
    with pytest.raises(InputError, match="has the status 'error'"):
        read_scores(put(log("error"), "failed.json"))


def test_tables_of_helm(put):
    header = "Model,Mean win rate,MMLU - EM,BoolQ - EM,MMLU - ECE (10-bin),MMLU - EM (Robustness)"
    text = f"{header}\nLlama 2 (70B),0.9,0.58,0.886,0.1,0.5\n"
    table = read_scores(put(text), into=BASE)
    assert scores(table, "meta-llama/Llama-2-70b-hf")["BoolQ"] == 0.886
    assert scores(table, "meta-llama/Llama-2-70b-hf")["MMLU"] == 0.58
    assert any("left aside: MMLU - ECE (10-bin), MMLU - EM (Robustness)" in note for note in table.notes)
    cells = [[{"value": "a"}, {"value": 0.5}, {"value": 0.6}]]
    server = {"title": "", "header": [{"value": x} for x in ("Model", "MMLU - EM", "BoolQ - EM")], "rows": cells}
    assert scores(read_scores(put(server, "helm.json")), "a") == {"MMLU": 0.5, "BoolQ": 0.6}


def test_tables_of_epoch_name_the_benchmark_by_the_file(put):
    text = (
        "Model version,mean_score,Release date,Organization,Country,Training compute (FLOP),stderr,Log viewer,"
        "Started at,id\n"
        "gpt-x_high,0.86,2025-08-07,OpenAI,USA,6.6e25,0.02,https://a.b,2025-08-08,zz1\n"
        "grok-y,0.87,2025-07-09,xAI,USA,5e26,0.02,https://a.b,2025-08-08,zz2\n"
    )
    table = read_scores(put(text, "gpqa_diamond.csv"))
    assert scores(table, "gpt-x_high") == {"gpqa_diamond": 0.86}
    assert table.models.loc["grok-y", ["flops", "date", "family"]].tolist() == [5e26, "2025-07-09", "xAI"]
    assert table.scores["n_items"].tolist() == [round(0.86 * 0.14 / 0.0004), round(0.87 * 0.13 / 0.0004)]
    assert any("mean_score is the score on gpqa_diamond" in note for note in table.notes)
    assert any("Organization is taken for the family" in note for note in table.notes)
    external = "Model version,EM,Shots,Source\na,0.7,5,paper\nb,0.8,5,paper\n"
    assert scores(read_scores(put(external, "mmlu_external.csv")), "a") == {"MMLU": 0.7}


def test_tables_of_livebench(put):
    text = (
        "Model,Organization,Global Average,Reasoning Average,Coding Average,Mathematics Average\n"
        "a,X,60,70.5,55,50\nb,Y,50,40.5,45,60\n"
    )
    table = read_scores(put(text))
    assert scores(table, "a") == {"LiveBench reasoning": 0.705, "LiveBench coding": 0.55, "LiveBench mathematics": 0.5}
    assert any("left aside: Global Average" in note for note in table.notes)


def test_ratings_of_the_arena_need_a_range_and_no_chance(put):
    text = (
        "Rank,Model,Score,95% CI,Votes,Organization,License\n1,x/a,1286,+3/-3,1000,X,mit\n2,x/b,1264,+3/-3,1000,X,mit\n"
    )
    with pytest.raises(InputError, match=r"1286 is outside 0\.\.1.*declare lower and upper for 'Arena-Elo'"):
        read_scores(put(text))
    bounds = pd.DataFrame({"benchmark": ["Arena-Elo"], "lower": [0], "upper": [2000]})
    table = read_scores(put(text), bounds, tasks=["Arena-Elo"])
    assert scores(table, "x/a") == {"Arena-Elo": 0.643}
    assert not any("assumed" in note for note in table.notes)


# ---------------------------------------------------------------------------------------------- Open LLM Leaderboard


def test_the_first_open_llm_leaderboard(put):
    text = (
        "T,Model,Average ⬆️,ARC,HellaSwag,MMLU,TruthfulQA,Winogrande,GSM8K,Type,Hub License,#Params (B),Hub ❤️,Flagged\n"
        '🟢,"<a target=""_blank"" href=""https://x.co/me/a-7b"">me/a-7b</a>",54.3,53.1,78.6,46.9,38.8,74.0,14.5,pretrained,mit,6.74,12,False\n'
        "🔶,[me/b-7b](https://x.co),61.0,60.0,83.3,64.2,42.2,78.4,37.8,tuned,mit,7.24,3,False\n"
    )
    table = read_scores(put(text), into=BASE)
    assert scores(table, "me/a-7b") == {
        "ARC-C": 0.531,
        "HellaSwag": 0.786,
        "MMLU": 0.469,
        "TruthfulQA": 0.388,
        "Winograd": 0.74,
        "GSM8K": 0.145,
    }
    assert table.models.loc["me/b-7b", ["params", "family"]].tolist() == [7.24e9, "b-7b"]


COLUMNS = ("IFEval", "BBH", "MATH Lvl 5", "GPQA", "MUSR", "MMLU-PRO")
NORMALISED = (20.0, 15.0, 1.5, 4.0, 5.5, 16.0)


def test_the_second_open_llm_leaderboard_with_raw_scores(put):
    raw = (0.2, 0.37, 0.015, 0.28, 0.36, 0.244)
    header = [
        "eval_name",
        "Model",
        "fullname",
        "Average ⬆️",
        "CO₂ cost (kg)",
        *(f"{c} Raw,{c}" for c in COLUMNS),
        "Generation",
    ]
    both = ",".join(f"{r},{n}" for r, n in zip(raw, NORMALISED, strict=True))
    rows = [f'm{i},"<a href=""x"">me/m{i}</a>",me/m{i},12.0,1.5,{both},0' for i in range(2)]
    table = read_scores(put("\n".join([",".join(header), *rows])))
    assert scores(table, "me/m0") == dict(zip(COLUMNS, raw, strict=True))
    assert any("from which chance was subtracted; the raw columns are read" in note for note in table.notes)


def test_the_second_open_llm_leaderboard_without_raw_scores_gets_chance_back(put):
    lines = [f"me/m{i},{','.join(str(x + i) for x in NORMALISED)}" for i in range(3)]
    path = put("\n".join([",".join(("fullname", *COLUMNS)), *lines]))
    table = read_scores(path)
    assert scores(table, "me/m0")["GPQA"] == pytest.approx(0.04 * 0.75 + 0.25)
    assert scores(table, "me/m0")["MMLU-PRO"] == pytest.approx(0.16 * 0.9 + 0.1)
    assert scores(table, "me/m0")["IFEval"] == 0.2
    assert any("is added back" in note for note in table.notes)
    assert not [one for one in check_table(path) if one.level == "FAIL"]


def test_entries_of_the_open_llm_leaderboard(put):
    entry = {
        "model": {"name": "me/a", "type": "base"},
        "evaluations": {"gpqa": {"name": "GPQA", "value": 0.29, "normalized_score": 5.3}},
        "metadata": {"params_billions": 7.2},
    }
    table = read_scores(put([entry], "entries.json"))
    assert scores(table, "me/a") == {"GPQA": 0.29}
    assert table.models.at["me/a", "params"] == 7.2e9
