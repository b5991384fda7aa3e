"""What every network here does with its padding: nothing beyond the valid entries may count."""

from __future__ import annotations

import tensorflow as tf


def zero_beyond(x: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
    """Zero `x` [batch, time, channel] from each row's `n_valid` [batch] on, whatever was there."""
    mask = tf.sequence_mask(n_valid, tf.shape(x)[1])[..., tf.newaxis]
    return tf.where(mask, x, tf.zeros([], x.dtype))


def normalise(x: tf.Tensor, n_valid: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Zero mean and unit variance over the valid samples of [batch, sample, 1]; zeros beyond."""
    _, deviation, count = centred_over_time(x, n_valid)
    variance = tf.reduce_sum(tf.square(deviation), axis=1, keepdims=True) / count
    return deviation * tf.math.rsqrt(variance + epsilon)


def centred_over_time(x: tf.Tensor, n_valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Take the mean over each row's `n_valid` first entries from [batch, time, channel].

    Returns:
        The mean, [batch, 1, channel]; the deviations from it, zero beyond the valid entries; how
        many count, [batch, 1, 1], at least one.
    """
    count = tf.cast(tf.maximum(n_valid, 1), x.dtype)[:, tf.newaxis, tf.newaxis]
    mean = tf.reduce_sum(zero_beyond(x, n_valid), axis=1, keepdims=True) / count
    return mean, zero_beyond(x - mean, n_valid), count
