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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import tensorflow as tf

from streamer.errors import ModelError
from streamer.models.labels import Labels

NORMALISATION_EPSILON = 1e-7  # transformers, Wav2Vec2FeatureExtractor.zero_mean_unit_var_norm
CONV_NORM_EPSILON = 1e-5  # of the norms between convolutions: PyTorch's default, in no config.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Wav2Vec2Config:
    """The shape of one network. The defaults are those of wav2vec2-base-960h.

    Each field stands in a checkpoint's `config.json` under the name behind it, `normalise` in its
    `preprocessor_config.json`.
    """

    conv_dims: tuple[int, ...] = (512,) * 7  # conv_dim: channels after each convolution
    conv_kernels: tuple[int, ...] = (10, 3, 3, 3, 3, 2, 2)  # conv_kernel
    conv_strides: tuple[int, ...] = (5, 2, 2, 2, 2, 2, 2)  # conv_stride
    conv_bias: bool = False  # conv_bias
    conv_layer_norm: bool = False  # feat_extract_norm: `layer` after each, or `group` after one
    projection_norm: bool = True  # feat_proj_layer_norm: HuBERT may have none
    hidden_size: int = 768  # hidden_size
    n_layers: int = 12  # num_hidden_layers
    n_heads: int = 12  # num_attention_heads
    intermediate_size: int = 3072  # intermediate_size
    position_kernel: int = 128  # num_conv_pos_embeddings
    position_groups: int = 16  # num_conv_pos_embedding_groups
    pre_norm: bool = False  # do_stable_layer_norm
    layer_norm_epsilon: float = 1e-5  # layer_norm_eps
    n_labels: int = 32  # vocab_size
    normalise: bool = True  # do_normalize

    @classmethod
    def from_json(
        cls, config: Mapping[str, Any], preprocessor: Mapping[str, Any]
    ) -> Wav2Vec2Config:
        """Read the contents of `config.json` and `preprocessor_config.json`.

        What they do not say is as in `transformers`, whose defaults are this class's.

        Raises:
            ModelError: The network is of another kind, or has a part that is not supported.
        """
        _refuse_unsupported(config, preprocessor)
        base = cls()
        try:
            read = cls(
                conv_dims=tuple(config.get("conv_dim", base.conv_dims)),
                conv_kernels=tuple(config.get("conv_kernel", base.conv_kernels)),
                conv_strides=tuple(config.get("conv_stride", base.conv_strides)),
                conv_bias=bool(config.get("conv_bias", base.conv_bias)),
                conv_layer_norm=config.get("feat_extract_norm", "group") == "layer",
                projection_norm=bool(config.get("feat_proj_layer_norm", True)),
                hidden_size=int(config.get("hidden_size", base.hidden_size)),
                n_layers=int(config.get("num_hidden_layers", base.n_layers)),
                n_heads=int(config.get("num_attention_heads", base.n_heads)),
                intermediate_size=int(config.get("intermediate_size", base.intermediate_size)),
                position_kernel=int(config.get("num_conv_pos_embeddings", base.position_kernel)),
                position_groups=int(
                    config.get("num_conv_pos_embedding_groups", base.position_groups)
                ),
                pre_norm=bool(config.get("do_stable_layer_norm", base.pre_norm)),
                layer_norm_epsilon=float(config.get("layer_norm_eps", base.layer_norm_epsilon)),
                n_labels=int(config.get("vocab_size", base.n_labels)),
                normalise=bool(preprocessor.get("do_normalize", base.normalise)),
            )
        except (TypeError, ValueError) as error:
            raise ModelError(f"The checkpoint's config.json makes no sense: {error}.") from error
        n_convolutions = {len(read.conv_dims), len(read.conv_kernels), len(read.conv_strides)}
        if len(n_convolutions) != 1 or read.hidden_size % read.n_heads:
            raise ModelError(
                "The checkpoint's config.json makes no sense: expected `conv_dim`, `conv_kernel` "
                "and `conv_stride` of one length, and `hidden_size` a multiple of "
                f"`num_attention_heads`, found {read}."
            )
        return read

    @property
    def hop(self) -> int:
        """Samples from one frame to the next."""
        return int(np.prod(self.conv_strides))

    @property
    def receptive_field(self) -> int:
        """Samples that one frame sees."""
        n_samples = 1
        for kernel, stride in zip(self.conv_kernels[::-1], self.conv_strides[::-1], strict=True):
            n_samples = (n_samples - 1) * stride + kernel
        return n_samples

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """Name and shape of every weight, as the published SavedModel has them.

        A `kernel` is [input, output], that of a convolution [tap, input, output].
        """
        shapes: dict[str, tuple[int, ...]] = {}
        hidden, features = self.hidden_size, self.conv_dims[-1]

        def dense(name: str, n_in: int, n_out: int) -> None:
            shapes[f"{name}/kernel"], shapes[f"{name}/bias"] = (n_in, n_out), (n_out,)

        def norm(name: str, size: int) -> None:
            shapes[f"{name}/gamma"] = shapes[f"{name}/beta"] = (size,)

        n_in = 1
        for i, (n_out, taps) in enumerate(zip(self.conv_dims, self.conv_kernels, strict=True)):
            layer = f"feature_extractor/conv_layers/{i}"
            shapes[f"{layer}/conv/kernel"] = (taps, n_in, n_out)
            if self.conv_bias:
                shapes[f"{layer}/conv/bias"] = (n_out,)
            if self.conv_layer_norm or i == 0:
                norm(f"{layer}/layer_norm", n_out)
            n_in = n_out
        if self.projection_norm:
            norm("feature_projection/layer_norm", features)
        dense("feature_projection/projection", features, hidden)
        position = "encoder/pos_conv_embed/conv"
        shapes[f"{position}/weight_g"] = (self.position_kernel, 1, 1)
        shapes[f"{position}/weight_v"] = (
            self.position_kernel,
            hidden // self.position_groups,
            hidden,
        )
        shapes[f"{position}/bias"] = (hidden,)
        norm("encoder/layer_norm", hidden)
        for i in range(self.n_layers):
            layer = f"encoder/layers/{i}"
            for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
                dense(f"{layer}/attention/{part}", hidden, hidden)
            norm(f"{layer}/layer_norm", hidden)
            dense(f"{layer}/feed_forward/intermediate_dense", hidden, self.intermediate_size)
            dense(f"{layer}/feed_forward/output_dense", self.intermediate_size, hidden)
            norm(f"{layer}/final_layer_norm", hidden)
        dense("lm_head", hidden, self.n_labels)
        return shapes


