"""English number words -> digits: cardinals, ordinals, years, times, money, percent, decimals.

The rules would rather leave words than guess: in prose a run of number words that is not one
number, like "one twenty" or "two three", stays as it was said; with `digits` each number of it is
written, "one 20" and "2 3". In either, "thousand" stays a word where it is also that of the number
before: "10 to twenty thousand". Over marks that a model has written no number goes on, but for
some commas. `streamer.phrases` tells how a rule that looks beyond the last word is not decided yet.
"""

from __future__ import annotations

from itertools import pairwise

from streamer.clock_times import time_of_day
from streamer.number_words import (
    BELOW_HUNDRED,
    DECADES,
    DIGITS,
    NUMBER_WORDS,
    ORDINALS,
    SCALES,
    TEENS,
    TENS,
    ZEROS,
    Number,
    below_hundred,
    cardinal,
    digit,
    is_counted,
    ordinal,
)
from streamer.phrases import Phrase, Written

CURRENCIES = {"dollar": "$", "dollars": "$", "euro": "€", "euros": "€"}
# After these "ten sixty six" is a year, after those "sixteen ten": before ten thirty one has
# breakfast.
BEFORE_YEAR = {"in", "since", "year"}
BEFORE_LATER_YEAR = BEFORE_YEAR | {"of", "from", "before", "after", "until", "till"}
BEFORE_PRICE = {"cost", "costs", "pay", "pays", "paid"}
# "Thirty second" is an ordinal after these; elsewhere it may be a measure.
BEFORE_SECOND = set(
    "the january february march april may june july august september october november "
    "december".split()
)
SMALLEST_DIGITS = 10  # In prose smaller numbers are words.
LISTED = 5  # Fewer digits with commas between them are rather a list than one number.
LINKS = {"and", "or", "to"}
# Linked to these a number may share what stands behind it: "two to three million", "one and a half
# to two thousand", "two, three hundred".
SHARING = {**BELOW_HUNDRED, "hundred": 100, "half": 0}


def write_number(phrase: Phrase, at: int, style: str) -> tuple[Written, ...] | None:
    """Write the number that begins at a word.

    Args:
        phrase: The words.
        at: Where the number would begin.
        style: `words`: never. `prose`: from ten up, and any amount, time or decimal. `digits`:
            any cardinal but "one", also in a run that is not one number.

    Returns:
        The written number, or the words of one that stays as it was said; None when there is none.
    """
    if style == "words" or not _may_begin(phrase, at):
        return None
    phrase = _up_to_mark(phrase, at)
    for rule in (time_of_day, _money, _percent, _decimal, _year, _digit_run, _ordinal):
        if written := rule(phrase, at):
            return written
    number = cardinal(phrase, at)
    if number is None:
        return _run(phrase, at)
    if style == "digits":
        return _plain(phrase, at, number, smallest=0 if number.value != 1 else 2)
    if phrase[at + number.n_words] in NUMBER_WORDS:
        return _run(phrase, at)
    return _plain(phrase, at, number, smallest=SMALLEST_DIGITS)


def _may_begin(phrase: Phrase, at: int) -> bool:
    word = phrase[at]
    if word == "a":  # But "half a million".
        return phrase[at - 1] != "half" and phrase[at + 1] in {"quarter", "hundred", *SCALES}
    return word in NUMBER_WORDS or word in ZEROS or word in ("half", "quarter")


def _up_to_mark(phrase: Phrase, at: int) -> Phrase:
    """The words up to the first mark that no number has in it: "in nineteen eighty, four came"."""
    for stop in range(at + 1, len(phrase)):
        mark = phrase.mark(stop - 1)
        # "In two thousand, three hundred people came".
        is_year = phrase[at - 1] in BEFORE_YEAR and phrase[stop - 1] in SCALES
        if mark and (mark != "," or is_year or not _may_be_inside(phrase, stop)):
            return phrase.up_to(stop)
    return phrase


def _may_be_inside(phrase: Phrase, at: int) -> bool:
    """Whether a number may go on here behind a comma.

    Behind a scale it may, "one million, two hundred thousand", and in digits said one by one:
    `starter` writes telephone numbers as "five, five, five, one".
    """
    are_digits = digit(phrase, at - 1) is not None and digit(phrase, at) is not None
    return are_digits or (phrase[at - 1] in SCALES and phrase[at] in BELOW_HUNDRED)


