"""What a column holds, by its header: the words that tables and tools use for models, sizes, scores and the rest."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

# Words for what is known of a model, in the form of `plain`; the unit may stand behind.
FIELDS = {
    "model": "model|models|model name|name of model|llm|model id|model version|fullname|full name|checkpoint|system",
    "family": "family|model family|series|model series|families",
    "provider": "provider|organization|organisation|org|organizations|developer|lab|labs|company|maker|creator",
    "params": "params|parameters|model size|size|n params|num params|number of parameters|model parameters|param count"
    "|active params|active parameters|parameter count",
    "tokens": "tokens|pretraining data size|training tokens|pretraining tokens|data size|n tokens|num tokens|"
    "number of tokens|training data|training data size|pretraining data|number of training tokens",
    "flops": "flops|flop|training compute|training flops|training flop|compute|total flops|pretraining flops|"
    "train compute",
    "flops_sd": "flops sd|flop sd|compute sd|log10 flops sd|sd of log10 flops",
    "flops_confidence": "flops confidence|flop confidence|compute confidence|training compute confidence|confidence",
    "flops_method": "flops method|compute method|training compute estimation method|compute estimation method",
    "flops_circular": "flops circular|compute circular",
    "open_weights": "open weights|open weight|weights open",
    "date": "date|release date|released|publication date|release|model release date|date released|launch date",
}
LONG = {
    "benchmark": "benchmark|task|dataset|benchmark name|task name|evaluation|eval|benchmarks|metric name|test",
    "score": "score|value|accuracy|acc|result|mean score|performance|primary score",
    "stderr": "stderr|std err|standard error|se|score stderr|acc stderr|std error",
    "n_items": "n items|items|n samples|num samples|number of items|samples|n questions|effective samples",
    "setting": "setting|effort|reasoning effort|thinking|thinking budget|thinking effort|reasoning setting",
    "reasoning": "reasoning|with reasoning|is reasoning",
    "evaluated": "evaluated|evaluation date|date of evaluation|run date|date of run|eval date|date evaluated|"
    "started at",
    "chance": "chance|chance level|random baseline|baseline",
}
"""Words for the columns of a table with a row per score."""
_FIELD_OF = {word: field for field, words in FIELDS.items() for word in words.split("|")}
_LONG_OF = {word: field for field, words in LONG.items() for word in words.split("|")}

_ASIDE = (
    (
        "an average",
        r"(global |overall |total |mean )?(average|avg|mean|overall|aggregate)( score| accuracy| win rate)?",
    ),
    ("a rank", r"(rank|ranking|position|place|elo rank)( .*)?|pos|no|nr|index|idx|row"),
    (
        "not a score",
        r"type|model type|weight type|architecture|precision|dtype|quantization|merged|moe|flagged|likes",
    ),
    ("not a score", r"hub.*|available on the hub|model sha|sha|revision|chat template|official providers?|generation"),
    (
        "not a score",
        r"(hub )?licen[sc]e|licen[sc]e (name|type)|url|links?|source( links?)?|paper|reference|citation|repo",
    ),
    (
        "not a score",
        r"notes?|comments?|remarks?|description|details|country.*|domain|modality|accessibility",
    ),
    (
        "not a score",
        r"(upload to hub|submission|evaluation|eval|last updated|created|started) ?(date|at)|year|updated|id",
    ),
    (
        "not a score",
        r"eval name|base model|votes?|(95 )?ci|95 % ci|knowledge cutoff|cutoff date|context( length| window)?",
    ),
    (
        "not a score",
        r".*\bcosts?|co2 .*|price.*|latency|speed|time|duration|runtime|n shots?|num fewshot|shots?|seed|run",
    ),
    (
        "not a score",
        r"log viewer|logs|started at|training compute notes|confidence|version|vocab( size)?|n layers?|tags?",
    ),
    ("not a score", r"best score across scorers notes|status|contamination.*|model name for query|cohort|key"),
    (
        "a loss, which falls with skill",
        r"(.* )?(perplexity|ppl|loss|nll|bpb|bits per byte|cross entropy|bits per char)",
    ),
    (
        "bounds of the compute",
        r"(flops?|compute|training compute) (low|high|lower|upper|min|max|lower bound|upper bound)",
    ),
)
_ASIDE_OF = [(why, re.compile(pattern)) for why, pattern in _ASIDE]
_NO_MODEL = re.compile(
    r"(global |overall |grand |column )?(average|avg|mean|median|overall|total|std|sd)( score| of all)?s?|"
    r"(random|chance|majority)( guess(ing|er)?| baseline| chance| class| performance| level| choice)*|"
    r"(average |non )?(human|expert)s?( experts?| average| baseline| performance| level| raters?| non experts?)*|"
    r"sota|state of the art"
)
_PERCENT = re.compile(r"[\s_]*(?:\((?:in )?(?:%|percent|pct)\)|\[%\]|%|[\s_,](?:percent|pct))\s*$", re.IGNORECASE)
_STDERR = re.compile(
    r"^(?:(?P<before>.+?)[\s_,(-]+(?:std ?_?err(?:or)?|stderr|standard[\s_]error|s\.?e\.?m?\.?|±|\+/-)(?:,none)?\)?|"
    r"(?:stderr|std_err|standard error|se)[\s_(]+(?:of )?(?P<after>.+?)\)?)$",
    re.IGNORECASE,
)
_SPREAD = re.compile(
    r"^(.+?)[\s_(-]+(?:std|sd|stdev|var|variance|min|max|ci|ci[\s_]?(?:low|high|lower|upper)|"
    r"low(?:er)?|high|upper|95 ?%? ?ci)\)?$",
    re.IGNORECASE,
)
_UNITS = {"": 0, "k": 3, "thousand": 3, "m": 6, "million": 6, "millions": 6, "b": 9, "bn": 9, "billion": 9}
_UNITS |= {"billions": 9, "t": 12, "trillion": 12, "trillions": 12, "zflop": 21, "zflops": 21, "eflop": 18}
_UNITS |= {"eflops": 18, "pflop": 15, "pflops": 15, "tflop": 12, "tflops": 12, "gflop": 9, "gflops": 9}
_UNIT = re.compile(r"\s*[(\[](.*)[)\]]\s*$")


class UnknownUnitError(ValueError):
    """The unit in a header is none that is known."""


@dataclass(frozen=True)
class Field:
    """Something that is known of a model: what, and the power of ten of the unit of its column."""

    name: str
    exponent: int = 0


def plain(header: str) -> str:
    """Return a header in lower case, without signs and with single spaces, so that spellings are alike."""
    text = unicodedata.normalize("NFKC", header).casefold()
    text = "".join(
        " " if char in "_-.#*:" else char for char in text if unicodedata.category(char) not in ("So", "Mn", "Cf")
    )
    return " ".join(text.split())


def field_of(header: str) -> Field | None:
    """Return what of a model a column holds, None where it is something else.

    Raises
    ------
    UnknownUnitError
        If the header has a unit that is not known, such as ``(PF-days)``.
    """
    bracket = _UNIT.search(header)
    words = plain(_UNIT.sub("", header))
    field = _FIELD_OF.get(words)
    unit = plain(bracket[1]) if bracket else ""
    if field is None and not bracket and " " in words:  # params_b, tokens in billions
        words, _, unit = words.rpartition(" ")
        field = _FIELD_OF.get(words.removesuffix(" in")) if unit in _UNITS else None
    if field is None:
        return None
    if field in ("params", "tokens", "flops"):
        return Field(field, _exponent(unit))
    return Field(field)


def _exponent(unit: str) -> int:
    """Return the power of ten of a unit: ``B``, ``1E21``, ``10^21 FLOP``, ``trillion tokens``."""
    number = " ".join(re.sub(r"\b(tokens?|params?|parameters|flops?|of|in|total|active)\b", " ", unit).split())
    if unit in _UNITS or number in _UNITS:
        return _UNITS.get(unit, _UNITS.get(number, 0))
    if power := re.fullmatch(r"(?:1 ?e|10 ?\^|10 ?\*\*|e|x ?10 ?\^)\+?(\d{1,2})", number):
        return int(power[1])
    raise UnknownUnitError(unit)


def long_column(header: str) -> str | None:
    """Return what a column of a table with a row per score holds, None for another."""
    return _LONG_OF.get(plain(header))


def aside(header: str) -> str:
    """Return why a column of this header holds no score, "" where it may."""
    words = plain(_UNIT.sub("", header)) or plain(header)
    return next((why for why, pattern in _ASIDE_OF if pattern.fullmatch(words)), "")


def is_no_model(name: str) -> bool:
    """Whether a row of this name is a summary of models, guesses or people, such as "Average" or "Human expert"."""
    return bool(_NO_MODEL.fullmatch(plain(name)))


def without_percent(header: str) -> tuple[str, bool]:
    """Return a header without the mark of percent, and whether there was one."""
    name = _PERCENT.sub("", header).strip()
    return (name, True) if name and name != header.strip() else (header.strip(), False)


def stderr_of(header: str) -> str | None:
    """Return the header of the column whose standard errors a column holds, None for another column."""
    found = _STDERR.match(without_percent(header)[0])
    return (found["before"] or found["after"]).strip(" _,-(") if found else None


def spread_of(header: str) -> str | None:
    """Return the header of the column whose bounds or spread a column seems to hold, None for another column."""
    found = _SPREAD.match(without_percent(header)[0])
    return found[1].strip(" _,-(") if found else None
