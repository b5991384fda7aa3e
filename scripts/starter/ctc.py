"""The CTC loss, for TensorFlow: Keras's is quick on JAX and PyTorch.

TensorFlow's own, where XLA compiles it, goes through all pairs of states in every frame: with the
hundreds of letters of a long utterance that takes longer than the network. Here a state looks at
three neighbours only (Graves et al. 2006, https://doi.org/10.1145/1143844.1143891, section 4.1).
No gradient goes through the recursion: the gradient of the loss by a log-probability is minus the
probability of being in that state in that frame.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf
from keras import ops

BLANK = 0
IMPOSSIBLE = -1e9


def ctc_loss(labels: Any, log_probs: Any, n_labels: Any, n_frames: Any) -> Any:
    """Minus the log-probability of the labels.

    Args:
        labels: int32 [batch, label]; whatever lies beyond `n_labels` counts as nothing.
        log_probs: float32 [batch, frame, symbol].
        n_labels: int32 [batch].
        n_frames: int32 [batch].

    Returns:
        float32 [batch]. Where there are fewer frames than the labels need, some 1e9.
    """
    # States: a blank before every label and one after the last, [batch, state].
    between = ops.full_like(labels, BLANK)
    states = ops.reshape(ops.stack([between, labels], axis=-1), (ops.shape(labels)[0], -1))
    states = ops.concatenate([states, between[:, :1]], axis=1)
    place = ops.arange(ops.shape(states)[1], dtype="int32")[None, :]
    # The blank between two labels may be left out if they differ.
    skips = (states != BLANK) & (states != _later(states, 2, BLANK))
    last = 2 * ops.cast(n_labels, "int32")[:, None]
    is_last = (place == last) | (place == last - 1)

    said = ops.one_hot(states, log_probs.shape[-1])
    spoken = ops.einsum("btl,bsl->bts", log_probs, said)  # [batch, frame, state]
    fixed = ops.stop_gradient(spoken)
    frame = ops.arange(ops.shape(log_probs)[1], dtype="int32")
    frames = (ops.transpose(fixed, (1, 0, 2)), frame)
    n_frames = ops.cast(n_frames, "int32")[:, None]

    def forward(before: Any, at: tuple[Any, Any]) -> Any:
        spoken, frame = at
        skipped = ops.where(skips, _later(before, 2, IMPOSSIBLE), IMPOSSIBLE)
        after = spoken + _sum(before, _later(before, 1, IMPOSSIBLE), skipped)
        return ops.where(frame < n_frames, after, before)

    def backward(after: Any, at: tuple[Any, Any]) -> Any:
        spoken, frame = at
        here = after + spoken
        skipped = _earlier(ops.where(skips, here, IMPOSSIBLE), 2, IMPOSSIBLE)
        before = _sum(here, _earlier(here, 1, IMPOSSIBLE), skipped)
        return ops.where(frame < n_frames, before, after)

    nothing = ops.full_like(fixed[:, 0], IMPOSSIBLE)
    # Before the first frame stands the first blank: it goes on, or to the first label.
    start = ops.where(place == 0, 0.0, nothing)
    end = ops.where(is_last, 0.0, nothing)
    reached = tf.scan(forward, frames, start)  # [frame, batch, state], this frame's sound included
    log_likelihood = ops.logsumexp(ops.where(is_last, reached[-1], IMPOSSIBLE), axis=-1)
    follows = tf.scan(backward, frames, end, reverse=True)
    follows = ops.concatenate([follows[1:], end[None]], axis=0)  # what comes after this frame
    passing = ops.transpose(reached + follows, (1, 0, 2)) - log_likelihood[:, None, None]
    occupied = ops.where((frame[None, :] < n_frames)[..., None], ops.exp(passing), 0.0)
    path = ops.sum(ops.stop_gradient(occupied) * spoken, axis=(1, 2))
    return -path + ops.stop_gradient(path - log_likelihood)


def _sum(*parts: Any) -> Any:
    """Sum of probabilities given by their logarithms."""
    return ops.logsumexp(ops.stack(parts), axis=0)


def _later(x: Any, n: int, fill: float) -> Any:
    """Shift along the states by n places, so that a state sees the one before it."""
    return ops.concatenate([ops.full_like(x[:, :n], fill), x[:, :-n]], axis=1)


def _earlier(x: Any, n: int, fill: float) -> Any:
    return ops.concatenate([x[:, n:], ops.full_like(x[:, :n], fill)], axis=1)
