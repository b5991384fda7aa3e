"""SavedModels of the published form, with random weights.

The same variables, the same operations and the same signature as what
https://github.com/thevasudevgupta/gsoc-wav2vec2/blob/main/src/export2hub.py writes: one fixed
length, no mask, the weight norm computed at every call, logits out. Its input is already
normalised.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from streamer.models.checkpoints import published_name
from streamer.models.wav2vec2_config import Wav2Vec2Config

PUBLISHED_LENGTH = 246_000


def random_weights(config: Wav2Vec2Config, seed: int = 0) -> dict[str, np.ndarray]:
    """Weights that keep a signal alive through all layers."""
    rng = np.random.default_rng(seed)
    weights = {}
    for name, shape in config.shapes().items():
        if name.endswith(("gamma", "weight_g")):
            weights[name] = 1 + 0.1 * rng.standard_normal(shape, np.float32)
        elif name.endswith(("kernel", "weight_v")):
            scale = np.prod(shape[:-1]) ** -0.5
            weights[name] = np.float32(scale) * rng.standard_normal(shape, np.float32)
        else:
            weights[name] = 0.1 * rng.standard_normal(shape, np.float32)
    return weights


class Published(tf.Module):
    """The published graph."""

    def __init__(self, config: Wav2Vec2Config, weights: dict[str, np.ndarray]) -> None:
        super().__init__(name="published")
        self.config = config
        weights = {**weights, "masked_spec_embed": np.zeros(config.hidden_size, np.float32)}
        self.weights = {
            name.replace("/", "."): tf.Variable(array, name=published_name(name))
            for name, array in weights.items()
        }

    def logits(self, x: tf.Tensor) -> tf.Tensor:
        """Normalised samples [batch, sample] -> logits [batch, frame, label]."""
        config = self.config
        x = x[..., tf.newaxis]
        for i, stride in enumerate(config.conv_strides):
            x = tf.nn.conv1d(
                x, self._get(f"feature_extractor/conv_layers/{i}/conv/kernel"), stride, "VALID"
            )
            if i == 0:
                mean, variance = tf.nn.moments(x, [1], keepdims=True)
                norm = f"feature_extractor/conv_layers/{i}/layer_norm"
                gamma, beta = self._get(f"{norm}/gamma"), self._get(f"{norm}/beta")
                x = tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)
            x = tf.nn.gelu(x)
        x = self._norm("feature_projection/layer_norm", x)
        x = self._dense("feature_projection/projection", x)
        x = self._norm("encoder/layer_norm", x + self._positions(x))
        for i in range(config.n_layers):
            layer = f"encoder/layers/{i}"
            x = self._norm(f"{layer}/layer_norm", x + self._attention(f"{layer}/attention", x))
            y = tf.nn.gelu(self._dense(f"{layer}/feed_forward/intermediate_dense", x))
            y = self._dense(f"{layer}/feed_forward/output_dense", y)
            x = self._norm(f"{layer}/final_layer_norm", x + y)
        return self._dense("lm_head", x)

    def _get(self, name: str) -> tf.Variable:
        return self.weights[name.replace("/", ".")]

    def _dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        return tf.tensordot(x, self._get(f"{name}/kernel"), 1) + self._get(f"{name}/bias")

    def _norm(self, name: str, x: tf.Tensor) -> tf.Tensor:
        mean, variance = tf.nn.moments(x, [-1], keepdims=True)
        gamma, beta = self._get(f"{name}/gamma"), self._get(f"{name}/beta")
        return tf.nn.batch_normalization(x, mean, variance, beta, gamma, 1e-5)

    def _positions(self, x: tf.Tensor) -> tf.Tensor:
        conv, half = "encoder/pos_conv_embed/conv", self.config.position_kernel // 2
        kernel = tf.nn.l2_normalize(self._get(f"{conv}/weight_v"), axis=[1, 2])
        kernel = kernel * self._get(f"{conv}/weight_g")
        x = tf.nn.conv1d(tf.pad(x, [[0, 0], [half, half], [0, 0]]), kernel, 1, "VALID")
        return tf.nn.gelu((x + self._get(f"{conv}/bias"))[:, :-1])

    def _attention(self, name: str, x: tf.Tensor) -> tf.Tensor:
        n_frames, hidden = x.shape[1:]
        size = hidden // self.config.n_heads

        def heads(y: tf.Tensor) -> tf.Tensor:
            y = tf.reshape(y, [-1, n_frames, self.config.n_heads, size])
            return tf.transpose(y, [0, 2, 1, 3])

        query = heads(self._dense(f"{name}/q_proj", x)) * size**-0.5
        key, value = (heads(self._dense(f"{name}/{part}", x)) for part in ("k_proj", "v_proj"))
        scores = tf.nn.softmax(tf.matmul(query, key, transpose_b=True))
        y = tf.transpose(tf.matmul(scores, value), [0, 2, 1, 3])
        return self._dense(f"{name}/out_proj", tf.reshape(y, [-1, n_frames, hidden]))


def export(
    folder: Path,
    config: Wav2Vec2Config,
    weights: dict[str, np.ndarray],
    n_samples: int = PUBLISHED_LENGTH,
) -> None:
    """Write a SavedModel of the published form."""
    module = Published(config, weights)
    speech = tf.TensorSpec([None, n_samples], tf.float32, name="speech")
    forward = tf.function(module.logits, input_signature=[speech])
    module.forward = forward
    tf.saved_model.save(module, str(folder), signatures={"wav2vec2": forward})
