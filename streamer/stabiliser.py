"""Successive hypotheses of one utterance -> a stable prefix that never changes, and what to show.

Local agreement: a word is stable when the last hypotheses agree on it and it ended well before the
newest sound (Liu et al. 2020, https://arxiv.org/abs/2005.11185). The rest is shown once two
hypotheses agree on it: most words that are taken back were heard once, at the edge of the sound.
And what is shown stays for a moment when it is not heard again: most of it comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import takewhile

from streamer.decoder import DecodedWord
from streamer.second_pass import marks_of, without_marks
from streamer.settings import Settings, to_samples

# So many hypotheses in turn must be without words that are shown, until they are taken back.
# (Measured with `starter` on read speech: of the displayed words 22 % were changed or taken back
# with 1, 18 % with 2, 13 % with 3 and with 4.)
N_MISSED = 3


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
        self._n_missed = 0  # hypotheses in turn that are without the last words that are shown
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
        words = self.joined(words)
        n_before = len(self.stable)
        tail = words[n_before:]
        if self.stable:
            tail = [_not_before(self.stable[-1].stop, word) for word in tail]
        n_agreed = self._n_agreed(tail, self._agreement)
        n_sure = next((i for i, word in enumerate(tail) if word.is_doubted), len(tail))
        n_stable = _n_ended(tail[: min(n_agreed, n_sure)], edge - self._stable_lag)
        n_shown = max(n_stable, len(tail) if is_pause else self._n_shown(tail, edge))
        kept = [] if is_pause else self._kept(tail, n_shown)
        if n_before and n_stable:
            # Not before: who types stable words waits, behind a mark, for the word that follows.
            self.stable[-1] = replace(self.stable[-1], written=words[n_before - 1].written)
        self.stable += tail[:n_stable]
        if n_stable == len(tail) > 0:
            # What ends a hypothesis is followed by a full stop, whatever will be said next.
            last = self.stable[-1]
            self.stable[-1] = replace(last, written=without_marks(last.written))
        self.unstable = tail[n_stable:n_shown] + kept
        tails = [*self._tails, tail][1 - max(2, self._agreement) :]
        self._tails = [old[n_stable:] for old in tails]

    def joined(self, words: Sequence[DecodedWord]) -> list[DecodedWord]:
        """The words of a hypothesis in this utterance, but what is stable stays as it is.

        Only the marks behind the last stable word, which were not certain when it became stable,
        are taken from the hypothesis, once it has another word behind them.
        """
        inside = _after(words, self._start)
        same, tail = inside[: len(self.stable)], inside[len(self.stable) :]
        if _n_same(same, self.stable) == len(self.stable):
            heard = same
            marked = zip(same, self.stable, strict=True)
            same = [replace(new, written=stable.written) for new, stable in marked]
        else:
            n_stable = self._n_stable_in(inside)
            heard, same = inside[:n_stable], list(self.stable)
            tail = self._following(inside[n_stable:])
        if tail and same and heard and heard[-1].text == same[-1].text:
            last = same[-1].written
            if not marks_of(last):
                same[-1] = replace(same[-1], written=last + marks_of(heard[-1].written))
        return [*same, *tail]

    def _n_stable_in(self, words: Sequence[DecodedWord]) -> int:
        """How many first words of a hypothesis lie where the stable ones do.

        Their times tell it, whatever the hypothesis calls them. But a short word can move by more
        than its length: one more or less, if then more of the last ones are called the same.
        """
        stop = self.stable[-1].stop
        by_time = next((i for i, word in enumerate(words) if word.is_after(stop)), len(words))
        counts = [n for n in (by_time, by_time - 1, by_time + 1) if 0 <= n <= len(words)]
        return max(counts, key=lambda n: _n_same(words[:n][::-1], self.stable[::-1]))

    def _following(self, words: Sequence[DecodedWord]) -> list[DecodedWord]:
        """The words that follow the stable ones; of one that covers the last of those, the rest."""
        last = self.stable[-1]
        following = list(words)
        if following and 2 * following[0].start < last.start + last.stop:
            # It is heard as one word with the last stable one by now: TO, then TODAY.
            whole = following.pop(0)
            if rest := whole.text.removeprefix(last.text):
                n_stable = len(whole.text) - len(rest)
                is_written = whole.written.upper().startswith(whole.text[:n_stable])
                written = whole.written[n_stable:] if is_written else ""
                following.insert(0, replace(whole, text=rest, written=written))
        return [_not_before(last.stop, word) for word in following]

    def _kept(self, tail: Sequence[DecodedWord], n_shown: int) -> list[DecodedWord]:
        """What stays of the words that were shown, behind those that are shown of a hypothesis."""
        was = self.unstable
        n_same = _n_same(tail, was)
        missed = was[n_shown:] if n_same >= n_shown else []
        self._n_missed = self._n_missed + 1 if missed and n_same < len(was) else 0
        if self._n_missed == N_MISSED:
            self._n_missed, missed = 0, []
        before = [*self.stable, *tail[:n_shown]]
        return _after(missed, before[-1].stop if before else self._start)

    def _n_agreed(self, tail: Sequence[DecodedWord], n_hypotheses: int) -> int:
        """How many of the first words the last so many hypotheses have, this one included."""
        others = self._tails[len(self._tails) - (n_hypotheses - 1) :]
        if len(others) < n_hypotheses - 1:
            return 0
        return min((_n_same(tail, other) for other in others), default=len(tail))

    def _n_shown(self, tail: Sequence[DecodedWord], edge: int) -> int:
        n_shown = _n_ended(tail[: self._n_agreed(tail, 2)], edge - self._shown_lag)
        if n_shown or self.stable or not tail:
            return n_shown
        # The first word is waited for, and shown as soon as there is something to it.
        return int(tail[0].confidence >= self._first_confidence)


def _after(words: Sequence[DecodedWord], start: int) -> list[DecodedWord]:
    """The words that are after the sample `start`, and of each only what is."""
    return [_not_before(start, word) for word in words if word.is_after(start)]


def _not_before(start: int, word: DecodedWord) -> DecodedWord:
    return replace(word, start=max(word.start, start), stop=max(word.stop, start))


def _n_same(words: Sequence[DecodedWord], others: Sequence[DecodedWord]) -> int:
    """How many first words are the same."""
    same = (word.text == other.text for word, other in zip(words, others, strict=False))
    return sum(takewhile(bool, same))


def _n_ended(words: Sequence[DecodedWord], edge: int) -> int:
    """How many of the first words ended by the sample `edge`."""
    return next((i for i, word in enumerate(words) if word.stop > edge), len(words))
