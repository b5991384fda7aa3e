"""Where the letters of a text are, and how well its beginnings fit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamer.alignment import LogProbs, Trellis, align

BLANK = 0


def random_log_probs(n_frames: int, seed: int) -> LogProbs:
    logits = 3 * np.random.default_rng(seed).standard_normal((n_frames, 4))
    return np.log(np.exp(logits) / np.exp(logits).sum(1, keepdims=True)).astype(np.float32)


@given(
    n_frames=st.integers(1, 9),
    seed=st.integers(0, 1000),
    text=st.lists(st.integers(1, 3), min_size=1, max_size=4),
)
def test_a_beginning_is_the_best_alignment_before_the_best_of_the_rest(
    n_frames: int, seed: int, text: list[int]
) -> None:
    log_probs = random_log_probs(n_frames, seed)
    best = log_probs.max(1)
    trellis = Trellis(log_probs, text, BLANK)
    found, stops = trellis.fits, trellis.stops
    for i in range(len(text)):
        ways = [
            aligned.log_prob + float(best[stop:].sum())
            for stop in range(1, n_frames + 1)
            if (aligned := align(log_probs[:stop], text[: i + 1], BLANK)) is not None
        ]
        if not ways:
            assert found[i] < -1e20  # There is no room for it.
            continue
        assert found[i] == pytest.approx(max(ways), abs=1e-4)
        beginning = trellis.beginning(i + 1)
        assert beginning is not None
        assert beginning.log_prob == pytest.approx(found[i])
        assert [label for label, _, _ in beginning.runs] == text[: i + 1]
        assert beginning.runs[-1][2] == stops[i]


def test_no_text_and_too_much_text_have_no_beginning() -> None:
    log_probs = random_log_probs(3, 0)
    assert Trellis(log_probs, [], BLANK).beginning(0) is None
    assert Trellis(log_probs, [1, 1, 2], BLANK).beginning(3) is None
    assert Trellis(log_probs, [1, 2, 3], BLANK).beginning(3) is not None
