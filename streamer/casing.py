"""The case of English words: "I" and its kin, single letters, names that are beyond doubt.

The list of names is short on purpose: no rule can tell Will from will, or a Rose from a rose.
"""

from __future__ import annotations

from streamer.number_words import ORDINALS, TEENS, TENS
from streamer.phrases import Phrase

NAMES = set(
    "monday tuesday wednesday thursday friday saturday sunday "
    "january february april june july september october november december "
    "christmas easter "
    "africa african america american americans arabic asia asian australia australian berlin "
    "britain british canada canadian chinese christian christians dutch england english "
    "englishman englishmen europe european france french frenchman frenchmen german germans "
    "germany greece greek hebrew india "
    "indian indians ireland irish italian italy japan japanese jewish korean latin london mexican "
    "mexico norwegian paris portuguese roman romans russia russian russians scotland scottish "
    "spain spanish swedish swiss wales welsh mister missus mr mrs".split()
)
PAIRS = {("new", name) for name in ("york", "mexico", "zealand", "england", "jersey", "orleans")}
PAIRS |= {("great", "britain"), ("united", "states"), ("united", "kingdom")}
# These are months only where the words beside them say so.
MONTHS = {"march", "may", "august"}
BEFORE_MONTH = {"in", "of", "since", "during", "early", "late", "last"}
TITLES = {"mister", "missus", "mr", "mrs"}
# What may stand after "mister" and is no name.
NO_NAMES = {"a", "an", "and", "are", "had", "has", "he", "in", "is", "or", "said", "the", "was"}


# A number after a month, but for "may one ask", "march first", "may second the motion".
DAYS = {*TEENS, *TENS, *ORDINALS} - {"first", "second"}


def cased(phrase: Phrase, at: int) -> str:
    """The word in the case that it has inside a sentence."""
    heard, word = phrase.heard[at], phrase[at]
    if not (heard.isupper() or heard.islower()):
        return heard  # The model knows case.
    return capitalised(word) if _is_capital(phrase, at) else word


def lowered(phrase: Phrase, at: int) -> str:
    """The word of an unknown language: in lower case, if the model knows only upper case."""
    heard = phrase.heard[at]
    return heard.lower() if heard.isupper() else heard


def capitalised(text: str) -> str:
    """The text with a capital at its beginning, if its alphabet has any."""
    first = text[:1].upper()
    return first + text[1:] if len(first) == 1 else text  # Not "SS" for "ß".


def _is_capital(phrase: Phrase, at: int) -> bool:
    word = phrase[at]
    stem = word.split("'")[0]
    if word == "a":
        if _is_letter(phrase[at - 1]):  # "U S A", "B A C"; before what comes is asked for
            return _is_letter(phrase[at - 2]) or _is_letter(phrase[at + 1])
        return _is_letter(phrase[at + 1]) and _is_letter(phrase[at + 2])  # "A B C"
    if stem in MONTHS:
        return phrase[at - 1] in BEFORE_MONTH or phrase[at + 1] in DAYS
    if len(word) == 1 or stem in NAMES or stem == "i":
        return True
    if phrase[at - 1] in TITLES and word not in NO_NAMES:
        return True
    return (phrase[at - 1], stem) in PAIRS or _begins_pair(phrase, at)


def _begins_pair(phrase: Phrase, at: int) -> bool:
    """Whether the words are "New York" and the like; only then the next word is asked for."""
    is_first = any(phrase[at] == first for first, _ in PAIRS)
    return is_first and (phrase[at], phrase[at + 1].split("'")[0]) in PAIRS


def _is_letter(word: str) -> bool:
    return len(word) == 1 and word.isalpha() and word != "i"
