"""Dictated words -> edits: "comma", "new line", "scratch that" and the user's own phrases.

    dictation = Dictation(TextStyle(sentence_ends=False), allow_newlines=True)
    for event in events:
        for edit in dictation.push(event):
            ...  # Insert: type its text; NewLine: press Enter; Delete: press Backspace n times

Said and written (the words in capitals stand for any):

    comma, period, full stop, colon, semicolon      , . . : ;
    question mark, exclamation mark                 ? !
    open quote, close quote                         "
    new line, new paragraph                         one line break or two, where they are allowed
    caps WORD, capital WORD                         Word
    all caps WORDS, end caps                        WORDS, up to a pause, a mark or "end caps"
    scratch that                                    takes back what was said since the last pause
    literal comma                                   comma, and so for each of them

Where a phrase is rather meant than commanded it is written: after an article ("a comma", "the
period"), before "of" ("period of time"). "Scratch that" counts only right after or before a pause,
and line breaks only with `allow_newlines`: into a shell or a chat, Enter sends what stands there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from rapidfuzz.distance import Prefix

from streamer.casing import capitalised
from streamer.config import TextStyle
from streamer.events import Event, Final, Partial, Word
from streamer.formatting import can_end, end_mark, split_at_pauses, write
from streamer.phrases import Match, Phrase, decided

# What was said so many phrases ago cannot be scratched any more.
N_PHRASES = 100


@dataclass(frozen=True, slots=True)
class Insert:
    """Type this text, which has no line break in it, behind what stands there."""

    text: str


@dataclass(frozen=True, slots=True)
class NewLine:
    """Begin a new line. Comes only where line breaks are allowed."""


@dataclass(frozen=True, slots=True)
class Delete:
    """Take back the last `n_characters`, code points of text; a line break counts as one."""

    n_characters: int


Edit = Insert | NewLine | Delete


class Mode(Enum):
    """What of the words is typed, and when.

    FINAL: an utterance when it is over. STABLE: stable words as they come, but those that may still
    become part of a command or a number. LIVE: everything at once. What the final decides
    otherwise is corrected with the fewest deletions.
    """

    FINAL = "final"
    STABLE = "stable"
    LIVE = "live"


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
AFTER_NOUN = set("of and or is are was were in to for city letter letters punishment lock".split())

CLOSING, OPENING, ENDING = set(",.;:!?)]}"), set("([{"), ".?!"


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What stands there from one phrase, and how the next one goes on from it."""

    text: str = ""
    attaches: bool = True
    begins_sentence: bool = True


@dataclass(slots=True)
class _Document:
    """The phrases that stand there, oldest first, after `origin`."""

    phrases: list[_Spoken] = field(default_factory=list)
    origin: _Spoken = field(default_factory=_Spoken)

    @property
    def text(self) -> str:
        return "".join(phrase.text for phrase in self.phrases)

    def add(self, pieces: Sequence[Piece]) -> None:
        """Write the pieces of one phrase."""
        begin = len(self.phrases)
        is_upper = is_capital = False
        for piece in pieces:
            if piece is Order.SCRATCH:
                # The phrase itself, if something was said in it, else the one before.
                del self.phrases[begin if len(self.phrases) > begin else -1 :]
                begin = len(self.phrases)
            elif isinstance(piece, Order):
                is_upper = piece is Order.ALL_CAPS or (is_upper and piece is Order.CAPITAL)
                is_capital = piece is Order.CAPITAL
            else:
                is_upper = is_upper and piece.is_word
                self._write(piece, begin, is_upper, is_capital)
                is_capital = False

    def _write(self, piece: Said, begin: int, is_upper: bool, is_capital: bool) -> None:
        last = self.phrases[-1] if self.phrases else self.origin
        text = piece.text
        if piece.is_word:
            if is_upper:
                text = text.upper()
            elif last.begins_sentence or is_capital:
                text = capitalised(text)
        has_begun = any(character.isalnum() for character in text)
        space = "" if last.attaches or piece.attaches_left else " "
        spoken = _Spoken(
            text=space + text,
            attaches=piece.attaches_right,
            begins_sentence=piece.ends_sentence or (last.begins_sentence and not has_begun),
        )
        if len(self.phrases) > begin:
            spoken = replace(spoken, text=self.phrases.pop().text + spoken.text)
        self.phrases.append(spoken)


