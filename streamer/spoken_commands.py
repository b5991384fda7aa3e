"""What dictated words say: text, marks, and orders like "scratch that".

    comma, period, full stop, colon, semicolon      , . . : ;
    question mark, exclamation mark                 ? !
    open quote, close quote                         "
    new line, new paragraph                         one line break or two, where they are allowed
    caps WORD, capital WORD                         Word
    all caps WORDS, end caps                        WORDS, up to a pause, a mark or "end caps"
    scratch that                                    takes back what was said since the last pause
    literal comma                                   comma, and so for each of them

Where a model writes case and marks (`Word.written`), they are written, too: capitals inside a
sentence, and marks between words where none is dictated. The mark behind all that was said is left
out, because such a model ends whatever it is given.

Where a phrase is rather meant than commanded it is written: after an article ("a comma", "the
period"), before "of" ("period of time"). "Scratch that" counts only right after or before a pause.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from streamer.events import Word
from streamer.formatting import (
    as_written,
    can_end,
    end_mark,
    has_case_of_its_own,
    phrase_of,
    split_at_pauses,
    write,
)
from streamer.phrases import Match, Phrase, decided
from streamer.second_pass import ends_sentence, marks_of, marks_to_add
from streamer.settings import TextStyle


@dataclass(frozen=True, slots=True)
class Said:
    """A text to be written, and how it stands beside others."""

    text: str
    attaches_left: bool = False
    attaches_right: bool = False
    ends_sentence: bool = False
    is_word: bool = False


class Order(Enum):
    """What is done to other words."""

    CAPITAL = "capital"
    ALL_CAPS = "all caps"
    END_CAPS = "end caps"
    SCRATCH = "scratch that"


Piece = Said | Order


def _mark(text: str, ends_sentence: bool = False) -> Said:
    return Said(text, attaches_left=True, ends_sentence=ends_sentence)


def _line_break(text: str) -> Said:
    return Said(text, attaches_left=True, attaches_right=True, ends_sentence=True)


MARKS: dict[tuple[str, ...], Said] = {
    ("comma",): _mark(","),
    ("period",): _mark(".", ends_sentence=True),
    ("full", "stop"): _mark(".", ends_sentence=True),
    ("question", "mark"): _mark("?", ends_sentence=True),
    ("exclamation", "mark"): _mark("!", ends_sentence=True),
    ("exclamation", "point"): _mark("!", ends_sentence=True),
    ("colon",): _mark(":"),
    ("semicolon",): _mark(";"),
    ("semi", "colon"): _mark(";"),
    ("open", "quote"): Said('"', attaches_right=True),
    ("open", "quotes"): Said('"', attaches_right=True),
    ("close", "quote"): _mark('"'),
    ("close", "quotes"): _mark('"'),
}
LINE_BREAKS: dict[tuple[str, ...], Said] = {
    ("new", "line"): _line_break("\n"),
    ("newline",): _line_break("\n"),
    ("new", "paragraph"): _line_break("\n\n"),
}
ORDERS: dict[tuple[str, ...], Order] = {
    ("caps",): Order.CAPITAL,
    ("capital",): Order.CAPITAL,
    ("all", "caps"): Order.ALL_CAPS,
    ("end", "caps"): Order.END_CAPS,
    ("scratch", "that"): Order.SCRATCH,
}
# After these a phrase is meant: "the period", "in all caps".
DETERMINERS = set("a an the every each another my your our their its in".split())
# "Capital of France", "capital is"; and "caps lock".
AFTER_NOUN = set(
    "of and or is are was were in to for from on at by with as that which would can could has have "
    "had city letter letters punishment gains market markets lock".split()
)

# Before these no mark of the model's is written: one is dictated, or likely to be.
BEGIN_MARKS = {words[0] for words, mark in MARKS.items() if mark.attaches_left}

INITIAL = re.compile(r"[A-Z]\.")
CLOSING, OPENING, ENDING = set(",.;:!?)]}"), set("([{"), ".?!"


class Commands:
    """Knows the commands and the user's replacements, and finds them among the words."""

    def __init__(
        self,
        style: TextStyle,
        *,
        allow_newlines: bool,
        replacements: Mapping[str, str],
        marks: bool = True,
    ) -> None:
        """See `streamer.dictation.Dictation` for the arguments and errors."""
        self._style = style
        self._has_marks = marks
        self._commands: dict[tuple[str, ...], Piece] = {**MARKS, **ORDERS}
        if allow_newlines:
            self._commands |= LINE_BREAKS
        self._replacements = _checked(replacements, allow_newlines)

    def pieces(
        self, words: Sequence[Word], *, is_complete: bool, is_over: bool = False
    ) -> Iterator[tuple[Piece, ...]]:
        """What the words of an utterance say, phrase by phrase.

        Args:
            words: As recognised, from the beginning of the utterance.
            is_complete: Whether to take them as they are; else what words to come may still
                change is left out. The pieces of more words begin with those of fewer.
            is_over: Whether the utterance is over.
        """
        phrases = list(split_at_pauses(words, self._style))
        for number, spoken in enumerate(phrases, start=1):
            is_followed = number < len(phrases)
            phrase = phrase_of(spoken, is_complete or is_followed)
            then = phrases[number][0].word.lower() if is_followed else ""
            rule = functools.partial(self._rule, spoken=spoken, then=then)
            pieces = [piece for match in decided(phrase, rule) for piece in match.pieces]
            last = pieces[-1] if pieces else None
            ends = (is_followed or is_over) and can_end(spoken, self._style)
            if (
                ends
                and isinstance(last, Said)
                and last.is_word
                and (mark := end_mark(last.text, phrase, self._style))
            ):
                pieces.append(_mark(mark, ends_sentence=True))
            yield tuple(pieces)

    def _rule(self, phrase: Phrase, at: int, *, spoken: Sequence[Word], then: str) -> Match[Piece]:
        """What the words say that begin at one of them.

        Args:
            phrase: The words from one pause to the next.
            at: Where to begin.
            spoken: The same words, as events have them.
            then: The first word behind the pause; "" before it is said.
        """
        if phrase[at] == "literal" and (words := _longest(self._commands, phrase, at + 1)):
            return Match(tuple(Said(word, is_word=True) for word in words), 1 + len(words))
        if words := _longest(self._replacements, phrase, at):
            return Match(self._replacements[words], len(words))
        words = _longest(self._commands, phrase, at)
        if words and _is_commanded(phrase, at, words, self._commands[words]):
            return Match((self._commands[words],), len(words))
        return self._text(phrase, at, spoken, then)

    def _text(self, phrase: Phrase, at: int, spoken: Sequence[Word], then: str) -> Match[Piece]:
        match = write(phrase, at, self._style)
        pieces: list[Piece] = []
        for part in match.pieces:
            text = part.text
            goes_on = at > 0 and not ends_sentence(spoken[at - 1].written)
            if goes_on or has_case_of_its_own(spoken[at]):
                text = as_written(text, spoken[at], phrase, at)
            at += part.n_words
            written = spoken[at - 1].written
            marks = marks_to_add(text, marks_of(written))
            if INITIAL.fullmatch(text):  # Or is the point a full stop?
                text, marks = text[0], "."
            pieces.append(Said(text, is_word=True))
            if not (self._has_marks and marks):
                continue
            if (follows := phrase[at] or then) and follows not in BEGIN_MARKS:
                pieces.append(_mark(marks, ends_sentence=ends_sentence(written)))
        return Match(tuple(pieces), match.n_words)


