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


def align(log_probs: LogProbs, text: Sequence[int], blank: int) -> Alignment | None:
    """Find the likeliest alignment (Viterbi).

    Args:
        log_probs: Log-probabilities of the valid frames.
        text: Labels, without blanks.
        blank: The blank's label.

    Returns:
        The alignment; None when there are more labels than the frames have room for.
    """
    n_needed = len(text) + sum(a == b for a, b in pairwise(text))
    if n_needed > len(log_probs):
        return None
    scores, steps = _forward(log_probs, text, blank)
    state = 2 * len(text)
    if text and scores[-1, state - 1] > scores[-1, state]:
        state -= 1
    return Alignment(_runs(text, steps, state), float(scores[-1, state]))


def align_beginning(log_probs: LogProbs, text: Sequence[int], blank: int) -> Alignment | None:
    """Find the likeliest alignment of a text that something else may be said behind.

    Args:
        log_probs: As for `align`.
        text: As for `align`.
        blank: As for `align`.

    Returns:
        The alignment, whose log-probability is that of `beginnings`; None when there is no text, or
        more of it than the frames have room for.
    """
    if not text:
        return None
    scores, steps = _forward(log_probs, text, blank)
    found, stops = _with_the_best_behind(scores, log_probs)
    if found[-1] <= NEVER / 2:
        return None
    runs = _runs(text, steps[: stops[-1]], 2 * len(text) - 1)
    return Alignment(runs, float(found[-1]))


def beginnings(
    log_probs: LogProbs, text: Sequence[int], blank: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """How well each beginning of a text fits, whatever is said behind it.

    Args:
        log_probs: As for `align`.
        text: As for `align`.
        blank: As for `align`.

    Returns:
        For the beginning that ends with each label: its log-probability together with that of the
        best path through the frames behind it, and the first of those frames.
    """
    scores, _ = _forward(log_probs, text, blank)
    return _with_the_best_behind(scores, log_probs)


def _with_the_best_behind(
    scores: npt.NDArray[np.float64], log_probs: LogProbs
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    best = log_probs.max(1)
    behind = best.sum() - np.cumsum(best)
    found = scores[:, 1::2] + behind[:, np.newaxis]
    stops = found.argmax(0)
    return found[stops, np.arange(found.shape[1])], stops + 1


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
