"""Cron expressions as Kubeflow's scheduler reads them: six fields, seconds first (github.com/robfig/cron 1.2)."""

import datetime
import re

from events.errors import KubeflowError

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
NAMES = ("@yearly", "@annually", "@monthly", "@weekly", "@daily", "@midnight", "@hourly")
EVERY = r"@every (?=\d)(\d+h)?(\d+m)?(\d+s)?"
YEARS = 5  # after which the scheduler gives up its search for a date


def check(expression: str, today: datetime.date | None = None) -> str:
    """The expression with single spaces.

    Args:
      expression: six fields, a name such as `@daily`, or `@every 1h30m`.
      today: from when on a date must come; None for today.

    Raises:
      KubeflowError: it is none, or never comes.
    """
    fields = expression.split()
    text = " ".join(fields)
    if text.startswith("@"):
        if text in NAMES or (re.fullmatch(EVERY, text, re.ASCII) and re.search("[1-9]", text)):
            return text
        raise KubeflowError(
            f"A schedule with @ has a name: {', '.join(NAMES)}, or @every and a duration. Received: {expression!r}. "
            "Write for example @every 1h30m."
        )
    if len(fields) != len(FIELDS):
        names = ", ".join(name for name, *_ in FIELDS)
        raise KubeflowError(
            f"A schedule has {len(FIELDS)} fields: {names}. Received: {len(fields)} in {expression!r}. "
            'Write "0 0 3 * * *" for three o\'clock each night.'
        )
    numbers = []
    for field, (name, lowest, highest, words) in zip(fields, FIELDS, strict=True):
        ranges = [_numbers(part, lowest, highest, words) for part in field.split(",")]
        if not all(ranges):
            raise KubeflowError(
                f"The {name} of a schedule go from {lowest} to {highest}. Received: {field!r} in {expression!r}. "
                "Write a number, *, a range such as 1-5, steps such as */10, or several with commas."
            )
        numbers.append(set().union(*ranges))
    if not _comes(fields, numbers, today or datetime.date.today()):
        raise KubeflowError(
            f"A schedule has a date that comes within {YEARS} years. Received: {expression!r}. Correct day and month."
        )
    return text


def _numbers(text: str, lowest: int, highest: int, words: tuple[str, ...]) -> set[int]:
    """The numbers that a part of a field stands for; none if it is no such part."""
    match = re.fullmatch(r"([*?]|\w+(?:-\w+)?)(?:/(\d+))?", text, re.ASCII)
    if not match or (match[2] and int(match[2]) == 0):
        return set()
    if match[1] in ANY:
        first, last = lowest, highest
    else:
        bounds = [_number(bound, lowest, words) for bound in match[1].split("-")]
        first, last = bounds[0], bounds[-1]
        if match[2] and len(bounds) == 1:
            last = highest  # 3/5 is 3-highest/5
    if not lowest <= first <= last <= highest:
        return set()
    return set(range(first, last + 1, int(match[2] or 1)))


def _number(text: str, lowest: int, words: tuple[str, ...]) -> int:
    if text.lower() in words:
        return words.index(text.lower()) + lowest
    return int(text) if text.isdecimal() else -1


def _comes(fields: list[str], numbers: list[set[int]], today: datetime.date) -> bool:
    """Whether there is such a date. Day of the month and of the week are alternatives unless one of them is any."""
    days, months, weekdays = numbers[3:]
    is_any = any(part[0] in ANY for field in (fields[3], fields[5]) for part in field.split(","))
    both = all if is_any else any
    dates = (today + datetime.timedelta(days=n) for n in range(YEARS * 365))
    return any(date.month in months and both((date.day in days, date.isoweekday() % 7 in weekdays)) for date in dates)