def _longest(
    known: Mapping[tuple[str, ...], object], phrase: Phrase, at: int
) -> tuple[str, ...] | None:
    found = [words for words in known if phrase.begins(at, words)]
    return max(found, key=len, default=None)


def _is_commanded(phrase: Phrase, at: int, words: tuple[str, ...], piece: Piece) -> bool:
    after = at + len(words)
    if piece is Order.SCRATCH:
        return at == 0 or phrase[after] == ""
    is_spelled = phrase[at - 1] == "a" and len(phrase[at - 2]) == 1  # "the U S A period"
    if phrase[at - 1] in DETERMINERS and not is_spelled:
        return False
    if (phrase[at - 1], *words) in (("all", "caps"), ("semi", "colon")):
        return False  # The longer one is meant and not commanded.
    if piece in (Order.CAPITAL, Order.ALL_CAPS):
        return phrase[after] != "" and phrase[after] not in AFTER_NOUN
    return phrase[after] != "of"


def _checked(
    replacements: Mapping[str, str], allow_newlines: bool
) -> dict[tuple[str, ...], tuple[Piece, ...]]:
    checked: dict[tuple[str, ...], tuple[Piece, ...]] = {}
    for spoken, text in replacements.items():
        words = tuple(spoken.lower().split())
        if not words:
            raise ValueError(f"Expected a spoken phrase for {text!r}, found {spoken!r}.")
        written = text.replace("\n", "") if allow_newlines else text
        # Half of a surrogate pair cannot be written, either.
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in written):
            what = "control characters" if allow_newlines else "line breaks or control characters"
            raise ValueError(f"Expected a text without {what} for {spoken!r}, found {text!r}.")
        checked[words] = (_verbatim(text),) if text else ()
    return checked


def _verbatim(text: str) -> Said:
    return Said(
        text,
        attaches_left=text in CLOSING or text[0].isspace(),
        attaches_right=text in OPENING or text[-1].isspace(),
        ends_sentence=text[-1] in ENDING + "\n",
    )
