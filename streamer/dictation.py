"""Dictated words -> edits of a page, whatever page that is.

    dictation = Dictation(TextStyle(sentence_ends=False), allow_newlines=True)
    for event in events:
        for edit in dictation.push(event):
            ...  # Insert: type its text; NewLine: press Enter; Delete: press Backspace n times

`streamer.spoken_commands` has the commands. Line breaks come only with `allow_newlines`: into a
shell or a chat, Enter sends what stands there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import Enum

from rapidfuzz.distance import Prefix

from streamer.casing import capitalised
from streamer.events import Event, Final, Partial, Word
from streamer.settings import TextStyle
from streamer.spoken_commands import Commands, Order, Piece, Said

ABBREVIATED = re.compile(r"\.\w+\.$")  # "p.m."
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
    otherwise is corrected with the fewest deletions; with FINAL phrase by phrase, so that nothing
    is missing where nothing can be deleted.
    """

    FINAL = "final"
    STABLE = "stable"
    LIVE = "live"


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
    def texts(self) -> list[str]:
        return [phrase.text for phrase in self.phrases]

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
        if text == "." and ABBREVIATED.search(last.text):  # Its point ends the sentence, too.
            text = ""
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
    """Turns events into edits. Replayed on an empty page they give `text`.

    Attributes:
        mode: What is typed, and when. May be changed between two events.
    """

    def __init__(
        self,
        style: TextStyle,
        *,
        mode: Mode = Mode.FINAL,
        allow_newlines: bool = False,
        replacements: Mapping[str, str] | None = None,
        marks: bool = True,
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
            marks: Whether the marks between words that a model has written are written, beside
                those that are dictated.

        Raises:
            ValueError: A phrase has no word, or a text has a line break that is not allowed, or any
                other control character.
        """
        self.mode = mode
        self._commands = Commands(
            style, allow_newlines=allow_newlines, replacements=replacements or {}, marks=marks
        )
        self._before = _Document()  # the current utterance
        self._typed: list[str] = []  # phrase by phrase

    @property
    def text(self) -> str:
        r"""What stands there of the last phrases, line breaks as "\n"."""
        return "".join(self._typed)

    def push(self, event: Event) -> list[Edit]:
        """What has to be typed now."""
        if isinstance(event, Final):
            document = self._document(event.words, is_complete=True, is_over=True)
            edits = self._edits_to(document.texts)
            n_dropped = max(0, len(document.phrases) - N_PHRASES)
            for phrase in document.phrases[:n_dropped]:
                document.origin = replace(phrase, text="")
            del document.phrases[:n_dropped]
            self._before, self._typed = document, document.texts
            return edits
        if isinstance(event, Partial) and self.mode is not Mode.FINAL:
            is_live = self.mode is Mode.LIVE
            n_words = len(event.words) if is_live else len(event.stable_text.split())
            document = self._document(event.words[:n_words], is_complete=is_live)
            return self._edits_to(document.texts)
        return []

    def _document(
        self, words: Sequence[Word], is_complete: bool, is_over: bool = False
    ) -> _Document:
        document = replace(self._before, phrases=list(self._before.phrases))
        for pieces in self._commands.pieces(words, is_complete=is_complete, is_over=is_over):
            document.add(pieces)
        return document

    def _edits_to(self, phrases: list[str]) -> list[Edit]:
        before, text = self.text, "".join(phrases)
        n_kept = Prefix.similarity(before, text)
        if self.mode is Mode.FINAL and n_kept < len(before):
            n_kept = len("".join(phrases[: Prefix.similarity(self._typed, phrases)]))
        n_deleted = len(before) - n_kept
        self._typed = phrases
        edits: list[Edit] = [Delete(n_deleted)] if n_deleted else []
        for number, line in enumerate(text[n_kept:].split("\n")):
            edits += [NewLine()] if number else []
            edits += [Insert(line)] if line else []
        return edits
