"""The values of English number words, and what is counted with them."""

from __future__ import annotations

from dataclasses import dataclass

from streamer.phrases import Phrase

DIGITS = {
    word: value
    for value, word in enumerate("zero one two three four five six seven eight nine".split())
}
TEENS = {
    word: value
    for value, word in enumerate(
        "ten eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen".split(),
        start=10,
    )
}
TENS = {
    word: 10 * value
    for value, word in enumerate(
        "twenty thirty forty fifty sixty seventy eighty ninety".split(), start=2
    )
}
BELOW_HUNDRED = {**DIGITS, **TEENS, **TENS}
SCALES = {"thousand": 1000, "million": 10**6, "billion": 10**9, "trillion": 10**12}
ORDINALS = {
    word: value
    for value, word in enumerate(
        "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth "
        "thirteenth fourteenth fifteenth sixteenth seventeenth eighteenth nineteenth".split(),
        start=1,
    )
} | {word[:-1] + "ieth": value for word, value in TENS.items()}
DECADES = {word[:-1] + "ies": value for word, value in TENS.items()}
NUMBER_WORDS = {*DIGITS, *TEENS, *TENS, *SCALES, *ORDINALS, "hundred"}
ZEROS = {"o", "oh"}
# "Fifteen twenty minutes" is no year, and neither is a "fifteen twenty minute walk".
MEASURES = set(
    "seconds minutes hours days weeks months years times people men women miles feet inches yards "
    "meters metres kilometers kilometres degrees pounds dollars euros cents percent "
    "minute hour day week month year mile foot inch yard meter metre kilometer kilometre degree "
    "pound dollar euro cent".split()
)
COUNTED = NUMBER_WORDS | MEASURES


@dataclass(frozen=True, slots=True)
class Number:
    """A value that so many words say."""

    value: int
    n_words: int


def cardinal(phrase: Phrase, at: int) -> Number | None:
    """The longest cardinal number that begins here."""
    group = _below_thousand(phrase, at)
    if group is None or phrase[at + group.n_words] not in SCALES or group.value >= 1000:
        return group
    scale = SCALES[phrase[at + group.n_words]]
    value, n_words = group.value * scale, group.n_words + 1
    if phrase[at + n_words] == "and":
        # "Two thousand and five", but not "two thousand and five hundred".
        rest = _after_and(phrase, at + n_words)
        if rest and phrase[at + n_words + rest.n_words] in {"hundred", *SCALES}:
            rest = None
    else:
        rest = None if _begins_digits(phrase, at + n_words) else cardinal(phrase, at + n_words)
        # "Two thousand, five hundred came", but not "of two thousand, fifty came".
        least = 100 if phrase.mark(at + n_words - 1) else 1
        if phrase[at + n_words] == "a" or (rest and not least <= rest.value < scale):
            rest = None
    if rest is None:
        return Number(value, n_words)
    return Number(value + rest.value, n_words + rest.n_words)


def ordinal(phrase: Phrase, at: int) -> Number | None:
    """The ordinal number that begins here: "twenty third", "one hundred and first"."""
    if phrase[at] in ORDINALS:
        return Number(ORDINALS[phrase[at]], 1)
    number = cardinal(phrase, at)
    if number is None or number.value < 20:
        return None
    value, n_words = number.value, number.n_words
    if value % 100 == 0 and phrase[at + n_words] == "and":
        n_words += 1
    last = ORDINALS.get(phrase[at + n_words], 0)
    room = 100 if value % 100 == 0 else 10 if value % 10 == 0 and value % 100 != 10 else 0
    return Number(value + last, n_words + 1) if 0 < last < room else None


def is_counted(phrase: Phrase, at: int) -> bool:
    """Whether what stands here says that the number before it only counts, or goes on."""
    return phrase[at] in COUNTED or phrase.begins(at, ("per", "cent"))


def digit(phrase: Phrase, at: int) -> int | None:
    """The single digit that stands here, "o" as well."""
    return 0 if phrase[at] in ZEROS else DIGITS.get(phrase[at])


def _begins_digits(phrase: Phrase, at: int) -> bool:
    """Whether three digits or more are said here one by one, as of a telephone number."""
    return all(digit(phrase, at + offset) is not None for offset in range(3))


def below_hundred(phrase: Phrase, at: int) -> Number | None:
    """The longest number from 0 to 99 that begins here."""
    word = phrase[at]
    if word in TENS:
        unit = DIGITS.get(phrase[at + 1], 0)
        return Number(TENS[word] + unit, 2 if unit else 1)
    value = DIGITS.get(word, TEENS.get(word))
    return None if value is None else Number(value, 1)


def _below_thousand(phrase: Phrase, at: int) -> Number | None:
    """Up to 999, or hundreds like "nineteen hundred and five"."""
    head = Number(1, 1) if phrase[at] == "a" else below_hundred(phrase, at)
    if head is None or phrase[at + head.n_words] != "hundred" or head.value % 10 == 0:
        return head
    value, n_words = head.value * 100, head.n_words + 1
    rest = None if _begins_digits(phrase, at + n_words) else _after_and(phrase, at + n_words)
    if rest is None or phrase[at + n_words + rest.n_words] == "hundred":
        return Number(value, n_words)
    return Number(value + rest.value, n_words + rest.n_words)


def _after_and(phrase: Phrase, at: int) -> Number | None:
    """What is added to hundreds: a number below a hundred, perhaps with "and" before it."""
    n_and = 1 if phrase[at] == "and" else 0
    rest = below_hundred(phrase, at + n_and)
    return Number(rest.value, rest.n_words + n_and) if rest and rest.value else None
