"""Hostile tables, thousands of them: each is read into a table, or refused in one sentence, within a minute.

    python scripts/fuzz_tables.py --cases 1000 --seed 0            # read, check, merge
    python scripts/fuzz_tables.py --cases 20 --seed 0 --fit        # and fit the readable ones, with few draws

A case is made from seed and number alone, so that one that fails can be made again: --only N. What went wrong is
printed with its number and left in --keep. The exit code is 1 where something did.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bayes_obscaling as bo
from bayes_obscaling.data import check_table
from bayes_obscaling.errors import Notice

LIMIT = 60.0  # seconds of a core that a case may take
Rows = list[list[Any]]

NUMBERS = [0, 1, 0.5, 0.251, 45.2, 99.9, 100, 101, -0.1, -5, 1e-300, 1e300, 10**400, float("nan"), float("inf")]
TEXTS = [
    *(
        "",
        " ",
        "-",
        "n/a",
        "NaN",
        "None",
        "null",
        "TBD",
        "?",
        "✓",
        "**0.5**",
        "~0.4",
        "<0.1",
        "0,5",
        "1.234,5",
        "1,234",
    ),
    *("45.2%", "45.2 %", "0.5 ± 0.1", "0.5±", "12/20", "7/0", "1e-3", "1E", "--", "+0.3", "'0.3", "=1/0", "0x1F", "½"),
    *("7B", "7 B", "1.92 x 10^23", "10^", "1.8T tokens", "8x7B", "seven", "True", "[]", "{}", '"', "0.5 [1]", "٠٫٥"),
    *(
        "2024-01-31",
        "31.01.2024",
        "1/2/2024",
        "2024",
        "13/13/2024",
        "1899-01-01",
        "2999-01-01",
        "0000-00-00",
        "May 2024",
    ),
    *("high", "16K", "max ", "-4K", "low,high", "none"),
    *("\u200b", "\ufeff0.5", "é" * 300, "a\nb", "a\tb", "a\x00b", "\ud7ff", "𝟘.𝟝", "مرحبا", "🤖", "x" * 5000),
]
HEADERS = [
    *(
        "model",
        "Model",
        "MODEL ",
        "name",
        "family",
        "Model Family",
        "flops",
        "FLOPs (1E21)",
        "params",
        "Model Size (B)",
    ),
    *("tokens", "Pretraining Data Size (T)", "date", "release date", "benchmark", "task", "score", "stderr", "n_items"),
    *(
        "chance",
        "setting",
        "reasoning",
        "evaluated",
        "provider",
        "flops_sd",
        "open_weights",
        "MMLU",
        "mmlu",
        "gsm8k_cot",
    ),
    *("HellaSwag", "gpqa_diamond", "my exam", "Average", "rank", "url", "", " ", "Unnamed: 0", "score", "a|b", "%"),
]


def base(rng: np.random.Generator) -> Rows:
    """A table in the wide or the long layout with nothing wrong about it."""
    n_models, n_scores = int(rng.integers(1, 12)), int(rng.integers(1, 7))
    names = [f"org/m-{i}-{rng.integers(1, 90)}b" for i in range(n_models)]
    columns = [
        str(name)
        for name in rng.choice(["MMLU", "HellaSwag", "XWinograd", "exam", "quiz", "gsm8k_cot"], n_scores, False)
    ]
    facts = [
        [f"fam {i // 3}", f"{10 ** rng.uniform(20, 26):.3g}", f"202{rng.integers(2, 7)}-0{rng.integers(1, 10)}-11"]
        for i in range(n_models)
    ]
    scores = rng.uniform(0.05, 0.95, (n_models, n_scores)).round(3)
    if rng.random() < 0.5:
        rows = [[name, *fact, *values] for name, fact, values in zip(names, facts, scores.tolist(), strict=True)]
        return [["model", "family", "flops", "date", *columns], *rows]
    rows = [
        [names[i], *facts[i], columns[j], scores[i, j]] for i in range(n_models) for j in range(n_scores)
    ]  # fmt: skip
    return [["model", "family", "flops", "date", "benchmark", "score"], *rows]


def mutated(rows: Rows, rng: np.random.Generator) -> Rows:
    """The table after one thing was done to it that people, tools or enemies do to tables."""
    rows = [list(row) for row in rows]
    i, j = int(rng.integers(len(rows))), int(rng.integers(max(len(rows[0]), 1)))

    def odd() -> Any:
        return (
            (NUMBERS, TEXTS)[rng.integers(2)][rng.integers(len(NUMBERS))]
            if rng.random() < 0.4
            else TEXTS[rng.integers(len(TEXTS))]
        )

    kind = rng.integers(16)
    if kind <= 3 and rows[i]:
        rows[i][min(j, len(rows[i]) - 1)] = odd()
    elif kind == 4:  # a whole column
        for row in rows[1:]:
            if j < len(row):
                row[j] = odd() if rng.random() < 0.5 else ""
    elif kind == 5 and j < len(rows[0]):
        rows[0][j] = HEADERS[rng.integers(len(HEADERS))]
    elif kind == 6:
        rows.insert(i + 1, list(rows[i]))
    elif kind == 7:
        rows = [[*row, HEADERS[rng.integers(len(HEADERS))] if row is rows[0] else odd()] for row in rows]
    elif kind == 8:
        rows = [row[:j] + row[j + 1 :] for row in rows]
    elif kind == 9:
        rows[i] = rows[i][:j]
    elif kind == 10:
        rows.insert(0, [odd() for _ in range(rng.integers(4))])
    elif kind == 11:  # turned
        width = max(len(row) for row in rows)
        rows = [[row[k] if k < len(row) else "" for row in rows] for k in range(width)]
    elif kind == 12:
        rows = rows[: rng.integers(0, 2)]
    elif kind == 13 and len(rows) > 2:
        rows[1:] = [rows[k] for k in 1 + rng.permutation(len(rows) - 1)]
    elif kind == 14:  # percent, or another scale
        factor = [100, 1000, 1e-3, -1][rng.integers(4)]
        rows[1:] = [[cell * factor if isinstance(cell, float) else cell for cell in row] for row in rows[1:]]
    else:
        rows = [[" " * int(rng.integers(3)) + str(cell) for cell in row] for row in rows]
    return rows or [[]]


def written(rows: Rows, folder: Path, rng: np.random.Generator) -> Path | pd.DataFrame:
    """The table in a file of some kind, sometimes with a few wrong bytes; or as a frame."""
    kind = ["csv", "csv", "csv", "tsv", "json", "jsonl", "md", "xlsx", "parquet", "csv.gz", "txt", "frame"][
        rng.integers(12)
    ]
    width = max((len(row) for row in rows), default=0)
    even = [[*row, *[""] * (width - len(row))] for row in rows]
    header, body = ([str(cell) for cell in even[0]] if even else []), even[1:]
    path = folder / f"case.{kind}"
    if kind == "frame":
        return pd.DataFrame(body, columns=header)
    if kind in ("json", "jsonl"):
        records = [dict(zip(header, row, strict=True)) for row in body]
        texts = [json.dumps(record, default=str) for record in records]
        content = ("\n".join(texts) if kind == "jsonl" else f"[{','.join(texts)}]").encode("utf-8", "surrogatepass")
    elif kind == "md":
        lines = ["| " + " | ".join(map(str, row)) + " |" for row in even]
        content = "\n".join([*lines[:1], "|" + "---|" * width, *lines[1:]]).encode("utf-8", "surrogatepass")
    elif kind in ("xlsx", "parquet"):
        buffer = io.BytesIO()
        frame = pd.DataFrame([[str(cell) for cell in row] for row in body], columns=header).map(_printable)
        try:
            frame.to_parquet(buffer) if kind == "parquet" else frame.to_excel(buffer, index=False)
        except Exception:  # the writer refuses it: two columns of a name, letters that the format does not have
            return frame
        content = buffer.getvalue()
    else:
        text = io.StringIO()
        separator = {"tsv": "\t", "txt": [";", "|", " "][rng.integers(3)]}.get(kind, ",")
        quoting = [csv.QUOTE_MINIMAL, csv.QUOTE_ALL][rng.integers(2)]
        csv.writer(
            text, delimiter=separator, quoting=quoting, lineterminator=["\n", "\r\n", "\r"][rng.integers(3)]
        ).writerows(rows)
        encoding = ["utf-8", "utf-8", "utf-8-sig", "utf-16", "latin-1", "cp1252"][rng.integers(6)]
        content = text.getvalue().encode(encoding, "replace")
        content = gzip.compress(content) if kind == "csv.gz" else content
    if rng.random() < 0.15 and content:
        broken = bytearray(content)
        for at in rng.integers(0, len(broken), rng.integers(1, 6)):
            broken[at] = rng.integers(256)
        content = bytes(broken[: rng.integers(1, len(broken) + 1)]) if rng.random() < 0.5 else bytes(broken)
    path.write_bytes(content)
    return path


def _printable(text: str) -> str:
    return "".join(letter for letter in text if letter >= " ")


def refused(error: bo.InputError) -> str:
    """Return nothing where an error is one sentence that a user can read, else what is wrong with it."""
    text = str(error)
    if "\n" in text or "Traceback" in text or not 15 < len(text) < 1500 or not text.endswith((".", "?", "!")):
        return f"no sentence: {text[:300]!r}"
    return ""


def one(seed: int, number: int, folder: Path, fits: bool) -> tuple[str, str]:
    """Outcome of a case (table, refused, failed or slow), and what went wrong."""
    rng = np.random.default_rng([seed, number])
    rows = base(rng)
    for _ in range(rng.integers(0, 5)):
        rows = mutated(rows, rng)
    source = written(rows, folder, rng)
    into = [None, "base-llms", "frontier"][rng.integers(3)]
    duplicates = ["refuse", "mean", "first"][rng.integers(3)]
    began, outcome, wrong = time.process_time(), "table", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            warnings.simplefilter("ignore", Notice)
            bundled = None if into is None else bo.load(into)  # type: ignore[call-overload]
            check_table(source, against=bundled) if bundled is not None else check_table(source)
            table = bo.read(source, into=bundled, duplicates=duplicates)  # type: ignore[call-overload]
            if isinstance(table, bo.ScoreTable):
                values = table.scores["score"]
                assert values.between(0, 1).all() and table.data_hash and repr(table)
                if fits and into is None:
                    outcome = _fitted(table)
    except bo.InputError as error:
        outcome, wrong = "refused", refused(error)
    except Exception:
        outcome, wrong = "failed", traceback.format_exc(limit=-4)
    if (took := time.process_time() - began) > LIMIT:
        outcome, wrong = "slow", f"{took:.0f} s"
    return outcome, wrong


def _fitted(table: bo.ScoreTable) -> str:
    names = table.task_names or table.benchmark_names
    fit = bo.fit(table, names[:1], spec=bo.CapabilitySpec(n_factors=1), chains=1, draws=50, progress=False)
    draws = bo.forecast(fit, list(table.models.index)).to_dataframe()
    assert draws["median"].between(0, 1).all()
    return "fitted"


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).partition("\n")[0])
    parser.add_argument("--cases", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="this case alone")
    parser.add_argument("--fit", action="store_true", help="fit what can be read")
    parser.add_argument("--keep", type=Path, help="folder for the files of cases that failed")
    asked = parser.parse_args()
    counts: Counter[str] = Counter()
    bad, longest, began = 0, 0.0, time.process_time()
    for number in [asked.only] if asked.only is not None else range(asked.cases):
        with tempfile.TemporaryDirectory() as scratch:
            at = time.process_time()
            outcome, wrong = one(asked.seed, number, Path(scratch), asked.fit)
            longest = max(longest, time.process_time() - at)
            counts[outcome] += 1
            if wrong:
                bad += 1
                print(f"case {number}, {outcome}: {wrong}", flush=True)
                for path in Path(scratch).iterdir() if asked.keep else ():
                    asked.keep.mkdir(parents=True, exist_ok=True)
                    (asked.keep / f"{number}-{path.name}").write_bytes(path.read_bytes())
    took = time.process_time() - began
    print(f"{dict(counts)}; {bad} wrong; the longest took {longest:.1f} s of a core, all {took:.0f} s")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
