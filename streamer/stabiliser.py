"""Successive hypotheses of one utterance -> a stable prefix that never changes.

Local agreement: a word is stable when two successive hypotheses agree on it and it ended well
before the newest sound (Liu et al. 2020, https://arxiv.org/abs/2005.11185, "LA-2").
"""

from __future__ import annotations

from collections.abc import Sequence

from streamer.decoder import DecodedWord


class Stabiliser:
    """Keeps the stable words of the current utterance.

    Attributes:
        stable: Words that will not change, oldest first. It only ever grows.
        unstable: The rest of the newest hypothesis.
    """

    def __init__(self, lag: int) -> None:
        """Hold back words that end less than `lag` samples before the newest sound."""
        self._lag = lag
        self.reset()

    def reset(self) -> None:
        """Begin a new utterance."""
        self.stable: list[DecodedWord] = []
        self.unstable: list[DecodedWord] = []

    def push(self, words: Sequence[DecodedWord], edge: int) -> None:
        """Take in the newest hypothesis.

        Args:
            words: The hypothesis, with times on the same axis every time.
            edge: Where the sound behind it ended.
        """
        tail = self._after_stable(words)
        n_agreed = 0
        for old, new in zip(self.unstable, tail, strict=False):
            if old.text != new.text or new.stop > edge - self._lag:
                break
            n_agreed += 1
        self.stable += tail[:n_agreed]
        self.unstable = tail[n_agreed:]

    def _after_stable(self, words: Sequence[DecodedWord]) -> list[DecodedWord]:
        """The words that follow the stable ones in time, whatever the hypothesis calls those."""
        if not self.stable:
            return list(words)
        stop = self.stable[-1].stop
        return [word for word in words if (word.start + word.stop) / 2 > stop]
