"""Cron expressions as Kubeflow's scheduler reads them: six fields, seconds first (github.com/robfig/cron)."""

import re

from kubeflow.errors import KubeflowError

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")

# Name, lowest and highest number, and the words for them.
FIELDS = (
    ("seconds", 0, 59, ()),
    ("minutes", 0, 59, ()),
    ("hours", 0, 23, ()),
    ("day of the month", 1, 31, ()),
    ("month", 1, 12, MONTHS),
    ("day of the week", 0, 6, DAYS),
)
ANY = ("*", "?")


def check(expression: str) -> str:
    """The expression with single spaces.

    Raises:
      KubeflowError: it is none.
    """
    fields = expression.split()
    if len(fields) != len(FIELDS):
        names = ", ".join(name for name, *_ in FIELDS)
        raise KubeflowError(
            f"A schedule has {len(FIELDS)} fields: {names}. Received: {len(fields)} in {expression!r}. "
            'Write "0 0 3 * * *" for three o\'clock each night.'
        )
    for text, (name, lowest, highest, words) in zip(fields, FIELDS, strict=True):
        if not all(_is_range(part, lowest, highest, words) for part in text.split(",")):
            raise KubeflowError(
                f"The {name} of a schedule go from {lowest} to {highest}. Received: {text!r} in {expression!r}. "
                "Write a number, *, a range such as 1-5, steps such as */10, or several with commas."
            )
    return " ".join(fields)


def _is_range(text: str, lowest: int, highest: int, words: tuple[str, ...]) -> bool:
    match = re.fullmatch(r"([*?]|\w+(?:-\w+)?)(?:/(\d+))?", text)
    if not match or match[2] == "0":
        return False
    if match[1] in ANY:
        return True
    bounds = [_number(bound, lowest, words) for bound in match[1].split("-")]
    return all(lowest <= bound <= highest for bound in bounds) and bounds == sorted(bounds)


def _number(text: str, lowest: int, words: tuple[str, ...]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + lowest
    return int(text) if text.isdecimal() else -1
