"""What every network here does with its padding: nothing beyond the valid entries may count."""

from __future__ import annotations

import tensorflow as tf


def zero_beyond(x: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
    """Zero `x` [batch, time, channel] from each row's `n_valid` [batch] on, whatever was there."""
    mask = tf.sequence_mask(n_valid, tf.shape(x)[1])[..., tf.newaxis]
    return tf.where(mask, x, tf.zeros([], x.dtype))
