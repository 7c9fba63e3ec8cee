"""What a fit sees of the bundled table: who is seen, who is hidden, who predicts what."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bayes_obscaling.data import ScoreTable, Split
from bayes_obscaling.errors import InputError
from bayes_obscaling.inference.fit import fit_table
from bayes_obscaling.models import layout as module
from bayes_obscaling.models.capability_equations import COMPUTE_CENTRE
from bayes_obscaling.models.layout import Layout
from bayes_obscaling.models.spec import CapabilitySpec

CUTOFF = 8.4e22
JOINT = CapabilitySpec(posterior="joint")


def lay_out(
    table: ScoreTable,
    *tasks: str,
    cutoff: float | None = CUTOFF,
    hidden: tuple[str, ...] = (),
    spec: CapabilitySpec | None = None,
) -> Layout:
    split = Split.all_seen() if cutoff is None else Split.by_flops(table, cutoff)
    return module.lay_out(
        table, tasks, Split(split.name, split.held_out, hidden, split.cutoff), spec or CapabilitySpec()
    )


def shown(layout: Layout, task: str) -> set[str]:
    seen = np.asarray(layout.task_scores.seen)[:, layout.tasks.index(task)]
    return {model for model, visible in zip(layout.models, seen, strict=True) if visible}


def test_the_paper_table_at_the_published_cutoff(paper: ScoreTable):
    layout = lay_out(paper, "word_unscrambling")
    assert (len(layout.models), len(layout.families), len(layout.benchmarks)) == (77, 21, 8)
    # fitted along, whatever is asked: all tasks that count items
    assert set(layout.tasks) == set(paper.task_names) - {"ipa_transliterate_bleu"}
    assert "ipa_transliterate_bleu" in lay_out(paper, "ipa_transliterate_bleu").tasks
    assert len(shown(layout, "word_unscrambling")) == 44
    assert layout.reference.sum() == 47
    flops = paper.models["flops"]
    assert max(flops[list(shown(layout, "word_unscrambling"))]) == CUTOFF  # at the cutoff is seen
    assert "meta-llama/Llama-2-7b-hf" in shown(layout, "word_unscrambling")
    assert "bigcode/starcoderbase" not in shown(layout, "word_unscrambling")  # 9.3e22
    assert np.asarray(layout.measurements[0].seen).sum() == 610  # no benchmark score is hidden
    assert layout.notes == ()


def test_arrays_hold_what_the_table_says(paper: ScoreTable):
    layout = lay_out(paper, "parsinlu_qa")
    data, model = layout.measurements[0], layout.models.index("meta-llama/Llama-2-7b-hf")
    mmlu = layout.benchmarks.index("MMLU")
    assert float(data.score[model, mmlu]) == paper.matrix(["MMLU"]).loc["meta-llama/Llama-2-7b-hf", "MMLU"]
    assert float(data.inv_items[model, mmlu]) == 1 / 14042
    assert (np.asarray(data.inv_items)[:, layout.benchmarks.index("XWinograd")] == 0).all()  # no item count
    assert float(data.covariates.compute[model]) == pytest.approx(np.log10(8.4e22) - COMPUTE_CENTRE)
    assert layout.families[int(data.family[model])] == "Llama-2"
    assert dict(zip(layout.benchmarks, np.asarray(data.chance), strict=True))["Winograd"] == 0.5
    assert [layout.benchmarks[i] for i in layout.structure.signed] == ["TruthfulQA"]
    assert [layout.benchmarks[i] for i in layout.structure.no_ceiling] == ["TruthfulQA"]


def test_models_of_unknown_compute_count_as_above_any_cutoff(paper: ScoreTable):
    mistral = "mistralai/Mistral-7B-v0.1"
    unknown = [paper.models.index[i] for i in lay_out(paper, "gsm8k_cot").structure.unknown_compute]
    assert unknown == [mistral, "mistralai/Mixtral-8x7B-v0.1"]
    assert mistral not in shown(lay_out(paper, "gsm8k_cot", cutoff=1e30), "gsm8k_cot")
    assert mistral in shown(lay_out(paper, "gsm8k_cot", cutoff=None), "gsm8k_cot")


def test_from_compute_hides_every_score_of_a_model(paper: ScoreTable):
    hidden = "meta-llama/Llama-2-7b-hf"
    before, after = lay_out(paper, "gsm8k_cot"), lay_out(paper, "gsm8k_cot", hidden=(hidden,))
    row = before.models.index(hidden)
    seen = {
        left_out: np.asarray(m.seen)[row]
        for left_out, m in zip(before.predictor_sets, before.measurements, strict=True)
    }
    assert {left_out: row.sum() for left_out, row in seen.items()} == {(): 8, ("GSM8K",): 7}
    assert not any(np.asarray(m.seen)[row].any() for m in after.measurements)
    assert np.asarray(before.task_scores.seen)[row].any()
    assert not np.asarray(after.task_scores.seen)[row].any()
    assert shown(before, "gsm8k_cot") - shown(after, "gsm8k_cot") == {hidden}
    assert after.reference[row] == 0


def test_tasks_that_exclude_a_benchmark_get_predictors_without_it(paper: ScoreTable):
    layout = lay_out(paper, "arithmetic_3ds")
    read = {task: layout.predictor_sets[i] for task, i in zip(layout.tasks, layout.task_scores.predictors, strict=True)}
    assert read["arithmetic_3ds"] == read["gsm8k_direct"] == ("GSM8K",)
    assert read["word_unscrambling"] == ()
    gsm8k = layout.benchmarks.index("GSM8K")
    for left_out, data in zip(layout.predictor_sets, layout.measurements, strict=True):
        assert np.asarray(data.seen)[:, gsm8k].any() == (left_out == ())


def test_a_benchmark_as_a_task_is_hidden_above_the_cutoff(paper: ScoreTable):
    layout = lay_out(paper, "MMLU")
    seen = pd.DataFrame(layout.measurements[0].seen, index=layout.models, columns=layout.benchmarks)
    assert seen["MMLU"].sum() == 47
    assert seen["HellaSwag"].sum() == 77
    assert layout.task_scores is None
    both = lay_out(paper, "MMLU", "arithmetic_3ds")
    assert set(both.predictor_sets) == {(), ("GSM8K",)}
    for data in both.measurements:
        assert np.asarray(data.seen)[:, both.benchmarks.index("MMLU")].sum() == 47


def test_hidden_scores_change_no_shape(paper: ScoreTable):
    """One compiled sampler serves all cutoffs."""
    near, far = lay_out(paper, "word_unscrambling"), lay_out(paper, "word_unscrambling", cutoff=1e23, hidden=("Yi-6B",))
    assert near.structure == far.structure
    assert near.task_scores.score.shape == far.task_scores.score.shape


def test_a_table_without_an_anchor_falls_back(paper: ScoreTable):
    def without(*names: str) -> ScoreTable:
        scores = paper.scores
        return ScoreTable(paper.models, paper.benchmarks, scores[~scores["benchmark"].isin(names)])

    assert lay_out(without("HumanEval"), "word_unscrambling").factors[:3] == ("HellaSwag", "MMLU", "XWinograd")
    assert lay_out(without("HumanEval"), "word_unscrambling").factors[3] == "Winograd"  # most scores; GSM8K is excluded
    few = lay_out(without("HumanEval", "ARC-C", "Winograd", "XWinograd"), "word_unscrambling")
    assert few.factors == ("HellaSwag", "MMLU")  # TruthfulQA may fall with capability, GSM8K is excluded for some tasks
    assert "2 factors instead of 4" in few.notes[0]


def test_joint_posterior_keeps_to_tasks_with_the_same_predictors(paper: ScoreTable):
    layout = lay_out(paper, "arithmetic_3ds", spec=JOINT)
    assert layout.predictor_sets == (("GSM8K",),)
    assert {t for t in paper.task_names if t.startswith(("arith", "gsm", "bbh"))} == set(layout.tasks)
    with pytest.raises(InputError, match=r"arithmetic_3ds, word_unscrambling.*one by one"):
        lay_out(paper, "arithmetic_3ds", "word_unscrambling", spec=JOINT)


def test_joint_posterior_has_one_set_of_predictors(paper: ScoreTable):
    """Or it refuses: a benchmark that reads all predictors cannot be forecast jointly with a task that excludes one."""
    try:
        layout = lay_out(paper, "MMLU", "arithmetic_3ds", spec=JOINT)
    except InputError:
        return
    assert layout.predictor_sets == (("GSM8K",),)


@pytest.mark.parametrize(
    ("tasks", "options", "sentence"),
    [
        (["word_unscrambling"], {"cutoff": 1e19}, r"at or below the cutoff of 1e\+19.*1\.26e\+20.*raise the cutoff"),
        (["word_unscrambled"], {"cutoff": CUTOFF}, "did you mean word_unscrambling"),
        (["parsinlu_qa", "MMLUU"], {}, "did you mean MMLU"),
        ([], {}, "No task was named"),
        (["MMLU"], {"cutoff": -1.0}, "positive number"),
        (["MMLU"], {"cutoff": float("nan")}, "positive number"),
        (["MMLU"], {"chains": 1}, "chains is 1"),
        (["MMLU"], {"draws": 50}, "draws is 50"),
        (["MMLU"], {"from_compute": True}, "need a cutoff"),
        (["MMLU"], {"from_compute": ["Llama-2-8b-hf"]}, "did you mean .*Llama-2-7b-hf"),
        (["MMLU"], {"from_compute": ["mistralai/Mistral-7B-v0.1"]}, "has no FLOPs"),
    ],
)
def test_questions_without_an_answer_are_refused_before_sampling(paper: ScoreTable, tasks, options, sentence):
    with pytest.raises(InputError, match=sentence):
        fit_table(paper, tasks, **options)


def test_a_task_without_a_visible_score_is_refused(paper: ScoreTable):
    scores = paper.scores
    table = ScoreTable(paper.models, paper.benchmarks, scores[scores["benchmark"] != "parsinlu_qa"])
    with pytest.raises(InputError, match=r"No model .* visible score on parsinlu_qa"):
        lay_out(table, "parsinlu_qa")
    only_tasks = ScoreTable(paper.models, paper.benchmarks, scores[scores["benchmark"] == "parsinlu_qa"])
    with pytest.raises(InputError, match="no benchmark scores"):
        lay_out(only_tasks, "parsinlu_qa")
