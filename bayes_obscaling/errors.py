"""The one exception for input that cannot be used, and the one warning for what should be known though work goes on."""

import re

# What a file holds is quoted as far as a reader needs it to find it there.
_LONG_QUOTE = re.compile(r"('[^'\s:;,.)][^']{60})[^']{200,}(?=')")  # no quote that ends is taken for one that begins
_LONG_WORD = re.compile(r"(\S{60})\S{200,}?(?=[.,;:]*(?:\s|$))")
_LINE_ENDS = re.compile(r"\s*[\r\n]+\s*")


class Notice(UserWarning):
    """Something that should be known, although the work goes on: one sentence."""


class InputError(Exception):
    """Input that cannot be used: one sentence with the place, the cause and the remedy.

    Everything a user hands over (a table, a name, a number) that cannot be used raises this and nothing else, so
    that a command line program can print the sentence and stop. Not a ValueError: pydantic would wrap that in a
    ValidationError of its own.

    Parameters
    ----------
    problem : str
        What cannot be used, and why. Given alone, it is the whole sentence.
    remedy : str, optional
        What to do about it.
    where : str, optional
        The place: a file, its row and column, or the name of a row.
    """

    def __init__(self, problem: str, remedy: str = "", where: str = "") -> None:
        super().__init__(problem, remedy, where)  # all three, so that the exception can be pickled
        self.problem, self.remedy, self.where = problem, remedy, where

    def __str__(self) -> str:
        if not self.remedy and not self.where:
            return self.problem
        place = f"{self.where}: " if self.where else ""
        between = "; " if self.where else ": "  # one colon a sentence: after the place, where there is one
        sentence = place + self.problem + (between + self.remedy if self.remedy else "")
        sentence = _LINE_ENDS.sub(" ", _LONG_WORD.sub(r"\1…", _LONG_QUOTE.sub(r"\1…", sentence)))
        return sentence if sentence.endswith((".", "?", "!")) else f"{sentence}."
