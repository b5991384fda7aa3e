"""What the layers of a transformer are made of, with rotary positions as Moonshine has them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import tensorflow as tf

N_HEADS = 8
ROTARY_DIM = 32  # of a head's 36 dimensions; the last four carry no position
ROTARY_BASE = 10_000.0
EPSILON = 1e-5


def under(
    prefix: str, names: Sequence[str], weights: Callable[[str], tf.Tensor]
) -> dict[str, tf.Tensor]:
    """The weights of one layer by their names in it, as what is traced once for all takes them."""
    return {name: tf.convert_to_tensor(weights(prefix + name)) for name in names}


def multiply(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    """`x @ weights` in the precision of the weights, but summed in float32, and float32 again."""
    return tf.cast(tf.matmul(tf.cast(x, weights.dtype), weights), tf.float32)


def convolve(x: tf.Tensor, kernel: tf.Tensor, stride: int, padding: str = "VALID") -> tf.Tensor:
    """Convolve [batch, frame, channel] with [tap, input, output], as `multiply` does."""
    x = tf.cast(x, kernel.dtype)
    return tf.cast(tf.nn.conv1d(x, kernel, stride, padding), tf.float32)


def layer_norm(x: tf.Tensor, scale: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    """Normalise the channels of [batch, frame, channel] to zero mean and unit variance."""
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    y = (x - mean) * tf.math.rsqrt(variance + EPSILON) * scale
    return y if bias is None else y + bias


def gelu(x: tf.Tensor) -> tf.Tensor:
    """Multiply x by the normal distribution function of x: the exact GELU, as PyTorch computes it.

    `tf.nn.gelu` takes `erfc` for it, of which XLA computes both branches, with an exponential.
    """
    return 0.5 * x * (1.0 + tf.math.erf(x * np.float32(0.5**0.5)))


def attention(query: tf.Tensor, key: tf.Tensor, value: tf.Tensor, mask: tf.Tensor) -> tf.Tensor:
    """Scaled dot-product attention, [batch, head, frame, channel of the head] each.

    Args:
        query: What is asked.
        key: Where the answers are.
        value: The answers.
        mask: Which keys a query may see, bool, to be broadcast to [batch, head, query, key].

    Returns:
        The answers, heads joined: [batch, query, channel].
    """
    scores = tf.matmul(query * query.shape[-1] ** -0.5, key, transpose_b=True)
    # Finite, so that a row that may see nothing gives no NaN.
    scores = tf.where(mask, scores, -1e9)
    return join_heads(tf.nn.softmax(scores) @ value)


def split_heads(x: tf.Tensor) -> tf.Tensor:
    """[batch, frame, channel] -> [batch, head, frame, channel of the head]."""
    shape = tf.shape(x)
    x = tf.reshape(x, [shape[0], shape[1], N_HEADS, x.shape[2] // N_HEADS])
    return tf.transpose(x, [0, 2, 1, 3])


def join_heads(x: tf.Tensor) -> tf.Tensor:
    """The inverse of `split_heads`."""
    shape = tf.shape(x)
    x = tf.transpose(x, [0, 2, 1, 3])
    return tf.reshape(x, [shape[0], shape[2], N_HEADS * x.shape[3]])


def rotation(n_frames: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of the rotary angles, each [frame, pair].

    Rotary position embedding: Su et al. 2021, https://arxiv.org/abs/2104.09864. Pair i of a head
    turns by `position * base ** (-i / n_pairs)`.
    """
    n_pairs = ROTARY_DIM // 2
    frequency = ROTARY_BASE ** (-np.arange(n_pairs, dtype=np.float32) / n_pairs)
    angle = tf.cast(tf.range(n_frames), tf.float32)[:, tf.newaxis] * frequency
    return tf.cos(angle), tf.sin(angle)


def with_pairs_apart(columns: np.ndarray) -> np.ndarray:
    """Reorder the columns of a query's or key's weights, [channel, channel], for `rotate`.

    Moonshine turns neighbouring channels of a head by one angle. Here all first ones stand before
    all second ones: products of queries and keys are the same in any order, and halves are read
    several times as fast as every other channel.
    """
    heads = columns.reshape(len(columns), N_HEADS, -1)
    first, second = heads[..., 0:ROTARY_DIM:2], heads[..., 1:ROTARY_DIM:2]
    return np.concatenate([first, second, heads[..., ROTARY_DIM:]], axis=-1).reshape(columns.shape)


def rotate(x: tf.Tensor, rotation: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Turn the pairs of channels of `x`, which `with_pairs_apart` has parted, by their angles."""
    cos, sin = rotation
    first, second, rest = tf.split(x, [ROTARY_DIM // 2, ROTARY_DIM // 2, -1], axis=-1)
    return tf.concat([first * cos - second * sin, first * sin + second * cos, rest], axis=-1)
