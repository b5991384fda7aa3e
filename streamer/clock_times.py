"""English words -> times of day: "half past seven" as 7:30, "seven p m" as 7 p.m."""

from __future__ import annotations

from streamer.number_words import (
    DIGITS,
    ORDINALS,
    TEENS,
    ZEROS,
    Number,
    below_hundred,
    is_counted,
)
from streamer.phrases import Phrase, Written

# After these "seven thirty" is a time.
BEFORE_TIME = {"at", "until", "till"}
# After these a quarter is one of a year: "the third quarter to ten stores".
BEFORE_SHARE = {*ORDINALS, "last", "this", "next", "each", "every", "per"}
# Before these "five" is no hour: "a quarter to five of them", "to five point two percent".
AFTER_COUNT = {"of", "per", "point"}


def time_of_day(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Half past seven, a quarter to eight, seven thirty p m, at seven thirty."""
    start = at + 1 if phrase[at] == "a" else at
    if phrase[start] in ("half", "quarter"):
        relative = _relative(phrase, start)
        if relative is None:
            return None
        time = Written(relative, start + 3 - at)
        return _with_half_of_day(phrase, at, time) or (time,)
    hour = _hour(phrase, at)
    if hour is None:
        return None
    minute = _minute(phrase, at + 1)
    if minute is None:
        return _with_half_of_day(phrase, at, Written(str(hour)))
    time = Written(f"{hour}:{minute.value:02}", 1 + minute.n_words)
    if written := _with_half_of_day(phrase, at, time):
        return written
    if phrase[at - 1] in BEFORE_TIME and not is_counted(phrase, at + time.n_words):
        return (time,)
    return None


def _relative(phrase: Phrase, at: int) -> str | None:
    """The time that "half past" or "quarter to" and an hour say here."""
    relation = (phrase[at], phrase[at + 1])
    minutes = {("half", "past"): 30, ("quarter", "past"): 15, ("quarter", "to"): -15}
    hour = _hour(phrase, at + 2) if relation in minutes else None
    if hour is None or (minutes[relation] < 0 and _is_share(phrase, at)):
        return None
    total = hour * 60 + minutes[relation]
    return f"{(total // 60 - 1) % 12 + 1}:{total % 60:02}"


def _is_share(phrase: Phrase, at: int) -> bool:
    """Whether the quarter here is a fourth part, in what reads like "quarter to five"."""
    is_count = is_counted(phrase, at + 3) or phrase[at + 3] in AFTER_COUNT
    return is_count or phrase[at - 1] in BEFORE_SHARE


def _hour(phrase: Phrase, at: int) -> int | None:
    value = DIGITS.get(phrase[at], TEENS.get(phrase[at], 0))
    return value if 1 <= value <= 12 else None


def _minute(phrase: Phrase, at: int) -> Number | None:
    """Minutes as they follow an hour: two digits, the first perhaps said as "o"."""
    if phrase[at] in ZEROS:
        unit = DIGITS.get(phrase[at + 1], 0)
        return Number(unit, 2) if unit else None
    number = below_hundred(phrase, at)
    return number if number and 10 <= number.value < 60 else None


def _with_half_of_day(phrase: Phrase, at: int, time: Written) -> tuple[Written, ...] | None:
    stop = at + time.n_words
    if phrase[stop] == "am" and phrase[at - 1] in BEFORE_TIME:  # Else somebody is.
        return time, Written("a.m.")
    half = _half_said(phrase, stop)
    return (time, half) if half else None


def half_of_day(phrase: Phrase, at: int) -> Written | None:
    """What stands for "P M" or "PM" behind an hour, in any style."""
    half = _half_said(phrase, at)
    if half and any(_ends_time(phrase, start, at) for start in range(at - 3, at)):
        return half
    return None


def _half_said(phrase: Phrase, at: int) -> Written | None:
    """The same, whatever stands before it."""
    if phrase[at] == "pm":
        return Written("p.m.")
    if phrase[at] in ("a", "p") and phrase[at + 1] == "m":
        return Written(f"{phrase[at]}.m.", 2)
    return None


def _ends_time(phrase: Phrase, start: int, stop: int) -> bool:
    """Whether an hour, perhaps with minutes, is all that stands in [start, stop)."""
    if _hour(phrase, start) is None:
        return False
    minute = _minute(phrase, start + 1)
    return stop - start == (1 + minute.n_words if minute else 1)
