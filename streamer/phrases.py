"""Words from one pause to the next, written from left to right without ever taking back.

While somebody is speaking, "TWENTY" may still become 20, 23 or the beginning of 1984. Rules read
the words through a `Phrase`, which notices when one looks beyond the last word: what such a rule
says is not decided yet. So whatever the rules are, what was decided stays as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar


@dataclass(frozen=True, slots=True)
class Written:
    """A text without spaces that stands for so many spoken words."""

    text: str
    n_words: int = 1


class Phrase:
    """The words of a phrase, and whether more of them may come.

    Attributes:
        heard: The words as recognised.
        looked_beyond: Whether somebody wanted to know a word that has not been said yet.
    """

    def __init__(
        self, heard: Sequence[str], is_complete: bool, marks: Sequence[str] | None = None
    ) -> None:
        """Take words, whether they are all, and the marks that a model has written behind each."""
        self.heard = heard
        self.looked_beyond = False
        self._lower = [word.lower() for word in heard]
        self._is_complete = is_complete
        self._marks = [""] * len(heard) if marks is None else marks

    def __len__(self) -> int:
        return len(self._lower)

    def __getitem__(self, at: int) -> str:
        """The word at an index in lower case; "" before the first and after the last."""
        if 0 <= at < len(self._lower):
            return self._lower[at]
        if at >= 0 and not self._is_complete:
            self.looked_beyond = True
        return ""

    def mark(self, at: int) -> str:
        """What is written between the word at an index and the next one; "" where either is none.

        What is written behind the last word may still change.
        """
        return self._marks[at] if 0 <= at < len(self) - 1 else ""

    def up_to(self, stop: int) -> Phrase:
        """The first words, as if no other followed them."""
        return Phrase(self.heard[:stop], is_complete=True, marks=self._marks[:stop])

    def begins(self, at: int, words: Sequence[str]) -> bool:
        """Whether exactly these words stand at `at`; looks no further than the first other one."""
        return all(self[at + offset] == word for offset, word in enumerate(words))


Piece = TypeVar("Piece")


@dataclass(frozen=True, slots=True)
class Match(Generic[Piece]):
    """What a rule made of the next `n_words` words."""

    pieces: tuple[Piece, ...]
    n_words: int


def decided(phrase: Phrase, rule: Callable[[Phrase, int], Match[Piece]]) -> Iterator[Match[Piece]]:
    """Apply a rule from left to right, as far as no word to come can change the outcome."""
    at = 0
    while at < len(phrase):
        match = rule(phrase, at)
        if phrase.looked_beyond:
            return
        yield match
        at += match.n_words
