"""`starter`: the small network that ships inside the package.

A CTC network of 9.2 M parameters (18 MB in float16) whose encoder began as the encoder of
Moonshine tiny (MIT, https://github.com/moonshine-ai/moonshine); its upper half and its head were
trained for this project. Its origin and licence stand in `starter_weights/README.md`.

Every layer takes and returns arrays of a fixed shape together with the number of valid entries,
and computes nothing from the rest: padding changes no valid frame, whatever it contains.
"""

from __future__ import annotations

import zipfile
from importlib import resources

import numpy as np
import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.labels import WAV2VEC2_LABELS
from streamer.models.masking import zero_beyond

# The three strided convolutions, as (taps, stride). One frame for 64 * 3 * 2 = 384 samples.
CONVOLUTIONS = ((127, 64), (7, 3), (3, 2))
N_LAYERS = 6
N_HEADS = 8
N_HEAD_BLOCKS = 3
ROTARY_DIM = 32  # of a head's 36 dimensions; the last four carry no position
ROTARY_BASE = 10_000.0
EPSILON = 1e-5


class Starter(tf.Module):  # type: ignore[misc]  # TensorFlow has no types
    """The network: raw waveforms in, log-probabilities of the wav2vec2-960h labels out."""

    name = "starter"
    labels = WAV2VEC2_LABELS
    hop = 384
    receptive_field = 895
    jit_compile = True

    def __init__(self, weights: dict[str, np.ndarray]) -> None:
        """Take the weights, named and shaped as in `starter_weights/weights.npz`."""
        super().__init__(name="starter")
        self._weights = {
            name: tf.Variable(array.astype(np.float32), trainable=False)
            for name, array in weights.items()
        }

    @classmethod
    def from_package(cls) -> Starter:
        """Read the weights that ship inside the package.

        Raises:
            ModelError: The file is missing or cannot be read; the installation is damaged.
        """
        path = resources.files("streamer.models") / "starter_weights" / "weights.npz"
        try:
            with path.open("rb") as file, np.load(file) as arrays:
                return cls({name: arrays[name] for name in arrays.files})
        except (OSError, ValueError, zipfile.BadZipFile) as error:
            raise ModelError(
                f"The weights of the model in the package cannot be read ({error}). "
                "Install streamer again."
            ) from error

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-probabilities of every label in every frame.

        Args:
            waveforms: Raw samples in [-1, 1] at 16 kHz, float32 [batch, samples].
            valid: How many samples of each row count, int32 [batch]. A row with fewer than
                `receptive_field` has no valid frame.

        Returns:
            Log-probabilities, float32 [batch, frame, label], and the number of valid frames,
            int32 [batch].
        """
        # A NaN in the padding would survive every later multiplication by zero.
        x = zero_beyond(waveforms[..., tf.newaxis], valid)
        (_, stride1), (_, stride2), (_, stride3) = CONVOLUTIONS

        x = tf.tanh(tf.nn.conv1d(x, self._array("conv1"), stride1, "VALID"))
        x = self._group_norm(x, _n_frames(valid, *CONVOLUTIONS[0]))
        x = tf.nn.conv1d(x, self._array("conv2"), stride2, "VALID") + self._array("conv2_bias")
        x = _gelu(x)
        x = tf.nn.conv1d(x, self._array("conv3"), stride3, "VALID") + self._array("conv3_bias")
        x = _gelu(x)

        n_frames = valid
        for taps, stride in CONVOLUTIONS:
            n_frames = _n_frames(n_frames, taps, stride)

        rotation = _rotation(x.shape[1] if x.shape[1] is not None else tf.shape(x)[1])
        for layer in range(N_LAYERS):
            x = x + self._attention(f"layer{layer}/", x, n_frames, rotation)
            x = x + self._feed_forward(f"layer{layer}/", x)
        x = zero_beyond(_layer_norm(x, self._array("final_norm")), n_frames)

        for block in range(N_HEAD_BLOCKS):
            x = self._head_block(f"head{block}/", x, n_frames)
        x = _layer_norm(x, self._array("head_norm"), self._array("head_norm_bias"))
        logits = x @ self._array("labels") + self._array("labels_bias")
        return tf.nn.log_softmax(logits), n_frames

    def _array(self, name: str) -> tf.Variable:
        try:
            return self._weights[name]
        except KeyError:
            raise ModelError(
                f"The weights of `starter` lack the array {name!r}. Install streamer again."
            ) from None

    def _group_norm(self, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Normalise over the valid frames and all channels together (one group)."""
        mask = tf.sequence_mask(n_frames, tf.shape(x)[1])[..., tf.newaxis]
        count = tf.cast(n_frames * x.shape[2], x.dtype)[:, tf.newaxis, tf.newaxis]
        count = tf.maximum(count, 1.0)
        mean = tf.reduce_sum(tf.where(mask, x, 0.0), axis=[1, 2], keepdims=True) / count
        deviation = x - mean
        squares = tf.where(mask, tf.square(deviation), 0.0)
        variance = tf.reduce_sum(squares, axis=[1, 2], keepdims=True) / count
        normalised = deviation * tf.math.rsqrt(variance + EPSILON)
        return normalised * self._array("norm_scale") + self._array("norm_bias")

    def _attention(
        self, layer: str, x: tf.Tensor, n_frames: tf.Tensor, rotation: tuple[tf.Tensor, tf.Tensor]
    ) -> tf.Tensor:
        """Self-attention over the valid frames, [batch, frame, channel] -> the same."""
        y = _layer_norm(x, self._array(layer + "attention_norm"))
        query = _rotate(_split_heads(y @ self._array(layer + "query")), rotation)
        key = _rotate(_split_heads(y @ self._array(layer + "key")), rotation)
        value = _split_heads(y @ self._array(layer + "value"))
        scores = tf.matmul(query, key, transpose_b=True) / (query.shape[-1] ** 0.5)
        mask = tf.sequence_mask(n_frames, tf.shape(x)[1])[:, tf.newaxis, tf.newaxis, :]
        # Finite, so that a row without a single valid frame gives no NaN.
        scores = tf.where(mask, scores, -1e9)
        return _join_heads(tf.nn.softmax(scores) @ value) @ self._array(layer + "output")

    def _feed_forward(self, layer: str, x: tf.Tensor) -> tf.Tensor:
        y = _layer_norm(x, self._array(layer + "ffn_norm"))
        y = _gelu(y @ self._array(layer + "ffn_in") + self._array(layer + "ffn_in_bias"))
        return y @ self._array(layer + "ffn_out") + self._array(layer + "ffn_out_bias")

    def _head_block(self, block: str, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        y = _layer_norm(x, self._array(block + "norm"), self._array(block + "norm_bias"))
        y = zero_beyond(y, n_frames)
        y = tf.nn.conv1d(y, self._array(block + "conv"), 1, "SAME")
        y = _gelu(y + self._array(block + "conv_bias"))
        y = y @ self._array(block + "out") + self._array(block + "out_bias")
        return zero_beyond(x + y, n_frames)


def _n_frames(n: tf.Tensor, taps: int, stride: int) -> tf.Tensor:
    """Valid outputs of a convolution without padding, given `n` valid inputs."""
    return tf.maximum((n - taps) // stride + 1, 0)


def _gelu(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(x, approximate=False)


def _layer_norm(x: tf.Tensor, scale: tf.Tensor, bias: tf.Tensor | None = None) -> tf.Tensor:
    mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
    y = (x - mean) * tf.math.rsqrt(variance + EPSILON) * scale
    return y if bias is None else y + bias


def _split_heads(x: tf.Tensor) -> tf.Tensor:
    """[batch, frame, channel] -> [batch, head, frame, channel of the head]."""
    shape = tf.shape(x)
    x = tf.reshape(x, [shape[0], shape[1], N_HEADS, x.shape[2] // N_HEADS])
    return tf.transpose(x, [0, 2, 1, 3])


def _join_heads(x: tf.Tensor) -> tf.Tensor:
    """The inverse of `_split_heads`."""
    shape = tf.shape(x)
    x = tf.transpose(x, [0, 2, 1, 3])
    return tf.reshape(x, [shape[0], shape[2], N_HEADS * x.shape[3]])


def _rotation(n_frames: tf.Tensor | int) -> tuple[tf.Tensor, tf.Tensor]:
    """Cosine and sine of the rotary angles, each [frame, pair].

    Rotary position embedding: Su et al. 2021, https://arxiv.org/abs/2104.09864. Pair i of a head
    turns by `position * base ** (-i / n_pairs)`.
    """
    n_pairs = ROTARY_DIM // 2
    frequency = ROTARY_BASE ** (-np.arange(n_pairs, dtype=np.float32) / n_pairs)
    angle = tf.cast(tf.range(n_frames), tf.float32)[:, tf.newaxis] * frequency
    return tf.cos(angle), tf.sin(angle)


def _rotate(x: tf.Tensor, rotation: tuple[tf.Tensor, tf.Tensor]) -> tf.Tensor:
    """Turn neighbouring pairs of the first `ROTARY_DIM` channels of `x` by their angles."""
    cos, sin = rotation
    even, odd = x[..., 0:ROTARY_DIM:2], x[..., 1:ROTARY_DIM:2]
    turned = tf.stack([even * cos - odd * sin, even * sin + odd * cos], axis=-1)
    turned = tf.reshape(turned, tf.concat([tf.shape(even)[:-1], [ROTARY_DIM]], axis=0))
    return tf.concat([turned, x[..., ROTARY_DIM:]], axis=-1)