def _refuse_unsupported(config: Mapping[str, Any], preprocessor: Mapping[str, Any]) -> None:
    """Name the first thing that this network does not have.

    Raises:
        ModelError: There is one.
    """
    for where, key, supported, default in (
        (config, "model_type", ("wav2vec2", "hubert"), None),
        (config, "feat_extract_norm", ("group", "layer"), "group"),
        (config, "feat_extract_activation", ("gelu",), "gelu"),
        (config, "hidden_act", ("gelu",), "gelu"),
        (config, "add_adapter", (False,), False),
        (config, "adapter_attn_dim", (None,), None),  # MMS has one adapter for each language
        (config, "conv_pos_batch_norm", (False,), False),
        (preprocessor, "sampling_rate", (16_000,), 16_000),
    ):
        found = where.get(key, default)
        if found not in supported:
            raise ModelError(
                f"Expected `{key}` to be {' or '.join(map(repr, supported))} in the checkpoint's "
                f"configuration, found {found!r}: this kind of network is not supported."
            )


class Wav2Vec2:
    """The network: raw waveforms in, log-probabilities out."""

    jit_compile = True

    def __init__(
        self,
        config: Wav2Vec2Config,
        labels: Labels,
        weights: Mapping[str, npt.NDArray[Any]],
        *,
        name: str = "wav2vec2",
    ) -> None:
        """Take the weights; each is read once, so that a lazy mapping never holds them all.

        Args:
            config: The shape of the network.
            labels: What its outputs stand for.
            weights: One array for each of `config.shapes()`; others are not looked at.
            name: What it is called in events.
        """
        self.name = name
        self.config = config
        self.labels = labels
        self.hop = config.hop
        self.receptive_field = config.receptive_field
        self._weights = {
            key: tf.Variable(weights[key].astype(np.float32, copy=False), trainable=False)
            for key in config.shapes()
            if "pos_conv_embed/conv/weight" not in key
        }
        position = "encoder/pos_conv_embed/conv"
        kernel = fold_weight_norm(weights[f"{position}/weight_g"], weights[f"{position}/weight_v"])
        self._weights[f"{position}/kernel"] = tf.Variable(kernel, trainable=False)

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
        x = _zero_beyond(waveforms[..., tf.newaxis], valid)
        if self.config.normalise:
            x = _normalise_over_time(x, valid, NORMALISATION_EPSILON)
        x, n_frames = self.features(x, valid)
        x = self.project(x)
        x = self.encode(x, n_frames)
        return tf.nn.log_softmax(self._dense("lm_head", x)), n_frames

    def features(self, x: tf.Tensor, valid: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Convolve samples [batch, sample, 1] into features [batch, frame, channel].

        Also returns the number of valid frames, [batch].
        """
        config = self.config
        n_frames = valid
        for i, (kernel, stride) in enumerate(
            zip(config.conv_kernels, config.conv_strides, strict=True)
        ):
            layer = f"feature_extractor/conv_layers/{i}"
            x = tf.nn.conv1d(x, self._weights[f"{layer}/conv/kernel"], stride, "VALID")
            n_frames = tf.maximum((n_frames - kernel) // stride + 1, 0)
            if config.conv_bias:
                x = x + self._weights[f"{layer}/conv/bias"]
            if config.conv_layer_norm:
                x = self._layer_norm(f"{layer}/layer_norm", x, CONV_NORM_EPSILON)
            elif i == 0:  # A group norm with one channel a group.
                x = _normalise_over_time(x, n_frames, CONV_NORM_EPSILON)
                x = self._scale(f"{layer}/layer_norm", x)
            x = _gelu(x)
        return x, n_frames

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Bring features [batch, frame, channel] to the encoder's width."""
        if self.config.projection_norm:
            x = self._layer_norm("feature_projection/layer_norm", x)
        return self._dense("feature_projection/projection", x)

    def encode(self, x: tf.Tensor, n_frames: tf.Tensor) -> tf.Tensor:
        """Run the transformer over [batch, frame, hidden]."""
        x = _zero_beyond(x, n_frames)
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
        x = tf.nn.conv1d(x, self._weights[f"{conv}/kernel"], 1, "VALID")
        return _gelu(x + self._weights[f"{conv}/bias"])

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
        y = tf.transpose(tf.nn.softmax(scores) @ value, [0, 2, 1, 3])
        return self._dense(f"{layer}/attention/out_proj", tf.reshape(y, tf.shape(x)))

    def _heads(self, x: tf.Tensor) -> tf.Tensor:
        """[batch, frame, hidden] -> [batch, head, frame, channel of the head]."""
        n_heads, size = self.config.n_heads, self.config.hidden_size // self.config.n_heads
        shape = tf.shape(x)
        return tf.transpose(tf.reshape(x, [shape[0], shape[1], n_heads, size]), [0, 2, 1, 3])

    def _feed_forward(self, layer: str, x: tf.Tensor) -> tf.Tensor:
        x = _gelu(self._dense(f"{layer}/feed_forward/intermediate_dense", x))
        return self._dense(f"{layer}/feed_forward/output_dense", x)

    def _dense(self, name: str, x: tf.Tensor) -> tf.Tensor:
        return tf.matmul(x, self._weights[f"{name}/kernel"]) + self._weights[f"{name}/bias"]

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


def _normalise_over_time(x: tf.Tensor, n_valid: tf.Tensor, epsilon: float) -> tf.Tensor:
    """Zero mean and unit variance of each channel of [batch, time, channel].

    Over the `n_valid` [batch] first entries of each row; the others become zero.
    """
    mask = tf.sequence_mask(n_valid, tf.shape(x)[1])[..., tf.newaxis]
    count = tf.cast(tf.maximum(n_valid, 1), x.dtype)[:, tf.newaxis, tf.newaxis]
    mean = tf.reduce_sum(tf.where(mask, x, 0.0), axis=1, keepdims=True) / count
    deviation = tf.where(mask, x - mean, 0.0)
    variance = tf.reduce_sum(tf.square(deviation), axis=1, keepdims=True) / count
    return deviation * tf.math.rsqrt(variance + epsilon)


def _zero_beyond(x: tf.Tensor, n_valid: tf.Tensor) -> tf.Tensor:
    """Zero `x` [batch, time, channel] from each row's `n_valid` on."""
    return tf.where(tf.sequence_mask(n_valid, tf.shape(x)[1])[..., tf.newaxis], x, 0.0)


def _gelu(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.gelu(x, approximate=False)
