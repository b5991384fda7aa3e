"""wav2vec 2.0 and HuBERT with a CTC head, exact at any length inside a fixed shape.

wav2vec 2.0: Baevski et al. 2020, https://arxiv.org/abs/2006.11477. HuBERT: Hsu et al. 2021,
https://arxiv.org/abs/2106.07447. The layers are those of
https://github.com/huggingface/transformers/blob/main/src/transformers/models/wav2vec2/modeling_wav2vec2.py
and give its numbers; the names of the weights are those of the SavedModel that
https://github.com/thevasudevgupta/gsoc-wav2vec2 published.

Three masks make padding harmless. Samples beyond the valid ones are zeroed before anything reads
them; the group norm, which averages over time, counts valid frames only; the positional
convolution reads zeros and attention reads nothing beyond the last valid frame. Every other layer
looks at one frame, or only at valid samples of it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from streamer.models.labels import Labels
from streamer.models.masking import centred_over_time, normalise, zero_beyond
from streamer.models.transformer import convolve, gelu, multiply
from streamer.models.wav2vec2_config import Wav2Vec2Config

NORMALISATION_EPSILON = 1e-7  # transformers, Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm
CHUNK_FRAMES = 96  # two seconds: 25 MB of the first two convolutions' outputs
CONV_NORM_EPSILON = 1e-5  # of the norms between convolutions: PyTorch's default, in no config.json


class Wav2Vec2:
    """The network: raw waveforms in, log-probabilities out."""

    def __init__(
        self,
        config: Wav2Vec2Config,
        labels: Labels,
        weights: Mapping[str, npt.NDArray[Any]],
        *,
        name: str = "wav2vec2",
        precision: str = "float32",
    ) -> None:
        """Take the weights; each is read once, so that a lazy mapping never holds them all.

        Args:
            config: The shape of the network.
            labels: What its outputs stand for.
            weights: One array for each of `config.shapes()`; others are not looked at.
            name: What it is called in events.
            precision: `bfloat16` keeps the large matrices in half the memory and multiplies by
                them in bfloat16, summing in float32: faster on processors with instructions for
                it, but through oneDNN, not through XLA, which has none.
        """
        self.name = name
        self.jit_compile = precision == "float32"
        self.shortest: int | None = None  # The convolutions' chunks are counted while tracing.
        self.config = config
        self.labels = labels
        self.hop = config.hop
        self.receptive_field = config.receptive_field
        self._dtype = tf.as_dtype(precision)
        self._weights = {
            key: self._variable(key, weights[key])
            for key in config.shapes()
            if "pos_conv_embed/conv/weight" not in key
        }
        position = "encoder/pos_conv_embed/conv"
        kernel = fold_weight_norm(weights[f"{position}/weight_g"], weights[f"{position}/weight_v"])
        self._weights[f"{position}/kernel"] = self._variable(f"{position}/kernel", kernel)

    def _variable(self, name: str, array: npt.NDArray[Any]) -> tf.Variable:
        # The first convolution is small, and what it takes from the samples decides all.
        is_large = name.endswith("/kernel") and "conv_layers/0/" not in name
        value = tf.cast(
            array.astype(np.float32, copy=False), self._dtype if is_large else tf.float32
        )
        return tf.Variable(value, trainable=False)

    def __call__(self, waveforms: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Compute the log-probabilities of every label in every frame.

        Args:
            waveforms: Raw samples in [-1, 1] at 16 kHz, float32 [batch, samples], with at least
                `receptive_field` samples.
            valid: How many samples of each row count, int32 [batch]. A row with fewer than
                `receptive_field` has no valid frame.

        Returns:
            Log-probabilities, float32 [batch, frame, label], and the number of valid frames,
            int32 [batch].
        """
        # A NaN in the padding would survive every later multiplication by zero.
        x = zero_beyond(waveforms[..., tf.newaxis], valid)
        if self.config.normalise:
            x = normalise(x, valid, NORMALISATION_EPSILON)
        x, n_frames = self.features(x, valid)
        x = self.project(x)
        x = self.encode(x, n_frames)
        return tf.nn.log_softmax(self._dense("lm_head", x)), n_frames

    def features(self, x: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Convolve samples [batch, sample, 1] into features [batch, frame, channel].

        Also returns the number of valid frames, [batch].

        Nothing but the group norm's statistics needs the whole waveform, so the rest is computed
        one chunk after another: the first layers' outputs are the largest arrays of all, 100 MB
        for 15 s, of which only a chunk exists at a time.
        """
        hop, overlap = self.hop, self.receptive_field - self.hop
        batch, n_samples, _ = x.shape
        n_frames = (n_samples - overlap) // hop
        n_chunks = max(1, round(n_frames / CHUNK_FRAMES))
        length = math.ceil(n_frames / n_chunks)  # in frames; the last chunk may be filled up
        group_norm = None if self.config.conv_layer_norm else self._group_norm(x, valid)
        x = tf.pad(x, [[0, 0], [0, n_chunks * length * hop - n_frames * hop], [0, 0]])
        starts = range(0, n_chunks * length * hop, length * hop)
        y = tf.map_fn(
            lambda chunk: self._convolve(chunk, group_norm),
            tf.stack([x[:, start : start + length * hop + overlap] for start in starts]),
            fn_output_signature=tf.TensorSpec([batch, length, self.config.conv_dims[-1]]),
        )
        y = tf.reshape(tf.transpose(y, [1, 0, 2, 3]), [batch, n_chunks * length, y.shape[-1]])
        return y[:, :n_frames], tf.maximum((valid - overlap) // hop, 0)

    def _convolve(self, x: tf.Tensor, group_norm: tuple[tf.Tensor, tf.Tensor] | None) -> tf.Tensor:
        """Run all convolutions over samples [batch, sample, 1]."""
        config = self.config
        for i, stride in enumerate(config.conv_strides):
            layer = f"feature_extractor/conv_layers/{i}"
            if i == 0 and group_norm is not None:
                kernel, bias = group_norm
                x = self._windows(x) @ kernel + bias
            else:
                x = convolve(x, self._weights[f"{layer}/conv/kernel"], stride)
                if config.conv_bias:
                    x = x + self._weights[f"{layer}/conv/bias"]
                if config.conv_layer_norm:
                    x = self._layer_norm(f"{layer}/layer_norm", x, CONV_NORM_EPSILON)
            x = gelu(x)
        return x

    def _group_norm(self, x: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Fold the norm of the first convolution's channels over the valid frames into its kernel.

        An output is `window @ kernel`, so over time it has the mean `mean_window @ kernel` and the
        variance `kernel @ covariance @ kernel` of windows of a few samples: the output itself need
        not be read three times. (Measured: half the time of this layer, 2 to 3 % of the whole. The
        convolution's own bias has no effect: the norm takes it away.)

        Args:
            x: Samples [batch, sample, 1].
            valid: How many of them count, [batch].

        Returns:
            The kernel [batch, tap, channel] and the bias [batch, 1, channel] that do both.
        """
        layer = "feature_extractor/conv_layers/0"
        kernel = tf.cast(self._weights[f"{layer}/conv/kernel"][:, 0], tf.float64)
        taps, stride = self.config.conv_kernels[0], self.config.conv_strides[0]
        n_frames = tf.maximum((valid - taps) // stride + 1, 0)
        # Neighbouring samples are much alike and a kernel may take their difference: in float32
        # little would be left of the variance.
        windows = tf.cast(self._windows(x), tf.float64)
        mean, deviation, count = centred_over_time(windows, n_frames)
        covariance = tf.matmul(deviation, deviation, transpose_a=True) / count
        variance = tf.reduce_sum(kernel * (covariance @ kernel), axis=1, keepdims=True)
        gamma = tf.cast(self._weights[f"{layer}/layer_norm/gamma"], tf.float64)
        beta = tf.cast(self._weights[f"{layer}/layer_norm/beta"], tf.float64)
        scale = gamma * tf.math.rsqrt(variance + CONV_NORM_EPSILON)
        bias = beta - (mean @ kernel) * scale
        return tf.cast(kernel * scale, tf.float32), tf.cast(bias, tf.float32)

    def _windows(self, x: tf.Tensor) -> tf.Tensor:
        """What the first convolution sees of samples [batch, sample, 1]: [batch, frame, tap]."""
        taps, stride = self.config.conv_kernels[0], self.config.conv_strides[0]
        return tf.nn.conv1d(x, tf.eye(taps)[:, tf.newaxis], stride, "VALID")

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Bring features [batch, frame, channel] to the encoder's width."""
        if self.config.projection_norm:
            x = self._layer_norm("feature_projection/layer_norm", x)
        return self._dense("feature_projection/projection", x)

    def encode(self, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Run the transformer over [batch, frame, hidden]."""
        x = zero_beyond(x, n_frames)
        x = x + self.positions(x)
        if not self.config.pre_norm:
            x = self._layer_norm("encoder/layer_norm", x)
        for i in range(self.config.n_layers):
            x = self.encoder_layer(i, x, n_frames)
        return self._layer_norm("encoder/layer_norm", x) if self.config.pre_norm else x

    def positions(self, x: tf.Tensor) -> tf.Tensor:
        """Positional embedding of [batch, frame, hidden]: a wide grouped convolution."""
        conv = "encoder/pos_conv_embed/conv"
        kernel = self.config.position_kernel
        # PyTorch pads both sides by half the kernel and drops what an even one gives too much.
        before, after = kernel // 2, (kernel - 1) // 2
        x = tf.pad(x, [[0, 0], [before, after], [0, 0]])
        x = convolve(x, self._weights[f"{conv}/kernel"], 1)
        return gelu(x + self._weights[f"{conv}/bias"])

    def encoder_layer(self, i: int, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Layer `i` of the transformer, [batch, frame, hidden] -> the same."""
        layer = f"encoder/layers/{i}"
        if self.config.pre_norm:
            x = x + self._attention(layer, self._layer_norm(f"{layer}/layer_norm", x), n_frames)
            return x + self._feed_forward(layer, self._layer_norm(f"{layer}/final_layer_norm", x))
        x = self._layer_norm(f"{layer}/layer_norm", x + self._attention(layer, x, n_frames))
        return self._layer_norm(f"{layer}/final_layer_norm", x + self._feed_forward(layer, x))

    def _attention(self, layer: str, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Self-attention over the valid frames."""
        size = self.config.hidden_size // self.config.n_heads
        query = self._heads(self._dense(f"{layer}/attention/q_proj", x) * size**-0.5)
        key = self._heads(self._dense(f"{layer}/attention/k_proj", x))
        value = self._heads(self._dense(f"{layer}/attention/v_proj", x))
        scores = tf.matmul(query, key, transpose_b=True)
        mask = tf.sequence_mask(n_frames, tf.shape(x)[1])[:, tf.newaxis, tf.newaxis, :]
        # Finite, so that a row without a single valid frame gives no NaN.
        scores = tf.where(mask, scores, -1e9)
        # Softmax, its division done last: on [frame, channel] instead of [frame, frame].
        odds = tf.exp(scores - tf.reduce_max(scores, axis=-1, keepdims=True))
        y = (odds @ value) / tf.reduce_sum(odds, axis=-1, keepdims=True)
        y = tf.transpose(y, [0, 2, 1, 3])
        return self._dense(f"{layer}/attention/out_proj", tf.reshape(y, tf.shape(x)))

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, frame, hidden] -> [batch, head, frame, channel of the head]."""
        n_heads, size = self.config.n_heads, self.config.hidden_size // self.config.n_heads
        shape = tf.shape(x)
        return tf.transpose(tf.reshape(x, [shape[0], shape[1], n_heads, size]), [0, 2, 1, 3])

    def _feed_forward(self, layer: str, x: tf.Tensor) -> tf.Tensor:
        x = gelu(self._dense(f"{layer}/feed_forward/intermediate_dense", x))
        return self._dense(f"{layer}/feed_forward/output_dense", x)

    def _dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        return multiply(x, self._weights[f"{name}/kernel"]) + self._weights[f"{name}/bias"]

    def _layer_norm(self, name: str, x: tf.Tensor, epsilon: float | None = None) -> tf.Tensor:
        epsilon = self.config.layer_norm_epsilon if epsilon is None else epsilon
        mean, variance = tf.nn.moments(x, axes=[-1], keepdims=True)
        return self._scale(name, (x - mean) * tf.math.rsqrt(variance + epsilon))

    def _scale(self, norm: str, x: tf.Tensor) -> tf.Tensor:
        return x * self._weights[f"{norm}/gamma"] + self._weights[f"{norm}/beta"]


def fold_weight_norm(g: npt.NDArray[Any], v: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """The kernel that weight normalisation stands for: each tap of `v` scaled to the length `g`.

    Salimans and Kingma 2016, https://arxiv.org/abs/1602.07868; per tap as in fairseq's
    `nn.utils.weight_norm(pos_conv, name="weight", dim=2)`.

    Args:
        g: [tap, 1, 1].
        v: [tap, input, output].
    """
    wide = v.astype(np.float64)
    length = np.sqrt(np.sum(np.square(wide), axis=(1, 2), keepdims=True))
    folded: npt.NDArray[np.float32] = (wide * (g / length)).astype(np.float32)
    return folded