def _run(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Number words that are not one number: as they were said, all of them."""
    if phrase[at] in ORDINALS:  # "The first ten minutes".
        return _as_said(phrase, at, 1)
    n_words = 0
    while phrase[at + n_words] in NUMBER_WORDS:
        n_words += 1
    return _as_said(phrase, at, n_words) if n_words else None


def _as_said(phrase: Phrase, at: int, n_words: int) -> tuple[Written, ...]:
    return tuple(Written(phrase[index]) for index in range(at, at + n_words))


def _plain(phrase: Phrase, at: int, number: Number, smallest: int) -> tuple[Written, ...]:
    is_vague = phrase[at] == "a" and number.n_words == 2
    is_odd = smallest == SMALLEST_DIGITS and _follows_word(phrase, at)
    if number.value < smallest or is_vague or is_odd or _lends_scale(phrase, at, number):
        return _as_said(phrase, at, number.n_words)
    return _amount(phrase, at, number)


def _linked(phrase: Phrase, at: int) -> int:
    """Where the last word of the number is that may be linked to the one here; -1: nowhere."""
    if phrase[at - 1] in LINKS:
        return at - 2
    return at - 1 if phrase.mark(at - 1) == "," else -1


def _follows_word(phrase: Phrase, at: int) -> bool:
    """Whether it is linked to a digit, a word in prose: "five and twenty", in one manner."""
    last = _linked(phrase, at)
    before = phrase[last - 1]
    return phrase[last] in DIGITS and before != "point" and before not in NUMBER_WORDS


def _lends_scale(phrase: Phrase, at: int, number: Number) -> bool:
    """Whether the number before means its scale, too: as in "ten to twenty thousand".

    It does not in "ten to one thousand", and a million stays a word anyway.
    """
    scale = {"hundred": 100, "thousand": 1000}.get(phrase[at + number.n_words - 1])
    before = SHARING.get(phrase[_linked(phrase, at)])
    return scale is not None and before is not None and before < number.value // scale


def _is_part(phrase: Phrase, at: int) -> bool:
    """Whether a sign would change the sum: "point five percent", "two to three dollars"."""
    before = phrase[at - 1]
    is_run = before in SHARING or before in SCALES  # "nineteen ninety nine dollars"
    return is_run or before == "point" or phrase[_linked(phrase, at)] in SHARING


def _amount(
    phrase: Phrase, at: int, number: Number, sign: str = "", n_more: int = 0
) -> tuple[Written, ...]:
    """A number in digits, "2 million" with its scale as a word; `n_more` words belong to it."""
    scale = phrase[at + number.n_words - 1]
    if SCALES.get(scale, 0) >= 10**6 and number.value // SCALES[scale] < 1000:
        head = Written(f"{sign}{number.value // SCALES[scale]}", number.n_words - 1)
        return head, Written(scale, 1 + n_more)
    return (Written(sign + _grouped(number.value), number.n_words + n_more),)


def _grouped(value: int) -> str:
    """Digits, in threes from 10,000 on: 1984 may be a year."""
    return f"{value:,}" if value >= 10_000 else str(value)


def _money(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Five dollars, five dollars and ten cents, five dollars fifty, two million euros."""
    number = cardinal(phrase, at)
    if number is None or _is_part(phrase, at):
        return None
    stop = at + number.n_words
    if phrase[stop] not in CURRENCIES:
        return None
    sign = CURRENCIES[phrase[stop]]
    n_and = 1 if phrase[stop + 1] == "and" else 0
    cents = below_hundred(phrase, stop + 1 + n_and)
    if cents:
        n_words = number.n_words + 1 + n_and + cents.n_words
        n_cent = 1 if phrase[at + n_words] in ("cent", "cents") else 0
        is_short = not n_and and cents.value >= 10 and not is_counted(phrase, at + n_words)
        if n_cent or is_short:
            text = f"{sign}{_grouped(number.value)}.{cents.value:02}"
            return (Written(text, n_words + n_cent),)
    return _amount(phrase, at, number, sign, n_more=1)


def _percent(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    number = cardinal(phrase, at)
    if number is None or _is_part(phrase, at):
        return None
    n_sign = _n_percent(phrase, at + number.n_words)
    if not n_sign:
        return None
    return (Written(f"{_grouped(number.value)}%", number.n_words + n_sign),)


def _n_percent(phrase: Phrase, at: int) -> int:
    """How many words say "percent" here."""
    if phrase[at] == "percent":
        return 1
    return 2 if phrase.begins(at, ("per", "cent")) else 0


def _decimal(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Three point one four, three point fourteen, with its percent, scale or currency."""
    number = cardinal(phrase, at)
    if number is None or phrase[at + number.n_words] != "point":
        return None
    stop = at + number.n_words + 1
    places = ""
    while (place := digit(phrase, stop)) is not None:
        places, stop = places + str(place), stop + 1
        if phrase.mark(stop - 1):  # "Two point five, three point one".
            break
    if not places and number.value != 1:  # "At one point twenty people".
        pair = below_hundred(phrase, stop)
        if pair and phrase[stop + pair.n_words] not in NUMBER_WORDS:
            places, stop = str(pair.value), stop + pair.n_words
    if not places:
        return None
    text = f"{_grouped(number.value)}.{places}"
    n_scale = 1 if phrase[stop] in SCALES else 0
    if _is_part(phrase, at):
        return (Written(text, stop - at),)
    sign = CURRENCIES.get(phrase[stop + n_scale], "")
    n_sign = 1 if sign else 0
    if n_scale:
        return Written(sign + text, stop - at), Written(phrase[stop], 1 + n_sign)
    n_percent = _n_percent(phrase, stop)
    return (Written(f"{sign}{text}{'%' if n_percent else ''}", stop - at + n_sign + n_percent),)


def _year(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Nineteen eighty four, nineteen o five, twenty twenty one, the nineteen eighties."""
    century = TEENS.get(phrase[at], TENS.get(phrase[at], 0))
    if not 10 <= century <= 20:
        return None
    following = phrase[at + 1]
    if following in DECADES:
        return (Written(f"{century}{DECADES[following]}s", 2),)
    if following == "hundreds":
        return (Written(f"{century}00s", 2),)
    if following in ZEROS:
        unit = DIGITS.get(phrase[at + 2], 0)
        rest = Number(unit, 2) if unit else None
    else:
        rest = below_hundred(phrase, at + 1)
        rest = rest if rest and rest.value >= 10 else None
    if rest is None or phrase[at - 1] in BEFORE_PRICE:
        return None
    # "About fifteen twenty people", "he is eighteen nineteen".
    is_unusual = century < 17 or (century < 19 and rest.value == century + 1)
    if is_unusual and phrase[at - 1] not in (BEFORE_YEAR if century < 13 else BEFORE_LATER_YEAR):
        return None
    if is_counted(phrase, at + 1 + rest.n_words):
        return None
    return (Written(f"{century}{rest.value:02}", 1 + rest.n_words),)


def _digit_run(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Three digits or more, said one by one; but not somebody who counts or lists.

    "Chapters one, four, six" is a list; with commas it takes the length of a number to be one.
    """
    digits: list[int] = []
    while (value := digit(phrase, at + len(digits))) is not None:
        digits.append(value)
    stop = at + len(digits)
    steps = {after - before for before, after in pairwise(digits)}
    if len(digits) < 3 or steps in ({1}, {-1}) or phrase[stop] in NUMBER_WORDS:
        return None
    is_list = len(digits) < LISTED and any(phrase.mark(index) for index in range(at, stop - 1))
    if is_list or all(phrase[index] in ZEROS for index in range(at, stop)):  # "Oh oh oh!"
        return None
    return (Written("".join(map(str, digits)), len(digits)),)


def _ordinal(phrase: Phrase, at: int) -> tuple[Written, ...] | None:
    """Tenth, twenty third, one hundred and first; smaller ones stay words in any style."""
    if phrase[at - 1] in ("a", "an"):  # "A tenth", "a twenty second pause".
        return None
    number = ordinal(phrase, at)
    if number is None or number.value < 10:
        return None
    value, stop = number.value, at + number.n_words
    may_be_measure = phrase[stop - 1] == "second" and phrase[at - 1] not in BEFORE_SECOND
    if may_be_measure and phrase[stop] not in ("", "of"):  # "Thirty second breaks".
        return None
    suffix = {1: "st", 2: "nd", 3: "rd"}.get(value % 10 if value % 100 // 10 != 1 else 0, "th")
    return (Written(_grouped(value) + suffix, number.n_words),)