class Dictation:
    """Turns events into edits. Replayed on an empty page they give `text`."""

    def __init__(
        self,
        style: TextStyle,
        *,
        mode: Mode = Mode.FINAL,
        allow_newlines: bool = False,
        replacements: Mapping[str, str] | None = None,
    ) -> None:
        r"""Begin on an empty page.

        Args:
            style: How words and numbers are written. With `sentence_ends` a pause writes a full
                stop where none was dictated; usually one wants that off.
            mode: What is typed, and when.
            allow_newlines: Whether "new line" is a command; else the words are written.
            replacements: Spoken phrase -> text that is written instead, exactly as it stands, with
                a space before it unless it is a single closing mark or begins with one. They come
                before the commands. "" drops the phrase.

        Raises:
            ValueError: A phrase has no word, or a text has a line break that is not allowed.
        """
        self._style = style
        self._mode = mode
        self._commands: dict[tuple[str, ...], Piece] = {**MARKS, **ORDERS}
        if allow_newlines:
            self._commands |= LINE_BREAKS
        self._replacements = _checked(replacements or {}, allow_newlines)
        self._before = _Document()  # the current utterance
        self._typed = ""

    @property
    def text(self) -> str:
        r"""What stands there of the last phrases, line breaks as "\n"."""
        return self._typed

    def push(self, event: Event) -> list[Edit]:
        """What has to be typed now."""
        if isinstance(event, Final):
            document = self._document(event.words, is_complete=True, is_over=True)
            edits = self._edits_to(document.text)
            n_dropped = max(0, len(document.phrases) - N_PHRASES)
            for phrase in document.phrases[:n_dropped]:
                document.origin = replace(phrase, text="")
            del document.phrases[:n_dropped]
            self._before, self._typed = document, document.text
            return edits
        if isinstance(event, Partial) and self._mode is not Mode.FINAL:
            is_live = self._mode is Mode.LIVE
            n_words = len(event.words) if is_live else len(event.stable_text.split())
            document = self._document(event.words[:n_words], is_complete=is_live)
            return self._edits_to(document.text)
        return []

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
            phrase = Phrase([word.word for word in spoken], is_complete or is_followed)
            pieces = [piece for match in decided(phrase, self._rule) for piece in match.pieces]
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

    def _document(
        self, words: Sequence[Word], is_complete: bool, is_over: bool = False
    ) -> _Document:
        document = replace(self._before, phrases=list(self._before.phrases))
        for pieces in self.pieces(words, is_complete=is_complete, is_over=is_over):
            document.add(pieces)
        return document

    def _edits_to(self, text: str) -> list[Edit]:
        n_kept = Prefix.similarity(self._typed, text)
        n_deleted = len(self._typed) - n_kept
        self._typed = text
        edits: list[Edit] = [Delete(n_deleted)] if n_deleted else []
        for number, line in enumerate(text[n_kept:].split("\n")):
            edits += [NewLine()] if number else []
            edits += [Insert(line)] if line else []
        return edits

    def _rule(self, phrase: Phrase, at: int) -> Match[Piece]:
        if phrase[at] == "literal" and (words := _longest(self._commands, phrase, at + 1)):
            return Match(tuple(Said(word, is_word=True) for word in words), 1 + len(words))
        if words := _longest(self._replacements, phrase, at):
            return Match(self._replacements[words], len(words))
        words = _longest(self._commands, phrase, at)
        if words and _is_commanded(phrase, at, words, self._commands[words]):
            return Match((self._commands[words],), len(words))
        match = write(phrase, at, self._style)
        return Match(tuple(Said(w.text, is_word=True) for w in match.pieces), match.n_words)


def _longest(
    known: Mapping[tuple[str, ...], object], phrase: Phrase, at: int
) -> tuple[str, ...] | None:
    found = [words for words in known if phrase.begins(at, words)]
    return max(found, key=len, default=None)


def _is_commanded(phrase: Phrase, at: int, words: tuple[str, ...], piece: Piece) -> bool:
    after = at + len(words)
    if piece is Order.SCRATCH:
        return at == 0 or phrase[after] == ""
    if phrase[at - 1] in DETERMINERS:
        return False
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
        if "\n" in text and not allow_newlines:
            raise ValueError(
                f"Expected a text without line breaks for {spoken!r}, as they are not allowed, "
                f"found {text!r}."
            )
        checked[words] = (_verbatim(text),) if text else ()
    return checked


def _verbatim(text: str) -> Said:
    return Said(
        text,
        attaches_left=text in CLOSING or text[0].isspace(),
        attaches_right=text in OPENING or text[-1].isspace(),
        ends_sentence=text[-1] in ENDING + "\n",
    )
