"""Successive hypotheses of one utterance -> a stable prefix that never changes, and what to show.

Local agreement: a word is stable when the last hypotheses agree on it and it ended well before the
newest sound (Liu et al. 2020, https://arxiv.org/abs/2005.11185). The rest is shown once two
hypotheses agree on it: most words that are taken back were heard once, at the edge of the sound.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from streamer.config import Settings, to_samples
from streamer.decoder import DecodedWord
from streamer.second_pass import marks_of, without_marks


class Stabiliser:
    """Keeps the stable words of the current utterance.

    Attributes:
        stable: Words that will not change, oldest first. It only ever grows.
        unstable: What else is worth showing of the newest hypothesis.
    """

    def __init__(self, settings: Settings, stable_lag: int) -> None:
        """Begin with nothing.

        Args:
            settings: How many hypotheses must agree, and the like.
            stable_lag: How many samples before the newest sound a stable word has ended.
        """
        self._agreement = settings.stable_agreement
        self._stable_lag = stable_lag
        self._shown_lag = to_samples(settings.shown_lag_s)
        self._first_confidence = settings.first_word_confidence
        self.reset(0)

    def reset(self, start: int) -> None:
        """Begin a new utterance at the absolute sample `start`."""
        self._start = start
        self._tails: list[list[DecodedWord]] = []  # the last hypotheses, without stable words
        self.stable: list[DecodedWord] = []
        self.unstable: list[DecodedWord] = []

    @property
    def next_start(self) -> int | None:
        """Where the newest hypothesis puts the first word that is not stable."""
        return self._tails[-1][0].start if self._tails and self._tails[-1] else None

    def push(self, words: Sequence[DecodedWord], edge: int, *, is_pause: bool = False) -> None:
        """Take in the newest hypothesis.

        Args:
            words: The hypothesis, with times on the same axis every time. It may leave out stable
                words.
            edge: Where the sound behind it ended.
            is_pause: Nobody has spoken for a moment: the last words are complete, show them.
        """
        tail = self._following(words)
        n_agreed = self._n_agreed(tail, self._agreement)
        n_sure = next((i for i, word in enumerate(tail) if word.is_doubted), len(tail))
        n_stable = _n_ended(tail[: min(n_agreed, n_sure)], edge - self._stable_lag)
        n_shown = len(tail) if is_pause else self._n_shown(tail, edge)
        if tail:
            self._complete_marks(words[: len(words) - len(tail)])
        self.stable += tail[:n_stable]
        if n_stable == len(tail) > 0:
            # What ends a hypothesis is followed by a full stop, whatever will be said next.
            last = self.stable[-1]
            self.stable[-1] = replace(last, written=without_marks(last.written))
        self.unstable = tail[n_stable : max(n_stable, n_shown)]
        tails = [*self._tails, tail][1 - max(2, self._agreement) :]
        self._tails = [old[n_stable:] for old in tails]

    def joined(self, words: Sequence[DecodedWord]) -> list[DecodedWord]:
        """The words of a hypothesis in this utterance, but what is stable stays as it is."""
        inside = _after(words, self._start)
        same = inside[: len(self.stable)]
        if [word.text for word in same] == [word.text for word in self.stable]:
            marked = zip(same, self.stable, strict=True)
            same = [replace(new, written=stable.written) for new, stable in marked]
            return [*same, *inside[len(self.stable) :]]
        return [*self.stable, *self._following(words)]

    def _complete_marks(self, before: Sequence[DecodedWord]) -> None:
        """Add the marks behind the last stable word that were not certain when it became stable.

        Args:
            before: What the hypothesis has before the words that are not stable.
        """
        if self.stable and before and before[-1].text == self.stable[-1].text:
            last, marks = self.stable[-1], marks_of(before[-1].written)
            if not marks_of(last.written):
                self.stable[-1] = replace(last, written=last.written + marks)

    def _following(self, words: Sequence[DecodedWord]) -> list[DecodedWord]:
        """The words that follow the stable ones in time, whatever the hypothesis calls those."""
        if not self.stable:
            return _after(words, self._start)
        last = self.stable[-1]
        following = _after(words, last.stop)
        if following and following[0].start == last.stop:
            # It may be heard as one word with the last stable one by now: TO, then TODAY.
            rest = following[0].text.removeprefix(last.text)
            following[:1] = [replace(following[0], text=rest)] if rest else []
        return following

    def _n_agreed(self, tail: Sequence[DecodedWord], n_hypotheses: int) -> int:
        """How many of the first words the last so many hypotheses have, this one included."""
        others = self._tails[len(self._tails) - (n_hypotheses - 1) :]
        if len(others) < n_hypotheses - 1:
            return 0
        n_agreed = 0
        for at_same_place in zip(tail, *others, strict=False):
            if len({word.text for word in at_same_place}) > 1:
                break
            n_agreed += 1
        return n_agreed

    def _n_shown(self, tail: Sequence[DecodedWord], edge: int) -> int:
        n_shown = _n_ended(tail[: self._n_agreed(tail, 2)], edge - self._shown_lag)
        if n_shown or self.stable or not tail:
            return n_shown
        # The first word is waited for, and shown as soon as there is something to it.
        return int(tail[0].confidence >= self._first_confidence)


def _after(words: Sequence[DecodedWord], start: int) -> list[DecodedWord]:
    """The words of which at least half lies behind the sample `start`, and only that part."""
    following = [word for word in words if word.start + word.stop > 2 * start]
    return [replace(word, start=max(word.start, start)) for word in following]


def _n_ended(words: Sequence[DecodedWord], edge: int) -> int:
    """How many of the first words ended by the sample `edge`."""
    return next((i for i, word in enumerate(words) if word.stop > edge), len(words))
