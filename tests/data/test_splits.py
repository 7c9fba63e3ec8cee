"""Splits: who is held out, by each rule, on the bundled tables and on one small enough to count by hand."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split, load_base_llms, load_instruct_llms
from bayes_obscaling.errors import InputError
from bayes_obscaling.evaluation.backtest import judged_models
from bayes_obscaling.evaluation.baselines import baseline
from bayes_obscaling.models.layout import lay_out
from bayes_obscaling.models.spec import CapabilitySpec

DATES = {"a-1": "2023-01-10", "a-2": "2023-06-01", "a-3": "2024-02-01", "b-1": "2023-06-02", "b-2": "", "c/c-1": ""}
Make = Callable[[ScoreTable], Split]


def small(*, dated: bool = False) -> ScoreTable:
    """Six models of three families; b-2 has no known size or compute, c-1 no score on the quiz."""
    models = pd.DataFrame(
        {
            "model": list(DATES),
            "family": ["A", "A", "A", "B", "B", "C"],
            "params": [1e9, 7e9, 7e10, 7e9, np.nan, 2e9],
            "flops": [1e21, 1e22, 1e23, 5e21, np.nan, 2e22],
            "date": list(DATES.values()) if dated else "",
        }
    )
    benchmarks = pd.DataFrame({"benchmark": ["quiz"], "role": ["task"], "aliases": [("QUIZ-acc",)]})
    scores = pd.DataFrame(
        {"model": ["a-1", "a-2", "a-3", "b-1", "b-2"], "benchmark": "quiz", "score": [0.1, 0.5, 0.4, 0.5, 0.2]}
    )
    return ScoreTable(models, benchmarks, scores)


@pytest.fixture(scope="module")
def instruct() -> ScoreTable:
    return load_instruct_llms()


# The mask


def test_a_split_is_a_mask_over_the_models_of_a_table():
    table = small()
    split = Split("mine", ["b-1", "a-3"])  # type: ignore[arg-type]
    assert split == Split("mine", ("b-1", "a-3"), (), None)
    assert hash(split) == hash(Split("mine", ("b-1", "a-3")))
    np.testing.assert_array_equal(split.seen(table.models.index), [True, True, False, False, True, True])
    np.testing.assert_array_equal(Split("none", ()).seen(table.models.index), [True] * 6)


def test_hidden_models_are_held_out_too():
    split = Split("mine", ("a-3",), ("b-1",))
    assert (split.held_out, split.hidden, split.hides) == (("a-3", "b-1"), ("b-1",), "task")
    assert Split("mine", ("a-3", "b-1"), ("b-1", "a-3")).hides == "all"
    assert Split.all_seen() == Split("all seen", ()) and Split.all_seen().hides == "task"


def test_what_is_hidden_by_a_cutoff_is_hidden_of_models_of_unknown_compute_too():
    split = Split.by_flops(small(), 1e22, "all")
    assert split.hidden == split.held_out == ("a-3", "b-2", "c/c-1")
    assert Split.by_flops(small(), 1e22).hidden == ()
    assert Split.by_rank(small(), 0.25, "quiz", "all").hidden == ("a-3", "b-2", "c/c-1")


# By compute and size


@pytest.mark.parametrize("cutoff", [8.4e22, 84e21, 7e9 * 2e12 * 6, np.nextafter(8.4e22, 0)])
def test_a_model_of_exactly_the_cutoff_is_seen(paper: ScoreTable, cutoff: float):
    split = Split.by_flops(paper, cutoff)
    seen = paper.models[split.seen(paper.models.index)]
    assert "meta-llama/Llama-2-7b-hf" in seen.index
    assert seen["flops"].max() == 8.4e22
    assert (split.name, split.cutoff, split.hides) == ("flops<=8.4e+22", float(cutoff), "task")


def test_models_above_the_published_cutoff_and_of_unknown_compute_are_held_out(paper: ScoreTable):
    split = Split.by_flops(paper, 8.4e22)
    assert len(split.held_out) == 30
    assert {"mistralai/Mistral-7B-v0.1", "mistralai/Mixtral-8x7B-v0.1"} < set(split.held_out)
    flops = paper.models["flops"]
    assert set(split.held_out) == set(flops.index[~(flops <= 8.4e22)])
    assert list(split.held_out) == [m for m in paper.models.index if m in split.held_out]
    assert "meta-llama/Llama-2-7b-hf" in Split.by_flops(paper, 8.399e22).held_out
    assert len(Split.by_flops(paper, 2.2e22).held_out) == 46
    assert set(Split.by_flops(paper, 1e26).held_out) == set(flops.index[flops.isna()])
    assert Split.by_flops(paper, 8.4e22, "all").hides == "all"


def test_by_size(paper: ScoreTable):
    split = Split.by_size(paper, 7e9)
    assert (split.name, split.cutoff, len(split.held_out)) == ("params<=7e+09", None, 32)
    assert "meta-llama/Llama-2-7b-hf" not in split.held_out
    assert "bigscience/bloom-7b1" in split.held_out  # 7.1e9
    assert Split.by_size(small(), 7e9).held_out == ("a-3", "b-2")


@pytest.mark.parametrize(
    ("share", "held_out", "cutoff"),
    [
        # a-1 < b-1 < a-2 < a-3 have a score and known compute; c-1 lies between a-2 and a-3.
        (0.25, ("a-3", "b-2", "c/c-1"), 1e22),
        (0.26, ("a-2", "a-3", "b-2", "c/c-1"), 5e21),
        (0.75, ("a-2", "a-3", "b-1", "b-2", "c/c-1"), 1e21),
    ],
)
def test_by_rank_rounds_up_and_applies_the_threshold_to_all(share: float, held_out: tuple[str, ...], cutoff: float):
    split = Split.by_rank(small(), share, "quiz-ACC")
    assert split.held_out == held_out
    assert split.cutoff == cutoff
    assert split.name == f"top {share:.0%} by compute on quiz"


def test_by_rank_on_the_paper_table(paper: ScoreTable):
    split = Split.by_rank(paper, 0.2, "word_unscrambling")
    ranked = paper.models["flops"].notna() & paper.matrix(["word_unscrambling"])["word_unscrambling"].notna()
    assert ranked.sum() == 63
    assert ranked[list(split.held_out)].sum() == 13  # a fifth of 63, rounded up
    assert split.cutoff == 1.8e23  # mpt-30b


# By score


@pytest.mark.parametrize(
    ("task", "share", "held_out"),
    [
        ("agentbench", 0.1, ("gpt-4-0613", "claude-2.0")),
        ("agentbench", 0.2, ("gpt-4-0613", "claude-2.0", "claude-1.3", "gpt-3.5-turbo-0613")),
        ("agentboard", 0.1, ("gpt-4-0314",)),
        ("agentboard", 0.2, ("claude-2.0", "gpt-4-0314")),
    ],
)
def test_the_published_agents_are_held_out(instruct: ScoreTable, task: str, share: float, held_out: tuple[str, ...]):
    split = Split.by_score(instruct, share, task)
    assert split.held_out == held_out
    assert split.name == f"best {share:.0%} on {task}"
    assert (split.hides, split.cutoff) == ("task", None)


@pytest.mark.parametrize(
    ("share", "held_out"),
    [(0.05, ("a-2",)), (0.39, ("a-2",)), (0.4, ("a-2", "b-1")), (0.6, ("a-2", "a-3", "b-1"))],
)
def test_by_score_rounds_down_but_holds_out_one(share: float, held_out: tuple[str, ...]):
    assert Split.by_score(small(), share, "quiz").held_out == held_out  # a-2 and b-1 tie: table order decides


# By family


def test_the_largest_of_each_family(paper: ScoreTable):
    split = Split.largest_of_family(paper)
    assert (len(split.held_out), split.hides, split.name) == (19, "all", "the largest of each family")
    families = paper.models.loc[list(split.held_out), "family"]
    assert families.is_unique
    assert "Mistral" not in set(families)
    assert {"meta-llama/Llama-2-70b-hf", "google/gemma-7b", "bigscience/bloom"} < set(split.held_out)
    without = Split.largest_of_family(paper, 3)
    assert len(without.held_out) == 14
    assert not {"google/gemma-7b", "microsoft/phi-2"} & set(without.held_out)


def test_all_but_the_smallest_of_each_family(paper: ScoreTable):
    split = Split.largest_of_family(paper, 3, all_but_smallest=True)
    assert (len(split.held_out), split.hides, split.name) == (51, "all", "all but the smallest of each family")
    facts = paper.models
    for family, held_out in facts.loc[list(split.held_out)].groupby("family"):
        rest = facts[(facts["family"] == family) & ~facts.index.isin(split.held_out)]
        assert len(rest) == 1
        assert rest["flops"].item() < held_out["flops"].min()


def test_families_of_the_small_table():
    table = small()
    assert Split.largest_of_family(table).held_out == ("a-3",)  # B has one model of known compute
    assert Split.largest_of_family(table, all_but_smallest=True).held_out == ("a-2", "a-3")
    assert Split.largest_of_family(table, 1).held_out == ("a-3",)  # never a family's only model
    assert Split.largest_of_family(table, hides="task").hides == "task"
    assert Split.by_family(table, "B") == Split("without B", ("b-1", "b-2"), ("b-1", "b-2"))
    assert Split.by_family(table, ["C", "A"], "task") == Split("without C, A", ("a-1", "a-2", "a-3", "c/c-1"))


# By chance, by date, by name


def test_a_random_split_is_the_same_again(paper: ScoreTable):
    split = Split.random(paper, 0.25, seed=3)
    assert split == Split.random(paper, 0.25, seed=3)
    assert len(split.held_out) == 20  # a quarter of 77, rounded up
    assert list(split.held_out) == [m for m in paper.models.index if m in split.held_out]
    others = [Split.random(paper, 0.25, seed).held_out for seed in range(40)]
    assert len(set(others)) == 40
    counts = pd.Series(np.concatenate(others)).value_counts()
    assert len(counts) == 77  # every model is held out by some seed
    assert counts.max() < 24  # of 40; 10.4 are expected, sd 2.8
    assert len(Split.random(small(), 0.5).held_out) == 3


def test_by_date():
    table = small(dated=True)
    held_out, date = ("a-2", "a-3", "b-1", "b-2", "c/c-1"), "2023-06-01"
    split = Split.by_date(table, "1 June 2023")
    assert split == Split("released before 2023-06-01", held_out, as_of=date) == Split.at(table, date)
    assert split.cut == {"as_of": date} and split.cut_in_words == "as of 2023-06-01"
    later, date = ("b-2", "c/c-1"), "2024-12-31"  # of unknown date
    assert Split.at(table, date, "all") == Split("released before 2024-12-31", later, later, as_of=date)


def test_a_split_says_where_it_was_cut():
    split = Split.at(small(), 1e22)
    assert split == Split.by_flops(small(), 1e22)
    assert split.cut == {"cutoff": 1e22} and split.cut_in_words == "cutoff 1e+22"
    assert Split.all_seen().cut == {} and Split.all_seen().cut_in_words == "all seen"


def test_listed_models(paper: ScoreTable):
    split = Split.of_models(paper, ["falcon-40b", "meta-llama/Llama-2-7b-hf"])
    assert split == Split("listed models", ("meta-llama/Llama-2-7b-hf", "tiiuae/falcon-40b"))
    assert Split.of_models(small(), ["C-1", "c/c-1"], "all", "mine") == Split("mine", ("c/c-1",), ("c/c-1",))


# What is refused


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda t: Split.by_size(t, 7e9, "some"), "A split hides 'task' or 'all', not 'some'."),
        (lambda t: Split.by_flops(t, 0), "The cutoff is 0 FLOPs: give a positive number, such as 8.4e22."),
        (lambda t: Split.by_flops(t, np.nan), "The cutoff is nan FLOPs: give a positive number, such as 8.4e22."),
        (
            lambda t: Split.by_flops(t, 9e20),
            "No model is at or below the cutoff of 9e+20 FLOPs; the smallest model with known compute has 1e+21: "
            "raise the cutoff.",
        ),
        (
            lambda t: Split.by_flops(t.select(["b-2"]), 1e22),
            "No model is at or below the cutoff of 1e+22 FLOPs: raise the cutoff.",
        ),
        (lambda t: Split.by_size(t, 5e8), "No model has at most 5e+08 parameters: raise the limit."),
        (
            lambda t: Split.by_rank(t, 0.76, "QUIZ-acc"),
            "Holding out 76% of 4 models on QUIZ-acc leaves none: lower the share.",
        ),
        (
            lambda t: Split.by_score(t.select(["a-1", "c/c-1"]), 0.1, "quiz"),
            "Holding out 10% of 1 models on quiz leaves none: lower the share.",
        ),
        (lambda t: Split.by_score(t, 0.1, "quizz"), "There is no benchmark or task 'quizz': did you mean quiz?"),
        (lambda t: Split.by_score(t, 1, "quiz"), "The share to hold out is 1: give a fraction between 0 and 1."),
        (lambda t: Split.by_rank(t, 0, "quiz"), "The share to hold out is 0: give a fraction between 0 and 1."),
        (lambda t: Split.random(t, 25), "The share to hold out is 25: give a fraction between 0 and 1."),
        (
            lambda t: Split.by_family(t, ["A", "Z"]),
            "There is no family 'Z': see `bayes-obscaling models`.",
        ),
        (
            lambda t: Split.by_date(t, "2024-01-01"),
            "No model has a release date: add a column 'date' (YYYY-MM-DD), or split by compute.",
        ),
        (
            lambda _: Split.by_date(small(dated=True), "spring"),
            "'spring' is no date: write it as 2024-01-31 or 2024-01.",
        ),
        (
            lambda _: Split.by_date(small(dated=True), "2022-12-31"),
            "No model was released before 2022-12-31: take a later date.",
        ),
        (lambda t: Split.of_models(t, ["a-1", "a-9"]), "There is no model 'a-9': did you mean a-3, a-2, a-1?"),
        (
            lambda t: Split.largest_of_family(t, 4),
            "No family has 4 models of known compute: lower the limit.",
        ),
    ],
)
def test_what_cannot_be_split_is_said_in_a_sentence(make: Make, sentence: str):
    with pytest.raises(InputError) as caught:
        make(small())
    assert str(caught.value) == sentence


# Single cells


def vintages() -> ScoreTable:
    """Four models on three benchmarks; the old ones were run on a late benchmark too, and one vendor gives no date."""
    models = pd.DataFrame({"model": ["old", "older", "new", "undated"], "family": "A"})
    models["date"] = ["2025-05-01", "2024-01-01", "2025-07-01", ""]
    runs = [
        ("old", "quiz", "2025-05-20"),
        ("old", "late", "2025-06-01"),
        ("older", "quiz", ""),
        ("older", "late", "2025-05-31"),
        *((model, name, "2025-08-01") for model in ("new", "undated") for name in ("quiz", "late", "third")),
    ]
    scores = pd.DataFrame(runs, columns=["model", "benchmark", "evaluated"]).assign(score=0.5)
    return ScoreTable(models, pd.DataFrame({"benchmark": ["quiz", "late", "third"]}), scores)


def test_a_vintage_is_what_was_released_and_run_before_the_date():
    table = vintages()
    split = Split.by_vintage(table, "June 2025")
    assert (split.name, split.as_of, split.hides) == ("known before 2025-06-01", "2025-06-01", "all")
    assert split.hidden == split.held_out == ("new", "undated") and split.cells == (("old", "late"),)
    masked = split.masked(table.matrix(["late", "quiz"]))
    assert masked.notna().to_numpy().tolist() == [[False, True], [True, True], [False, False], [False, False]]
    by_date = Split.by_date(table, "2025-06-01", hides="all")
    assert by_date.cells == () and by_date.masked(table.matrix(["late"])).notna().sum().item() == 2


def test_a_cell_that_a_table_lacks_hides_nothing():
    scores = vintages().matrix(["quiz"])
    split = Split("mine", (), cells=[["old", "quiz"], ["old", "exam"], ["nobody", "quiz"]])  # type: ignore[arg-type]
    assert split.cells == (("old", "quiz"), ("old", "exam"), ("nobody", "quiz")) and hash(split)
    assert split.masked(scores)["quiz"].isna().tolist() == [True, False, False, False]
    assert split.seen(scores.index).all()


def test_more_scores_are_revealed_in_the_same_order():
    table = vintages()
    whole = Split.by_vintage(table, "2025-06-01")
    assert whole.revealing(table, 0) == whole
    every = {("new", name) for name in ("quiz", "late", "third")}
    shown = []
    for k in (1, 2, 3, 9):
        split = Split.revealing(whole, table, k)
        assert split.hidden == split.held_out == () and split.as_of == "2025-06-01"
        assert ("old", "late") in split.cells and split.name == f"known before 2025-06-01, {k} scores revealed"
        shown.append(every - set(split.cells))
        assert len(shown[-1]) == min(k, 3)
        assert split.masked(table.matrix(["quiz", "late", "third"])).loc["undated"].notna().sum() == min(k, 3)
    assert shown[0] < shown[1] < shown[2] == shown[3]
    firsts = {tuple(every - set(whole.revealing(table, 1, seed=seed).cells)) for seed in range(20)}
    assert len(firsts) == 3  # the seed decides which score comes first
    alone = table.select(["old", "older", "new"])
    again = Split.by_vintage(alone, "2025-06-01").revealing(alone, 1)
    assert every - set(again.cells) == shown[0]  # whatever other models there are


def test_only_what_is_wholly_hidden_is_revealed():
    table = vintages()
    for split in (Split.by_date(table, "2025-06-01"), Split.all_seen()):
        with pytest.raises(InputError, match="does not hide all scores"):
            split.revealing(table, 1)
    with pytest.raises(InputError, match="-1 scores cannot be revealed"):
        Split.by_vintage(table, "2025-06-01").revealing(table, -1)


def test_no_fit_sees_a_hidden_cell():
    table = load_base_llms("paper")
    cells = (("huggyllama/llama-7b", "MMLU"), ("huggyllama/llama-7b", "gsm8k_cot"), ("huggyllama/llama-7b", "bbh_cot"))
    whole, parts = (
        lay_out(table, ["gsm8k_cot"], split, CapabilitySpec())
        for split in (Split("no", ()), Split("some", (), cells=cells))
    )
    row = whole.models.index("huggyllama/llama-7b")
    for names, now, then in (
        (whole.benchmarks, parts.measurements[0].seen, whole.measurements[0].seen),
        (whole.tasks, parts.task_scores.seen, whole.task_scores.seen),
    ):
        changed = np.argwhere(np.asarray(now) != np.asarray(then))
        assert {(int(model), names[at]) for model, at in changed} == {(row, name) for _, name in cells if name in names}
    assert parts.structure == whole.structure


def test_baselines_do_not_see_a_hidden_cell_and_its_forecast_is_judged():
    table = load_base_llms("paper")
    models = ("huggyllama/llama-7b", "meta-llama/Llama-2-13b-hf")
    split = Split("mine", models[:1], cells=((models[1], "gsm8k_cot"), (models[1], "MMLU")))
    assert judged_models(table, ["gsm8k_cot", "GSM8K"], split) == {"gsm8k_cot": list(models), "GSM8K": [models[0]]}
    scores = table.matrix(["gsm8k_cot"])["gsm8k_cot"].drop(list(models))
    assert baseline("mean", table, "gsm8k_cot", split).point.tolist() == [pytest.approx(scores.mean())] * 2
    # what is older than the date is hidden, but not what was asked
    vintage = vintages()
    judged = judged_models(
        vintage, ["quiz", "late", "third"], Split.by_vintage(vintage, "2025-06-01").revealing(vintage, 1)
    )
    assert sum(map(len, judged.values())) == 2 and {name for names in judged.values() for name in names} == {"new"}
