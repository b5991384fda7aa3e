"""CTC alignment: where in the sound the letters of a text are, and how well they fit it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

LogProbs = npt.NDArray[np.float32]  # shape [frame, label], the valid frames only
Run = tuple[int, int, int]  # label, first frame, frame after the last

NEVER = -1e30


@dataclass(frozen=True, slots=True)
class Alignment:
    """The likeliest way to say a text in the given frames.

    Attributes:
        runs: The frames of every label, in order; blanks are left out.
        log_prob: The sum over all frames, blanks too.
    """

    runs: list[Run]
    log_prob: float


class Trellis:
    """All ways to say a text in the given frames, scored once (Viterbi).

    Attributes:
        best: The log-probability of the best path, whatever that says.
        fits: For the beginning of the text that ends with each label, float64 [label]: its
            log-probability together with that of the best path through the frames behind it.
        stops: The first of those frames, int64 [label].
    """

    def __init__(self, log_probs: LogProbs, text: Sequence[int], blank: int) -> None:
        """Score them.

        Args:
            log_probs: Log-probabilities of the valid frames, at least one.
            text: Labels, without blanks.
            blank: The blank's label.
        """
        self._text = text
        self._scores, self._steps = _forward(log_probs, text, blank)
        best = log_probs.max(1)
        self.best = float(best.sum())
        # What beginnings end with, and the best of the frames behind each.
        found = self._scores[:, 1::2] + (best.sum() - np.cumsum(best))[:, np.newaxis]
        ends = found.argmax(0)
        self.fits = found[ends, np.arange(len(text))]
        self.stops = ends + 1

    def whole(self) -> Alignment | None:
        """The likeliest alignment of the text with all frames; None when it has no room there."""
        n_needed = len(self._text) + sum(a == b for a, b in pairwise(self._text))
        if n_needed > len(self._scores):
            return None
        state = 2 * len(self._text)
        if self._text and self._scores[-1, state - 1] > self._scores[-1, state]:
            state -= 1
        return Alignment(_runs(self._text, self._steps, state), float(self._scores[-1, state]))

    def beginning(self, n_labels: int) -> Alignment | None:
        """The likeliest alignment of the first labels, behind which something else may be said.

        Returns:
            The alignment, whose log-probability is what `fits` has for it; None when there are no
            labels, or more than the frames have room for.
        """
        if not n_labels or self.fits[n_labels - 1] <= NEVER / 2:
            return None
        steps = self._steps[: self.stops[n_labels - 1]]
        runs = _runs(self._text[:n_labels], steps, 2 * n_labels - 1)
        return Alignment(runs, float(self.fits[n_labels - 1]))


def align(log_probs: LogProbs, text: Sequence[int], blank: int) -> Alignment | None:
    """Find the likeliest alignment of a text with all frames.

    Args:
        log_probs: As for `Trellis`.
        text: As for `Trellis`.
        blank: As for `Trellis`.

    Returns:
        The alignment; None when there are more labels than the frames have room for.
    """
    return Trellis(log_probs, text, blank).whole()


def _forward(
    log_probs: LogProbs, text: Sequence[int], blank: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]:
    """The best score of being in each state in each frame, and how many states it came from.

    States are the labels with a blank before, between and behind them: [frame, 2 * label + 1].
    """
    states = np.full(2 * len(text) + 1, blank)
    states[1::2] = text
    # From the state before the last one too, unless that would skip a blank between equal labels.
    can_skip = np.zeros(len(states), bool)
    can_skip[3::2] = states[3::2] != states[1:-2:2]
    scores = np.full((len(log_probs), len(states)), NEVER)
    scores[0, :2] = log_probs[0, states[:2]]
    steps = np.zeros((len(log_probs), len(states)), np.int8)
    for frame in range(1, len(log_probs)):
        score = scores[frame - 1]
        ways = np.full((3, len(states)), NEVER)
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(can_skip[2:], score[:-2], NEVER)
        steps[frame] = ways.argmax(0)
        scores[frame] = ways.max(0) + log_probs[frame, states]
    return scores, steps


def _runs(text: Sequence[int], steps: npt.NDArray[np.int8], state: int) -> list[Run]:
    """The frames of every label, on the way to a state of the last frame."""
    path = np.empty(len(steps), int)
    for frame in range(len(steps) - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    runs = []
    for i, label in enumerate(text):
        frames = np.flatnonzero(path == 2 * i + 1)
        runs.append((label, int(frames[0]), int(frames[-1]) + 1))
    return runs
