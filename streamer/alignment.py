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
    states = np.full(2 * len(text) + 1, blank)
    states[1::2] = text
    # From the state before the last one too, unless that would skip a blank between equal labels.
    can_skip = np.zeros(len(states), bool)
    can_skip[3::2] = states[3::2] != states[1:-2:2]
    score = np.full(len(states), NEVER)
    score[:2] = log_probs[0, states[:2]]
    steps = np.zeros((len(log_probs), len(states)), np.int8)
    for frame in range(1, len(log_probs)):
        ways = np.full((3, len(states)), NEVER)
        ways[0] = score
        ways[1, 1:] = score[:-1]
        ways[2, 2:] = np.where(can_skip[2:], score[:-2], NEVER)
        steps[frame] = ways.argmax(0)
        score = ways.max(0) + log_probs[frame, states]
    state = len(states) - 1
    if text and score[-2] > score[-1]:
        state -= 1
    log_prob = float(score[state])
    path = np.empty(len(log_probs), int)
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = state
        state -= int(steps[frame, state])
    runs = []
    for i, label in enumerate(text):
        frames = np.flatnonzero(path == 2 * i + 1)
        runs.append((label, int(frames[0]), int(frames[-1]) + 1))
    return Alignment(runs, log_prob)
